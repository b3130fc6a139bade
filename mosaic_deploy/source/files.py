"""Folders of files: which of them are deployed, and their digests."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mosaic_deploy.errors import Location, Problem, SourceChanged, SourceRefused, SourceUnreadable
from mosaic_deploy.model.snapshot import Object

SERVED = frozenset(
    ".html .css .js .json .txt .svg .png .jpg .jpeg .gif .ico .webp".split()  # noqa: SIM905 - as the guide lists them
)
"""Suffixes that static hosting serves, from the platform's guide."""
NEVER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", ".git"})
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LocalFile:
    """One file to deploy: what it is called on the platform, and where it is on disk."""

    object: Object
    source: Path


@dataclass(frozen=True, slots=True)
class Selection:
    """`dir` relative to the project folder, and gitignore-style patterns relative to `dir`."""

    dir: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    prefix: str = ""


def read_files(root: Path, selection: Selection) -> dict[str, LocalFile]:
    """Every selected file by its name on the platform, hashed, in order of name.

    Raises SourceUnreadable, and SourceRefused for links that leave the project folder, special files and
    names that can't be sent; all of them at once.
    """
    base = root / selection.dir
    patterns = _Patterns(selection)
    problems: list[Problem] = []
    found: dict[str, LocalFile] = {}
    for path, name in _walk(base, root, patterns, problems):
        shown = path.relative_to(root).as_posix()
        if problem := _unsendable(path, shown, root):
            problems.append(problem)
        else:
            size, digest = _digest(path, shown)
            target = selection.prefix + name
            found[target] = LocalFile(Object(target, digest, size), path)
    if problems:
        raise SourceRefused("some files can't be deployed", problems=problems)
    return dict(sorted(found.items()))


def refuse_unserved(files: dict[str, LocalFile], root: Path) -> None:
    """Raises SourceRefused naming every file of a kind that static hosting doesn't serve."""
    problems = [
        Problem(
            f"static hosting doesn't serve {Path(name).suffix or 'files without a suffix'}",
            Location(file.source.relative_to(root).as_posix()),
        )
        for name, file in files.items()
        if Path(name).suffix.lower() not in SERVED
    ]
    if problems:
        raise SourceRefused(
            "some files are of kinds that static hosting doesn't serve",
            hint="leave them out with static.exclude, or move them to the storage folder; "
            f"served are {' '.join(sorted(SERVED))}",
            problems=problems,
        )


def read_unchanged(file: LocalFile) -> bytes:
    """The file's bytes, if they are still those that were hashed. Raises SourceChanged."""
    try:
        content = file.source.read_bytes()
    except OSError as error:
        raise changed(file.object.path) from error
    if hashlib.sha256(content).hexdigest() != file.object.sha256:
        raise changed(file.object.path)
    return content


def changed(path: str) -> SourceChanged:
    return SourceChanged(
        f"{path} changed on disk after the plan was made",
        hint="run the same command again for a new plan",
        location=Location(path),
    )


def _walk(base: Path, root: Path, patterns: _Patterns, problems: list[Problem]) -> Iterator[tuple[Path, str]]:
    """Files below `base` with their names relative to it; follows links that stay in the project folder.

    A folder that is excluded as a whole isn't entered; one that a link leads back to isn't entered again.
    """
    boundary = _real(root)
    pending: list[tuple[Path, tuple[Path, ...]]] = [(base, ())]
    while pending:
        folder, above = pending.pop()
        real = _real(folder)
        if real in above:
            continue
        for entry in _entries(folder, root):
            path = Path(entry.path)
            name = path.relative_to(base).as_posix()
            is_folder = _is_folder(entry)
            if entry.name in NEVER or not (patterns.enter(name) if is_folder else patterns.select(name)):
                continue
            if entry.is_symlink() and not _real(path).is_relative_to(boundary):
                problems.append(_leaves(path.relative_to(root).as_posix()))
            elif is_folder:
                pending.append((path, (*above, real)))
            else:
                yield path, name


def _real(path: Path) -> Path:
    # os.path rather than Path.resolve: a loop of links is just not there, and doesn't raise.
    return Path(os.path.realpath(path))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links, told by `_unsendable` like everything that can't be read
        return False


def _entries(folder: Path, root: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        shown = folder.relative_to(root).as_posix()
        raise SourceUnreadable(
            f"{shown} can't be read: {error.strerror}", location=Location(shown)
        ) from error


def _leaves(shown: str) -> Problem:
    return Problem(
        "a link that leaves the project folder", Location(shown), hint="copy the file, or exclude it"
    )


def _unsendable(path: Path, shown: str, root: Path) -> Problem | None:
    try:
        mode = path.stat().st_mode
        path.relative_to(root).as_posix().encode()
    except UnicodeEncodeError:
        return Problem("a name that isn't valid UTF-8", Location(shown.encode("utf-8", "replace").decode()))
    except OSError as error:
        return Problem(f"can't be read: {error.strerror}", Location(shown))
    if not stat.S_ISREG(mode):
        return Problem("neither a file nor a folder", Location(shown), hint="leave it out with exclude")
    if "\\" in shown or any(ord(c) < 32 or ord(c) == 127 for c in shown):
        return Problem("a backslash or control character in the name", Location(repr(shown)))
    return None


def _digest(path: Path, shown: str) -> tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                size += len(chunk)
                digest.update(chunk)
    except OSError as error:
        raise SourceUnreadable(
            f"{shown} can't be read: {error.strerror}", location=Location(shown)
        ) from error
    return size, digest.hexdigest()


class _Patterns:
    """Which names (relative to the folder) are selected; a dotfile only where `include` names one."""

    def __init__(self, selection: Selection) -> None:
        self._included = _patterns(selection.include)
        self._excluded = _patterns(selection.exclude)
        self._named = _patterns([line for line in selection.include if line[:1] == "!" or _hidden(line)])

    def select(self, name: str) -> bool:
        """Whether the file `name` is deployed."""
        if self._excluded and self._excluded(name):
            return False
        if _hidden(name) and not (self._named and self._named(name)):
            return False
        return self._included is None or self._included(name)

    def enter(self, name: str) -> bool:
        """Whether a file below the folder `name` can be selected at all."""
        if self._excluded and self._excluded(name + "/"):
            return False
        return self._named is not None or not _hidden(name)


def _hidden(name: str) -> bool:
    """Whether a part of a name, or of a pattern, begins with a dot."""
    return any(part.startswith(".") and part not in {".", ".."} for part in name.split("/"))


def _patterns(lines: Sequence[str]) -> Callable[[str], bool] | None:
    if not lines:
        return None
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(lines).match_file
