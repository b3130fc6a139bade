"""The file `_headers` in the site folder, in the syntax of Netlify and Cloudflare Pages. Hosting sends no headers of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mosaic_deploy.errors import Location
from mosaic_deploy.model.plan import Note, Severity

HEADERS_FILE = "_headers"
_PROTECTING = frozenset(
    [
        "access-control-allow-origin",
        "basic-auth",
        "content-security-policy",
        "cross-origin-embedder-policy",
        "cross-origin-opener-policy",
        "cross-origin-resource-policy",
        "permissions-policy",
        "referrer-policy",
        "strict-transport-security",
        "x-frame-options",
    ]
)
"""Headers without which a site is open to attacks or doesn't work. Others are about caches and search engines."""
_MAX_SHOWN = 3


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """The headers for a path or pattern, by name as written; their values may be secret, as of `Basic-Auth`."""

    path: str
    names: tuple[str, ...]
    location: Location


def parse_headers(text: str, file: str) -> tuple[HeaderRule, ...]:
    """The rules of `text`, the content of `file`: a path, and below it indented `Name: value` lines."""
    found: list[tuple[str, list[str], Location]] = []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        name, colon, _ = content.partition(":")
        if content.startswith(("/", "http://", "https://")) or not colon:
            found.append((content, [], Location(file, number)))
        elif found:
            found[-1][1].append(name.strip())
    return tuple(HeaderRule(path, tuple(names), location) for path, names, location in found if names)


def header_notes(rules: tuple[HeaderRule, ...]) -> Iterator[Note]:
    """That hosting doesn't send them: a warning if some of them protect the site or its visitors, and those first."""
    if not rules:
        return
    protecting = [rule for rule in rules if any(name.lower() in _PROTECTING for name in rule.names)]
    shown = [*protecting, *(rule for rule in rules if rule not in protecting)][:_MAX_SHOWN]
    listed = [f"{rule.location} {rule.path}: {', '.join(rule.names)}" for rule in shown]
    more = [f"and {len(rules) - _MAX_SHOWN} more"] if len(rules) > _MAX_SHOWN else []
    yield Note(
        "headers_not_sent",
        f"{rules[0].location.file} isn't applied, because hosting sends no headers of a site: {'; '.join([*listed, *more])}",
        Severity.WARNING if protecting else Severity.INFO,
    )
