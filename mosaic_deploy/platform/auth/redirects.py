"""Checks where a magic link may lead: to a path of the project's own site only."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote, unquote_plus, urlencode, urlsplit, urlunsplit

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.projects.names import has_control_characters

_MAX_DECODINGS = 8
_RESERVED_PARAMETERS = ("token", "email")
# Characters that stay unquoted in a URL.
_URL_SAFE = "%/:?#[]@!$&'()*+,;=-._~"


def checked_redirect(redirect: str, site_url: str, settings: dict[str, Any]) -> str:
    """The redirect as a path of the site. Raises Fault if it leads elsewhere or isn't in the allowed list."""
    path = _local_path(redirect)
    if path is None:
        raise Fault(400, "redirect_invalid", "`redirect_url` must be a path of the site, such as /dashboard")
    allowed = _allowed_paths(settings, site_url)
    if allowed and path not in allowed and urlsplit(path).path not in allowed:
        listed = ", ".join(sorted(allowed))
        raise Fault(400, "redirect_not_allowed", f"`redirect_url` is not in the allowed list: {listed}")
    return path


def default_redirect(settings: dict[str, Any], site_url: str) -> str:
    chosen = _magic_link_settings(settings).get("redirect_url")
    return (_as_path(chosen, site_url) if isinstance(chosen, str) else None) or "/"


def build_magic_link(site_url: str, redirect: str, token: str, email: str) -> str:
    """The link in the email, in ASCII. Keeps the redirect's query and fragment, but drops its own `token` and `email`
    parameters: the page would read those and sign in somebody else."""
    parts = urlsplit(redirect)
    kept = [
        field
        for field in parts.query.split("&")
        if field and unquote_plus(field.partition("=")[0]) not in _RESERVED_PARAMETERS
    ]
    query = "&".join([*kept, urlencode({"token": token, "email": email})])
    return quote(site_url + urlunsplit(("", "", parts.path, query, parts.fragment)), safe=_URL_SAFE)


def check_settings(settings: dict[str, Any], site_url: str) -> None:
    """Raises Fault for settings that sign-in can't use. Unknown settings are allowed and kept."""
    magic_link = settings.get("magic_link", {})
    if not isinstance(magic_link, dict):
        raise Fault(400, "settings_invalid", "`magic_link` must be an object")
    allowed = magic_link.get("allowed_redirect_urls", [])
    if not isinstance(allowed, list):
        raise Fault(400, "settings_invalid", "`allowed_redirect_urls` must be a list")
    chosen = magic_link.get("redirect_url")
    for entry in [*allowed, *([] if chosen is None else [chosen])]:
        if not isinstance(entry, str) or _as_path(entry, site_url) is None:
            raise Fault(400, "settings_invalid", f"{entry!r} is not a path of the site, such as /dashboard")


def _allowed_paths(settings: dict[str, Any], site_url: str) -> set[str]:
    magic_link = _magic_link_settings(settings)
    allowed = magic_link.get("allowed_redirect_urls")
    if not isinstance(allowed, list) or not allowed:
        return set()
    entries = [*allowed, magic_link.get("redirect_url")]
    paths = (_as_path(entry, site_url) for entry in entries if isinstance(entry, str))
    return {path for path in paths if path is not None}


def _magic_link_settings(settings: dict[str, Any]) -> dict[str, Any]:
    found = settings.get("magic_link")
    return found if isinstance(found, dict) else {}


def _as_path(entry: str, site_url: str) -> str | None:
    """The path of an entry that is a path or a full URL of this site; else None."""
    return _local_path(entry.removeprefix(site_url) if entry.startswith(site_url + "/") else entry)


def _local_path(redirect: str) -> str | None:
    """The redirect if browsers, servers and repeated decoding all read it as a path of the site; else None.

    `//host` is another site, browsers read `\\` as `/`, dot segments lead up, and Unicode normalisation turns some
    characters into slashes or dots. All of these are refused, at any depth of percent-encoding.
    """
    if not redirect.startswith("/") or len(redirect) > 2000 or " " in redirect:
        return None
    if has_control_characters(redirect) or "\\" in redirect or "\ufffd" in redirect:
        return None
    path = redirect.partition("?")[0].partition("#")[0]
    return redirect if all(map(_is_plain_path, _decoded_forms(path))) else None


def _decoded_forms(path: str) -> Iterator[str]:
    """The path as written and after each round of percent-decoding, also normalised to NFKC."""
    for _ in range(_MAX_DECODINGS):
        yield path
        yield unicodedata.normalize("NFKC", path)
        decoded = unquote(path, errors="replace")
        if decoded == path:
            return
        path = decoded
    # No real path is encoded this often; `//` makes the check fail.
    yield "//"


def _is_plain_path(path: str) -> bool:
    if "//" in path or "\\" in path or has_control_characters(path) or "\ufffd" in path:
        return False
    return not any(segment in (".", "..") for segment in path.split("/"))
