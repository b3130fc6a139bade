"""Pages that send the browser on, for hosting without redirects."""

from __future__ import annotations

import html
import json
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import unquote, urlsplit

from mosaic_deploy.source.routes.redirects_file import Redirect

_OTHER_TYPES = frozenset(
    [
        ".avif",
        ".css",
        ".eot",
        ".gif",
        ".ico",
        ".jpeg",
        ".jpg",
        ".js",
        ".json",
        ".map",
        ".mjs",
        ".mp3",
        ".mp4",
        ".pdf",
        ".png",
        ".rss",
        ".atom",
        ".svg",
        ".ttf",
        ".txt",
        ".wasm",
        ".webm",
        ".webmanifest",
        ".webp",
        ".woff",
        ".woff2",
        ".xml",
        ".zip",
    ]
)
"""Endings of files that programs read: a page in their place would be wrong."""


def is_page_path(path: str) -> bool:
    """Whether a page may answer `path`, and not only a file of another type."""
    return posixpath.splitext(path)[1].lower() not in _OTHER_TYPES


def stub_name(source: str) -> str:
    """The file that answers the path `source`, with and without a slash at its end."""
    name = unquote(source).strip("/")
    if name.endswith(".html"):
        return name
    return f"{name}/index.html" if name else "index.html"


def stub_page(redirect: Redirect) -> bytes:
    """The page for a redirect. It keeps the query and fragment of the request unless the target has its own.

    A target of the same site is relative, so that it also works where the site is below a path. A permanent redirect names its
    target as canonical, a temporary one asks search engines not to list the page.
    """
    target = _relative(redirect)
    shown = html.escape(target)
    parts = urlsplit(redirect.target)
    script = _script_text(target.partition("#")[0])
    script += "" if parts.query else "+location.search"
    script += f"+{_script_text('#' + parts.fragment)}" if parts.fragment else "+location.hash"
    about = (
        f'<link rel="canonical" href="{shown}">'
        if redirect.permanent
        else '<meta name="robots" content="noindex">'
    )
    return (
        "<!doctype html>\n"
        f'<html lang="en">\n<meta charset="utf-8">\n<title>Redirecting to {html.escape(redirect.target)}</title>\n'
        f"{about}\n"
        f"<script>location.replace({script})</script>\n"
        f'<noscript><meta http-equiv="refresh" content="0; url={shown}"></noscript>\n'
        f'<a href="{shown}">{html.escape(redirect.target)}</a>\n'
        "</html>\n"
    ).encode()


def moved_stubs(
    redirects: Mapping[str, Redirect], moved_address: Callable[[str], str | None]
) -> dict[str, bytes]:
    """By name, the pages of redirects to files in storage. `moved_address` is the new address of one, None for others."""
    targets = {name: moved_address(each.target) for name, each in redirects.items()}
    return {name: stub_page(replace(redirects[name], target=new)) for name, new in targets.items() if new}


def _relative(redirect: Redirect) -> str:
    target = redirect.target
    if not target.startswith("/") or target.startswith("//"):
        return target
    depth = stub_name(redirect.source).count("/")
    return ("../" * depth or "./") + target[1:]


def _script_text(text: str) -> str:
    return json.dumps(text).replace("<", "\\u003c")
