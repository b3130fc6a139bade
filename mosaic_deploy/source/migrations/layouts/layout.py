"""What a layout is, and what it finds in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path, PurePosixPath

from mosaic_deploy.errors import Problem, SourceUnreadable

_SKIPPED = frozenset({"node_modules", "__pycache__"})
DRAFT_FILE = "draft.sql"
"""The draft in the migrations folder, which isn't a migration. See draft.py."""


@dataclass(frozen=True)
class FolderContent:
    """The names of the files in a folder and its subfolders, relative to it, in order; without hidden ones."""

    folder: Path
    names: tuple[str, ...]

    @cached_property
    def top(self) -> tuple[str, ...]:
        """The names directly in the folder."""
        return tuple(name for name in self.names if "/" not in name)

    @cached_property
    def subfolders(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the files directly in each subfolder."""
        found: dict[str, list[str]] = {}
        for name in self.names:
            folder, _, file = name.partition("/")
            if file and "/" not in file:
                found.setdefault(folder, []).append(file)
        return {folder: tuple(files) for folder, files in found.items()}

    def read_text(self, name: str) -> str:
        """Raises SourceUnreadable."""
        try:
            return (self.folder / name).read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise SourceUnreadable(f"{name} in the migrations folder can't be read: {error}") from error


def read_content(folder: Path) -> FolderContent:
    """Reads names only. Links to folders aren't followed. Raises SourceUnreadable."""

    def refuse(error: OSError) -> None:
        raise SourceUnreadable(f"the migrations folder can't be read: {error}") from error

    names = []
    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _SKIPPED]
        inside = Path(place).relative_to(folder)
        names += [(inside / name).as_posix() for name in files if not name.startswith(".")]
    return FolderContent(folder, tuple(sorted(names)))


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A migration: its path in the folder, its number with dots, "" if it has none, and its name in the folder.

    The name tells it from files with the same number.
    """

    file: str
    number: str
    name: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The migrations in the order of the tool. `repeatable` are files that run again when they change."""

    files: tuple[ListedFile, ...]
    repeatable: tuple[str, ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()
    """(file, why it isn't a migration), for files that look like one."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with names and lists. Locations are relative to the folder."""


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to create; `text` is its content, with `{title}` for the title."""

    file: str
    text: str


@dataclass(frozen=True, slots=True)
class NewMigration:
    """What a new migration is made from: the folder's files in order, the slug of its title, and the time."""

    content: FolderContent
    existing: Sequence[str]
    slug: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Layout:
    """How a tool lays out its folder.

    `evidence` returns names that only this layout has. `new` names the files of a new migration, the first of them the one
    that runs; it is None if only the tool itself can make one, and then `new_hint` says how.
    """

    name: str
    title: str
    evidence: Callable[[FolderContent], Sequence[str]]
    list: Callable[[FolderContent], Listing]
    new: Callable[[NewMigration], Sequence[NewFile]] | None
    new_hint: str = ""
    draft: str = DRAFT_FILE
    explains: Callable[[FolderContent], bool] = lambda _: False
    """Whether the folder is certainly of this layout, whatever else is in it."""


def is_sql(name: str) -> bool:
    return name.lower().endswith(".sql")


def is_down(name: str) -> bool:
    return name.lower().endswith(".down.sql")


def stem(name: str) -> str:
    """`0001_a` of `v1/0001_a.up.sql`."""
    file = PurePosixPath(name).name
    for suffix in (".sql", ".up"):
        if file.lower().endswith(suffix):
            file = file[: -len(suffix)]
    return file


def plain_number(digits: str) -> str:
    """`1.2` of `01_2`: without leading zeros, with dots."""
    return ".".join(part.lstrip("0") or "0" for part in digits.replace("_", ".").split("."))


def ignored(names: Sequence[str], why: str) -> Iterator[tuple[str, str]]:
    return ((name, why) for name in names)
