"""Which files of the static folder refer to one that can't be served from there, so that its address must change."""

from __future__ import annotations

import contextlib
import html
import itertools
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from urllib.parse import quote, unquote

from mosaic_deploy.errors import Location
from mosaic_deploy.source.files.local_file import LocalFile

_PAGE_SUFFIXES = frozenset({".html", ".css", ".svg"})
"""Relative addresses in them begin at their own folder."""
_SCRIPT_SUFFIXES = frozenset({".js", ".json"})
"""Relative addresses in them begin anywhere: at a page, or at a part that the script puts before."""
_MAX_SIZE = 5 * 1024 * 1024
_MAX_TOTAL = 64 * 1024 * 1024
"""Bytes of files that are searched, smaller ones first."""
_MAX_NAMES = 50
_MAX_SHOWN = 3
_UNQUOTED = "!$&'()*+,;=:@~"
"""What browsers leave as it is in a path, besides letters and digits."""
_BOUNDARIES = frozenset("\"'`()<>=,; \t\r\n")
"""Characters around an address, except those in the file's name."""

_STORAGE = "storage"
"""The folder of storage files in the addresses of the embedded platform."""


def moving_hint(files: Mapping[str, LocalFile], name: str, prefix: str, *, rewritten: bool = True) -> str:
    """What to do about the static file `name`, which is too large; `prefix` is that of the storage files.

    `rewritten` is whether `static.unsupported` is `storage` already.
    """
    if _suffix(name) == ".html":
        return "split the page, or leave it out with static.exclude: storage doesn't show pages"
    if not rewritten:
        return (
            "set `unsupported: storage` under static to serve it from storage, with the references to it rewritten; or leave it "
            "out with static.exclude"
        )
    hint = (
        "move it to the storage folder, or leave it out with static.exclude; either way its address changes"
    )
    places = reference_hints(files, [name], prefix).get(name)
    return f"{hint}. {places}" if places else f"{hint}, so correct what refers to it"


def reference_hints(files: Mapping[str, LocalFile], names: Iterable[str], prefix: str) -> Mapping[str, str]:
    """Of those of the static files `names` that others refer to: where, and the new address if it keeps its name.

    Only the first names are looked for.
    """
    found = find_references(files, list(itertools.islice(names, _MAX_NAMES)))
    return {name: _reference_hint(places, prefix + name) for name, places in found.items()}


def _reference_hint(places: Sequence[Location], stored: str) -> str:
    shown = ", ".join(str(place) for place in places[:_MAX_SHOWN])
    more = len(places) - _MAX_SHOWN
    shown += f" and {more} more" if more > 0 else ""
    return (
        f"{shown} {'refers' if len(places) == 1 else 'refer'} to it: for the storage file {stored}, write "
        f"/{_STORAGE}/{quote(stored)} there on the embedded platform, and on others the URL that `mosaic-deploy storage ls` "
        "shows after an apply"
    )


def find_references(
    files: Mapping[str, LocalFile], names: Collection[str]
) -> Mapping[str, Sequence[Location]]:
    """By name, the places in pages, stylesheets and scripts that have the address of a static file as plain text."""
    by_spelling: dict[str, list[str]] = {}
    for name in names:
        basename = posixpath.basename(name)
        for spelling in {basename, quote(basename), quote(basename, safe=_UNQUOTED), html.escape(basename)}:
            by_spelling.setdefault(spelling, []).append(name)
    places: dict[str, list[Location]] = {}
    if not by_spelling:
        return places
    pattern = re.compile("|".join(re.escape(each) for each in sorted(by_spelling, key=len, reverse=True)))
    for file, text in _texts(files):
        for found in pattern.finditer(text):
            for name in by_spelling[found[0]]:
                start, end = _address_at(text, *found.span(), _BOUNDARIES - set(name))
                if end == found.end() and _is_address_of(text[start:end], file.object.path, name):
                    line = text.count("\n", 0, start) + 1
                    column = start - text.rfind("\n", 0, start)
                    places.setdefault(name, []).append(Location(file.relative_path, line, column))
    return places


def _texts(files: Mapping[str, LocalFile]) -> Iterator[tuple[LocalFile, str]]:
    for file in _searched(files):
        with contextlib.suppress(OSError):
            yield file, file.source.read_bytes().decode(errors="replace")


def _searched(files: Mapping[str, LocalFile]) -> Iterator[LocalFile]:
    """The files to search, by path."""
    suffixes = _PAGE_SUFFIXES | _SCRIPT_SUFFIXES
    chosen: list[LocalFile] = []
    total = 0
    for file in sorted(files.values(), key=lambda file: file.object.size):
        if _suffix(file.object.path) in suffixes and file.object.size <= _MAX_SIZE:
            total += file.object.size
            if total > _MAX_TOTAL:
                break
            chosen.append(file)
    return iter(sorted(chosen, key=lambda file: file.object.path))


def _address_at(text: str, start: int, end: int, boundaries: frozenset[str]) -> tuple[int, int]:
    """The range of the address, without query and fragment, that has the range `start` to `end`."""
    while start > 0 and text[start - 1] not in boundaries:
        start -= 1
    while end < len(text) and text[end] not in boundaries and text[end] not in "?#&\\":
        end += 1
    return start, end


def _is_address_of(address: str, file: str, name: str) -> bool:
    """Whether `address`, written in the file named `file`, is that of the file `name`."""
    path = unquote(html.unescape(address.replace("\\/", "/")))
    if "://" in path or path.startswith("//"):
        return False
    if path.startswith("/"):
        return posixpath.normpath(path).lstrip("/") == name
    if posixpath.normpath(posixpath.join(posixpath.dirname(file), path)) == name:
        return True
    if _suffix(file) not in _SCRIPT_SUFFIXES:
        return False
    end = posixpath.normpath(path)
    while end.startswith("../"):
        end = end[3:]
    return name == end or name.endswith(f"/{end}")


def _suffix(name: str) -> str:
    return posixpath.splitext(name)[1].lower()
