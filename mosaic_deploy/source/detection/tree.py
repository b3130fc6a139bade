"""The names of the files and folders below a folder, read once and with a limit."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mosaic_deploy.errors import SourceUnreadable
from mosaic_deploy.source.manifest.find import MANIFEST_NAMES

MAX_ENTRIES = 150_000
_MAX_DEPTH = 14
_MAX_SETTINGS = 512 * 1024
"""Bytes of a file with settings; larger ones aren't read."""
_SKIPPED = frozenset(
    "node_modules bower_components vendor venv virtualenv target __pycache__ site-packages Pods".split()  # noqa: SIM905 - shorter
)
_HIDDEN = frozenset({".vitepress", ".vuepress", ".output", ".well-known"})
"""Hidden folders in which a site may be, or that are part of one."""
_SAMPLES = frozenset(
    "example examples examplesite sample samples demo demos test tests __tests__ e2e cypress spec fixture fixtures testdata "  # noqa: SIM905
    "playground playgrounds template templates benchmark benchmarks coverage htmlcov lcov-report playwright-report".split()
)
_SAMPLE_WORDS = frozenset("example examples test tests e2e fixture fixtures testdata".split())  # noqa: SIM905
"""First or last words in the names of such folders, as in `test_migrations` and `app-tests`."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The names directly in a folder, sorted."""

    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


_EMPTY = Folder()


@dataclass(frozen=True, slots=True)
class Tree:
    """The folders below `root` by their relative POSIX path (`.` for the root itself), the upper ones first.

    Without hidden folders, installed packages, links, names with control characters, and folders with a manifest of their own.
    """

    root: Path
    folders: dict[str, Folder] = field(default_factory=dict)
    complete: bool = True
    """Whether the limit was enough for all of them."""

    def files(self, folder: str) -> tuple[str, ...]:
        return self.folders.get(folder, _EMPTY).files

    def subfolders(self, folder: str) -> tuple[str, ...]:
        return self.folders.get(folder, _EMPTY).folders

    def has(self, path: str) -> bool:
        """Whether there is a file at `path`."""
        parent, _, name = path.rpartition("/")
        return name in self.files(parent or ".")

    def names_below(self, folder: str) -> Iterator[str]:
        """The files in `folder` and its subfolders, relative to it."""
        pending = [folder]
        while pending:
            place = pending.pop()
            prefix = "" if place == folder else f"{relative(place, folder)}/"
            yield from (f"{prefix}{name}" for name in self.files(place))
            pending += [join(place, name) for name in self.subfolders(place)]

    def find(self, folder: str, pattern: re.Pattern[str]) -> str | None:
        """The path of the first file in `folder` whose whole name matches."""
        return next((join(folder, name) for name in self.files(folder) if pattern.fullmatch(name)), None)

    def read(self, path: str | None) -> str:
        """The text of a file with settings; empty if there is none, or it can't be read as text."""
        if path is None:
            return ""
        file = self.root / path
        try:
            if file.stat().st_size > _MAX_SETTINGS:
                return ""
            return file.read_text("utf-8-sig")
        except (OSError, ValueError):
            return ""


def read_tree(root: Path, limit: int = MAX_ENTRIES) -> Tree:
    """The names below `root`, at most `limit`. Raises SourceUnreadable if the root can't be read."""
    found: dict[str, Folder] = {}
    pending = ["."]
    count = 0
    for place in pending:
        entry = _read_folder(root, place)
        if place != "." and ("pyvenv.cfg" in entry.files or set(MANIFEST_NAMES) & set(entry.files)):
            continue
        count += len(entry.folders) + len(entry.files)
        if count > limit:
            return Tree(root, found, complete=False)
        found[place] = entry
        if place.count("/") < _MAX_DEPTH:
            pending += [join(place, name) for name in entry.folders]
    return Tree(root, found)


def _read_folder(root: Path, place: str) -> Folder:
    folders, files = [], []
    try:
        with os.scandir(root / place) as entries:
            for entry in entries:
                if not entry.name.isprintable():
                    continue  # it would be in comments and messages
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _SKIPPED and (entry.name[0] != "." or entry.name in _HIDDEN):
                        folders.append(entry.name)
                elif entry.is_file():
                    files.append(entry.name)
    except OSError as error:
        if place == ".":
            raise SourceUnreadable(f"{root} can't be read: {error.strerror}") from None
    return Folder(tuple(sorted(folders)), tuple(sorted(files)))


def join(folder: str, path: str) -> str:
    """`folder`/`path` without `.` and `..`; it may begin with `..`."""
    return os.path.normpath(f"{folder}/{path}").replace(os.sep, "/")


def relative(path: str, folder: str) -> str:
    return os.path.relpath(path, folder).replace(os.sep, "/")


def upwards(folder: str) -> Iterator[str]:
    """`folder`, the one that it is in, and so on to the root, `.`."""
    yield folder
    while folder != ".":
        folder = folder.rpartition("/")[0] or "."
        yield folder


def is_below(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or in it."""
    return folder in (".", path) or path.startswith(f"{folder}/")


def is_sample(path: str) -> bool:
    """Whether a part of the path is named like examples, tests or their reports."""
    parts = [part.lower() for part in PurePosixPath(path).parts]
    words = [re.split(r"[-_]", part) for part in parts]
    return not _SAMPLES.isdisjoint(parts) or any(
        {each[0], each[-1]} & _SAMPLE_WORDS for each in words if len(each) > 1
    )


def listed_text(paths: Sequence[str], most: int = 5) -> str:
    """`a, b and 3 more`."""
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(paths[:most]) + more
