"""Names users give: files, projects, addresses. Each function returns the name or raises a Fault."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import quote

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http.content_types import content_type

MAX_PATH_BYTES = 512

# Content types are ours, not the machine's: the same file is served alike everywhere.
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
    """A relative path with `/` between folders; unicode, spaces and quotes are fine."""
    if problem := _filename_problem(name):
        raise Fault(400, "filename_invalid", f"the filename {problem}")
    return name


def _filename_problem(name: str) -> str | None:
    problems = {
        "is empty": not name,
        f"is longer than {MAX_PATH_BYTES} bytes": len(name.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES,
        "has a control character": has_control_characters(name),
        "has a backslash; folders are separated by /": "\\" in name,
        "starts with /": name.startswith("/"),
        "has an empty, `.` or `..` segment": any(part in ("", ".", "..") for part in name.split("/")),
    }
    return next((problem for problem, holds in problems.items() if holds), None)


def static_content_type(name: str) -> str:
    """The content type static hosting serves this file with."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in STATIC_CONTENT_TYPES:
        listed = " ".join(STATIC_CONTENT_TYPES)
        raise Fault(
            415, "file_type_not_supported", f"static hosting serves only {listed}; not {suffix or name!r}"
        )
    return STATIC_CONTENT_TYPES[suffix]


def storage_content_type(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in STATIC_CONTENT_TYPES:
        return STATIC_CONTENT_TYPES[suffix]
    return content_type(suffix)


def checked_project_name(name: str) -> str:
    trimmed = name.strip()
    if not 1 <= len(trimmed) <= 100 or has_control_characters(trimmed):
        raise Fault(400, "name_invalid", "a project's name has 1 to 100 characters and no control characters")
    return trimmed


def checked_email(address: str) -> str:
    local = address.partition("@")[0]
    dots = local.startswith(".") or local.endswith(".") or ".." in local
    # Mail programs decode `=?…?=` in headers, and what is encoded may be another address, or a line break.
    encoded = "=?" in address
    if len(address) > 254 or dots or encoded or not _ADDRESS.fullmatch(address):
        raise Fault(400, "email_invalid", "`email` is not an e-mail address")
    return address


def url_path(name: str) -> str:
    """A filename as it stands in a URL's path."""
    return quote(name, safe="/-._~!$&'()*+,;=:@")
