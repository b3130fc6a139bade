"""The file `_redirects` in the site folder, in the syntax of Netlify and Cloudflare Pages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mosaic_deploy.errors import Location, Problem

REDIRECTS_FILE = "_redirects"
_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
_EVERY_PATH = "/*"
_STATUS = re.compile(r"([0-9]{3})(!?)")
_PLACEHOLDER = re.compile(r"/:[A-Za-z]")
_MAX_LENGTH = 2000


@dataclass(frozen=True, slots=True)
class Redirect:
    """From the path `source` to `target`, a path of the site or a URL, both as written.

    `field` is its field in the manifest; empty in a `_redirects` file. `location` is of the source, `target_location` of
    the target.
    """

    source: str
    target: str
    status: int
    location: Location
    target_location: Location
    field: str = ""

    @property
    def permanent(self) -> bool:
        return self.status in (301, 308)


@dataclass(frozen=True, slots=True)
class RedirectsFile:
    """What a `_redirects` file asks for. `fallback` is a page for all unknown paths, with its place."""

    redirects: tuple[Redirect, ...] = ()
    fallback: tuple[str, Location] | None = None
    problems: tuple[Problem, ...] = ()
    """Rules that a host of files can't answer."""


def parse_redirects(text: str, file: str) -> RedirectsFile:
    """The rules of `text`, the content of `file`. Of two rules for all paths, the first counts."""
    redirects: list[Redirect] = []
    problems: list[Problem] = []
    fallback: tuple[str, Location] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        words = _words(line)
        if not words:
            continue
        location = Location(file, number)
        parsed = _parse_rule(words, location)
        if isinstance(parsed, Problem):
            problems.append(parsed)
        elif parsed.source != _EVERY_PATH:
            redirects.append(parsed)
        elif fallback is None:
            fallback = parsed.target, location
    return RedirectsFile(tuple(redirects), fallback, tuple(problems))


def _words(line: str) -> list[str]:
    """The words before a comment."""
    words = line.split() if len(line) <= _MAX_LENGTH else line[:_MAX_LENGTH].split(maxsplit=1)[:1]
    comment = next((n for n, word in enumerate(words) if word.startswith("#")), len(words))
    return words[:comment]


def _parse_rule(words: Sequence[str], location: Location) -> Redirect | Problem:
    """A redirect, or the fallback as a redirect of every path, or why it isn't possible."""
    source, rest = words[0], list(words[1:])
    parameters = []
    while rest and "=" in rest[0] and not _is_target(rest[0]):
        parameters.append(rest.pop(0))
    target = rest.pop(0) if rest and _is_target(rest[0]) else ""
    status, forced, conditions = 301, False, rest
    if rest and (found := _STATUS.fullmatch(rest[0])):
        status, forced, conditions = int(found[1]), bool(found[2]), rest[1:]
    reason = next(_reasons(source, target, status, [*parameters, *conditions]), None)
    if reason is None and forced and status == 404:
        reason = "a forced 404 (hosting answers files that exist)"
    if reason:
        return Problem(f"{source[:80]}: {reason}", location)
    return Redirect(source, target, status, location, location)


def _reasons(source: str, target: str, status: int, conditions: Sequence[str]) -> Iterator[str]:
    """Why a rule can't become files."""
    if not source.startswith("/") or source.startswith("//"):
        yield "rules for other hosts aren't possible" if "://" in source else "the path doesn't start with /"
    if not target:
        yield "no path or URL that it leads to"
    if conditions:
        yield f"depends on the request ({' '.join(conditions)[:80]})"
    if source == _EVERY_PATH and (status in (200, 404)) and not _is_url(target) and ":splat" not in target:
        return
    if status == 200:
        yield f"{'a proxy' if _is_url(target) else 'a rewrite'} (200) isn't possible"
    if status not in _REDIRECT_STATUSES:
        yield f"the status {status} isn't possible"
    if "*" in source or has_placeholder(source):
        yield "wildcards and placeholders aren't possible"
    if "?" in source or "#" in source:
        yield "depends on the request's query"


def has_placeholder(source: str) -> bool:
    """Whether a part of the path stands for any text: `/posts/:id`."""
    return _PLACEHOLDER.search(source) is not None


def _is_target(word: str) -> bool:
    return word.startswith("/") or _is_url(word)


def _is_url(target: str) -> bool:
    return target.startswith(("http://", "https://", "//"))
