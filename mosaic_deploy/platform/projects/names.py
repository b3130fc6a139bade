"""Checks of names that users choose: filenames, project names, email addresses. Each raises Fault if invalid."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import quote

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http.content_types import content_type

MAX_PATH_BYTES = 512

# The file types that static hosting accepts.
STATIC_CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".ico": "image/x-icon",
    ".webp": "image/webp",
}

_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@"
    r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)


def has_control_characters(text: str) -> bool:
    return any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in text)


def checked_filename(name: str) -> str:
    """A relative path with `/` between folders; Unicode, spaces and quotes are allowed."""
    if problem := _filename_problem(name):
        raise Fault(400, "filename_invalid", f"the filename {problem}")
    return name


def _filename_problem(name: str) -> str | None:
    problems = {
        "is empty": not name,
        f"is longer than {MAX_PATH_BYTES} bytes": len(name.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES,
        "contains a control character": has_control_characters(name),
        "contains a backslash; separate folders with /": "\\" in name,
        "starts with /": name.startswith("/"),
        "contains an empty, `.` or `..` segment": any(part in ("", ".", "..") for part in name.split("/")),
    }
    return next((problem for problem, applies in problems.items() if applies), None)


def static_content_type(name: str) -> str:
    """The content type that static hosting uses for this file; raises Fault (415) if it doesn't accept the type."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in STATIC_CONTENT_TYPES:
        message = (
            f"static hosting doesn't support {suffix or repr(name)}, only {' '.join(STATIC_CONTENT_TYPES)}; "
            "use storage for other files"
        )
        raise Fault(415, "file_type_not_supported", message)
    return STATIC_CONTENT_TYPES[suffix]


def storage_content_type(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in STATIC_CONTENT_TYPES:
        return STATIC_CONTENT_TYPES[suffix]
    return content_type(suffix)


def checked_project_name(name: str) -> str:
    trimmed = name.strip()
    if not 1 <= len(trimmed) <= 100 or has_control_characters(trimmed):
        message = "a project name must have 1 to 100 characters and no control characters"
        raise Fault(400, "name_invalid", message)
    return trimmed


def checked_email(address: str) -> str:
    local = address.partition("@")[0]
    misplaced_dot = local.startswith(".") or local.endswith(".") or ".." in local
    # Mail programs decode `=?…?=` in headers, which could hide another address or a line break.
    encoded_word = "=?" in address
    if len(address) > 254 or misplaced_dot or encoded_word or not _ADDRESS.fullmatch(address):
        raise Fault(400, "email_invalid", "`email` isn't a valid email address")
    return address


def url_path(name: str) -> str:
    """The filename, percent-encoded for a URL's path."""
    return quote(name, safe="/-._~!$&'()*+,;=:@")
