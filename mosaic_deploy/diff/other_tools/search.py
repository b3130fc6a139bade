"""Finds the file of each row: by checksum and name, by checksum, by name, and by title. A file belongs to one migration of the tool."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import TypeVar

from mosaic_deploy.diff.history.identity import MIGRATION_SQL
from mosaic_deploy.diff.history.matching import name_without_number
from mosaic_deploy.diff.other_tools.programs import AppFiles, revision_files
from mosaic_deploy.errors import Location, Problem
from mosaic_deploy.model.other_tools.tool import MigrationTool, Naming, OtherToolRow, ToolFile
from mosaic_deploy.model.snapshot import Migration, natural_order

_FOLDER_FILES = frozenset({MIGRATION_SQL, "up.sql"})
_NUMBER = re.compile(r"[0-9]{1,30}(?:\.[0-9]{1,30}){0,9}")
_LEADING_VERSION = re.compile(r"^(?:[VUB][0-9][0-9._]*__|[0-9]+[_-]?)")
"""Flyway's `V17.1__`, or a number."""
_CHECKSUM = re.compile(r"(?:sha1:)?[0-9a-f]{32,96}|-?[0-9]{1,10}")
_PROGRAM = re.compile(r"\.(xml|ya?ml|json|java|kt|groovy|py|[cm]?[jt]s|go|rb)$", re.IGNORECASE)
_Owner = tuple[str, str, str]
_Numbers = tuple[int, ...]
_K = TypeVar("_K")
_V = TypeVar("_V")


class FileSearch:
    """The files of a tool's rows.

    `found` are the rows with their files, `different` the migrations that the tool applied with another content, and
    `problems` the rows without a file, or with several.
    """

    def __init__(self, tool: MigrationTool, files: Sequence[ToolFile], rows: Sequence[OtherToolRow]) -> None:
        self._tool, self._files, self._rows = tool, files, rows
        self._names = _Names(files)
        self._by_owner: dict[_Owner, ToolFile] = {}
        self._taken: set[str] = set()
        self._ambiguous: dict[_Owner, Sequence[ToolFile]] = {}
        for find in self._ways():
            for row in rows:
                self._assign(row, find(row))

    @property
    def found(self) -> list[tuple[OtherToolRow, ToolFile]]:
        return [
            (row, self._by_owner[owner]) for row in self._rows if (owner := _owner(row)) in self._by_owner
        ]

    @property
    def different(self) -> tuple[Migration, ...]:
        edited = {
            file.migration.file: file.migration for row, file in self.found if self._is_edited(row, file)
        }
        return tuple(edited.values())

    def _is_edited(self, row: OtherToolRow, file: ToolFile) -> bool:
        """Whether the tool has run it with another content, as far as its checksum tells."""
        if self._tool.parts:
            now = self._tool.parts(file.content).get(row.part, "")
            return bool(now and row.checksum) and row.checksum != now
        known = bool(self._tool.checksums and _CHECKSUM.fullmatch(row.checksum))
        return known and not self._has_content(row, file)

    @property
    def problems(self) -> list[Problem]:
        rows = {_owner(row): row for row in self._rows if _owner(row) not in self._by_owner}
        return [self._problem(row) for row in rows.values()]

    def _ways(self) -> Iterator[Callable[[OtherToolRow], Sequence[ToolFile]]]:
        """The ways to find the file, the most certain first."""
        if self._tool.naming is Naming.REVISION:
            yield lambda row: revision_files(row.version, self._files)
        elif self._tool.naming is Naming.APP:
            apps = AppFiles(self._rows, self._files)
            yield lambda row: apps.find(row.name)
        else:
            if self._checksums:
                yield self._named_with_content
                yield self._with_content
            yield self._named
            yield self._titled

    def _assign(self, row: OtherToolRow, candidates: Sequence[ToolFile]) -> None:
        owner = _owner(row)
        if owner in self._by_owner or owner in self._ambiguous:
            return
        free = [file for file in candidates if file.migration.file not in self._taken]
        if len(free) > 1:
            self._ambiguous[owner] = free
        elif free:
            self._by_owner[owner] = free[0]
            self._taken.add(free[0].migration.file)

    @cached_property
    def _checksums(self) -> dict[str, frozenset[str]]:
        """By file; empty if the tool has none."""
        compute = self._tool.checksums
        if compute is None or not any(row.checksum for row in self._rows):
            return {}
        return {file.migration.file: compute(file.content) for file in self._files}

    def _has_content(self, row: OtherToolRow, file: ToolFile) -> bool:
        return row.checksum in self._checksums.get(file.migration.file, ())

    @cached_property
    def _by_checksum(self) -> Mapping[str, Sequence[ToolFile]]:
        files = {file.migration.file: file for file in self._files}
        return _grouped((each, files[name]) for name, sums in self._checksums.items() for each in sums)

    def _with_content(self, row: OtherToolRow) -> list[ToolFile]:
        """A free file with the row's checksum; one with its number or title before others."""
        same = self._by_checksum.get(row.checksum, ()) if row.checksum else ()
        free = [file for file in same if file.migration.file not in self._taken]
        number, title = row_number(row), self._title(row)
        return sorted(free, key=lambda file: (_number(file) != number, _title(file) != title))[:1]

    def _named_with_content(self, row: OtherToolRow) -> list[ToolFile]:
        """As `_with_content`, of the files that the row names."""
        return [file for file in self._named(row) if self._has_content(row, file)][:1]

    def _named(self, row: OtherToolRow) -> Sequence[ToolFile]:
        """The files that the row names: by path, by time, or by number and title."""
        naming, names = self._tool.naming, self._names
        if naming is not Naming.NUMBER and (exact := names.with_path(row.name)):
            return exact
        if naming is Naming.TIME:
            return names.at_time(row.version)
        number, title = row_number(row), self._title(row)
        numbered = names.by_number.get(number, ()) if number else ()
        return [file for file in numbered if not title or _title(file) == title]

    def _titled(self, row: OtherToolRow) -> Sequence[ToolFile]:
        """The only file with the row's title, whatever its number is now."""
        title = self._title(row)
        found = self._names.by_title.get(title, ()) if title else ()
        return found if len(found) == 1 else ()

    def _title(self, row: OtherToolRow) -> str:
        """The words of the row's name without its number: of `20240101000000_add_price`, of `V17.1__add_price.sql`."""
        if self._tool.naming is Naming.NUMBER:
            return _plain(row.name)
        return _plain(_LEADING_VERSION.sub("", PurePosixPath(row.name).name))

    def _problem(self, row: OtherToolRow) -> Problem:
        place = Location(row.name or row.version)
        if several := self._ambiguous.get(_owner(row)):
            names = ", ".join(file.migration.file for file in several)
            return Problem(f"may be any of several files: {names}", place)
        if _PROGRAM.search(row.name):
            return Problem("isn't an SQL file", place)
        number = row_number(row)
        others = self._names.by_number.get(number, ()) if number else ()
        but = f"; {others[0].migration.file} has its number, but another name" if others else ""
        return Problem(f"has no file in the migrations folder{but}", place)


