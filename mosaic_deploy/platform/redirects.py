"""Where a sign-in link may lead: a path of the project's own site, never anywhere else."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.names import has_control_characters


def checked_redirect(redirect: str, site_url: str, settings: dict[str, Any]) -> str:
    """The redirect as a path of the site. A Fault where it leads elsewhere, or isn't one of those allowed."""
    path = _local_path(redirect)
    if path is None:
        raise Fault(400, "redirect_invalid", "`redirect_url` must be a path of the site, such as /dashboard")
    allowed = _allowed_paths(settings, site_url)
    if allowed and path not in allowed and urlsplit(path).path not in allowed:
        listed = ", ".join(sorted(allowed))
        raise Fault(400, "redirect_not_allowed", f"`redirect_url` is not one of those allowed: {listed}")
    return path


def default_redirect(settings: dict[str, Any], site_url: str) -> str:
    chosen = _magic_link(settings).get("redirect_url")
    return (_as_path(chosen, site_url) if isinstance(chosen, str) else None) or "/"


def sign_in_link(site_url: str, redirect: str, token: str, email: str) -> str:
    """The link in the mail. What the redirect has as query and fragment stays."""
    parts = urlsplit(redirect)
    added = urlencode({"token": token, "email": email})
    query = f"{parts.query}&{added}" if parts.query else added
    return site_url + urlunsplit(("", "", parts.path, query, parts.fragment))


def check_settings(settings: dict[str, Any], site_url: str) -> None:
    """Settings are kept as they are put; only what sign-in relies on is checked."""
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
    magic_link = _magic_link(settings)
    allowed = magic_link.get("allowed_redirect_urls")
    if not isinstance(allowed, list) or not allowed:
        return set()
    entries = [*allowed, magic_link.get("redirect_url")]
    paths = (_as_path(entry, site_url) for entry in entries if isinstance(entry, str))
    return {path for path in paths if path is not None}


def _magic_link(settings: dict[str, Any]) -> dict[str, Any]:
    found = settings.get("magic_link")
    return found if isinstance(found, dict) else {}


def _as_path(entry: str, site_url: str) -> str | None:
    """A path, or a full URL of this very site."""
    return _local_path(entry.removeprefix(site_url) if entry.startswith(site_url + "/") else entry)


def _local_path(redirect: str) -> str | None:
    """Browsers read `\\` as `/` and `//host` as another site, so neither gets through, in any segment."""
    if not redirect.startswith("/") or "//" in urlsplit("x:" + redirect).path or redirect.startswith("//"):
        return None
    if "\\" in redirect or " " in redirect or has_control_characters(redirect) or len(redirect) > 2000:
        return None
    return redirect