def row_number(row: OtherToolRow) -> _Numbers | None:
    """The number of the row's file. A row without a version has it at the start of its name."""
    found = _NUMBER.fullmatch(row.version) if row.version else _NUMBER.match(PurePosixPath(row.name).name)
    return natural_order(found.group())[0] if found else None


def _owner(row: OtherToolRow) -> _Owner:
    """What rows about the same migration have in common. The parts of a file have checksums of their own."""
    return row.version, row.name, "" if row.part else row.checksum


def _number(file: ToolFile) -> _Numbers:
    """Empty for a file without a number."""
    return natural_order(file.migration.version)[0]


def _title(file: ToolFile) -> str:
    return _plain(name_without_number(file.migration.file))


def _plain(name: str) -> str:
    return re.sub(r"[^0-9a-z]+", "_", name.lower().removesuffix(".sql")).strip("_")


class _Names:
    """The files by what a row may say about them."""

    def __init__(self, files: Sequence[ToolFile]) -> None:
        self.by_number = _grouped((_number(file), file) for file in files)
        self.by_title = _grouped((_title(file), file) for file in files)
        self._by_time = _grouped((file.time, file) for file in files if file.time)
        paths = [(path, file) for file in files for path in _paths(file)]
        self._by_path = _grouped(paths)
        self._by_last_part = _grouped((path.name, (path, file)) for path, file in paths)

    def with_path(self, name: str) -> Sequence[ToolFile]:
        """The files whose path is the name, else those of which one is the end of the other."""
        wanted = PurePosixPath(name)
        if not name or wanted in self._by_path:
            return self._by_path.get(wanted, ())
        return [file for path, file in self._by_last_part.get(wanted.name, ()) if _is_end(wanted, path)]

    def at_time(self, milliseconds: str) -> Sequence[ToolFile]:
        """The files with this time, or with its second: the names of Drizzle's folders have no milliseconds."""
        return self._by_time.get(milliseconds) or self._by_time.get(f"{milliseconds[:-3]}000", ())


def _grouped(pairs: Iterable[tuple[_K, _V]]) -> Mapping[_K, Sequence[_V]]:
    found: dict[_K, list[_V]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def _paths(file: ToolFile) -> list[PurePosixPath]:
    """The file's path with and without its suffix; also the folder that is a migration."""
    path = PurePosixPath(file.migration.file)
    stem = path.with_suffix("")
    found = [path, stem, stem.with_suffix("")] if stem.suffix == ".up" else [path, stem]
    return [*found, path.parent] if path.name in _FOLDER_FILES else found


def _is_end(one: PurePosixPath, other: PurePosixPath) -> bool:
    length = min(len(one.parts), len(other.parts))
    return one.parts[-length:] == other.parts[-length:]
