"""Which files of the folder another migration tool has applied, according to its history."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mosaic_deploy.diff.history.matching import name_without_number
from mosaic_deploy.errors import HistoryImportRefused, Location, Problem
from mosaic_deploy.model.migration_history import HistoryState, MigrationTool, OtherToolRow
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import BEFORE_ALL, Migration

_DIGITS = re.compile(r"[0-9]+")
_LEADING_VERSION = re.compile(r"^(?:[VUB][0-9][0-9._]*__|[0-9]+[_-]?)")
"""Flyway's `V17.1__`, or a number."""
_CHECKSUM = re.compile(r"[0-9a-f]{64}|-?[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class AppliedFiles:
    """Versions of the files that the tool has applied, and those of them that it applied with another content."""

    versions: frozenset[str]
    different: tuple[Migration, ...] = ()


def applied_files(
    tool: MigrationTool,
    rows: Sequence[OtherToolRow],
    folder: Sequence[Migration],
    checksums: Mapping[str, frozenset[str]],
) -> AppliedFiles:
    """The files that the tool has applied. `checksums` are those of `file_checksums` by file name.

    Raises HistoryImportRefused with every row that failed, or that has no file in the folder.
    """
    problems = [_failed_problem(row) for row in rows if row.state is HistoryState.FAILED]
    if problems:
        message = f"{tool.name}'s history contains a failed migration"
        hint = f"resolve it with {tool.name} first, then import"
        raise HistoryImportRefused(message, problems=problems, hint=hint)
    if tool.cumulative and len(rows) > 1:
        heads = [Problem("is one of several heads", Location(row.version)) for row in rows]
        hint = f"merge them into one head with {tool.name} first"
        raise HistoryImportRefused(f"{tool.name}'s history has {len(rows)} heads", problems=heads, hint=hint)
    search = _FileSearch(tool, folder, checksums)
    applied: set[str] = set()
    for row in rows:
        if row.state is HistoryState.REPEATABLE:
            continue
        found = search.find(row)
        if found is None:
            problems.append(search.missing_problem(row))
        elif row.state is HistoryState.ROLLED_BACK:
            applied.discard(found.version)
        else:
            upto = tool.cumulative or row.state is HistoryState.BASELINE
            applied |= {m.version for m in folder if upto and m.order <= found.order} or {found.version}
    if problems:
        message = f"{tool.name} has applied migrations that aren't in the folder"
        hint = "add the files under their version numbers: 0001_name.sql or 20261123120000_name.sql"
        raise HistoryImportRefused(message, problems=problems, hint=hint)
    different = tuple(file for file in search.different.values() if file.version in applied)
    return AppliedFiles(frozenset(applied), different)


def gap_notes(tool: MigrationTool, applied: frozenset[str], folder: Sequence[Migration]) -> Iterator[Note]:
    """Notes on files that the tool skipped, which would be pending before applied ones."""
    newest = max((file.order for file in folder if file.version in applied), default=BEFORE_ALL)
    for file in folder:
        if file.version not in applied and file.order < newest:
            message = (
                f"{file.file} isn't in {tool.name}'s history, but newer migrations are; the next plan will fail "
                "unless you pass --allow-out-of-order"
            )
            yield Note("import_gap", message, Severity.WARNING, (f"history:{file.file}",))


def repeatable_notes(tool: MigrationTool, rows: Sequence[OtherToolRow]) -> Iterator[Note]:
    """A note on repeatable migrations, which have no version and can't be imported."""
    names = sorted({row.name for row in rows if row.state is HistoryState.REPEATABLE})
    if names:
        message = f"{tool.name} runs {', '.join(names)} again on every change; repeatable migrations aren't imported"
        yield Note("import_repeatable", message, Severity.WARNING)


def _failed_problem(row: OtherToolRow) -> Problem:
    return Problem("failed", Location(row.name or row.version))


class _FileSearch:
    """Finds the file of each row: by checksum, else by number and name. A file belongs to one migration of the tool."""

    def __init__(
        self, tool: MigrationTool, folder: Sequence[Migration], checksums: Mapping[str, frozenset[str]]
    ) -> None:
        self._tool, self._folder, self._checksums = tool, folder, checksums
        self._owners: dict[str, tuple[str, str]] = {}
        self.different: dict[str, Migration] = {}

    def find(self, row: OtherToolRow) -> Migration | None:
        owner = (row.version, _row_name(row))
        free = [m for m in self._folder if self._owners.get(m.file, owner) == owner]
        found = self._by_revision(row) if self._tool.revisions else self._by_content(row, free)
        if found is None and not self._tool.revisions:
            found = self._by_name(row, free)
            if found and _has_checksum(row) and self._checksums:
                self.different[found.file] = found
        if found:
            self._owners[found.file] = owner
        return found

    def missing_problem(self, row: OtherToolRow) -> Problem:
        number = _row_number(row)
        other = next((m.file for m in self._folder if number and m.version == number), None)
        but = f"; {other} has its number, but another name" if other else ""
        return Problem(f"has no file in the migrations folder{but}", Location(row.name or row.version))

    def _by_content(self, row: OtherToolRow, free: Sequence[Migration]) -> Migration | None:
        """The file with the row's checksum; of several, the one with its number or name."""
        same = [m for m in free if row.checksum and row.checksum in self._checksums.get(m.file, ())]
        number, name = _row_number(row), _row_name(row)
        same.sort(key=lambda m: (m.version != number, _plain(name_without_number(m.file)) != name))
        return same[0] if same else None

    def _by_name(self, row: OtherToolRow, free: Sequence[Migration]) -> Migration | None:
        """The file with the row's number, unless it has another name; else the only one with its name."""
        number, name = _row_number(row), _row_name(row)
        named = [m for m in free if name and _plain(name_without_number(m.file)) == name]
        numbered = next((m for m in free if m.version == number), None)
        if numbered and (not name or numbered in named):
            return numbered
        return named[0] if len(named) == 1 else None

    def _by_revision(self, row: OtherToolRow) -> Migration | None:
        """The file with the revision in its name. Raises HistoryImportRefused if there are several."""
        pattern = re.compile(rf"(?<![0-9A-Za-z]){re.escape(row.version)}(?![0-9A-Za-z])")
        found = [m for m in self._folder if pattern.search(m.file)]
        if len(found) > 1:
            problems = [
                Problem(f"has the revision {row.version} in its name", Location(m.file)) for m in found
            ]
            raise HistoryImportRefused("several files have the same revision", problems=problems)
        return found[0] if found else None


def _row_number(row: OtherToolRow) -> str | None:
    """The version as a file's number. A version that is also the name (Prisma) only begins with it."""
    found = (_DIGITS.match if row.version == row.name else _DIGITS.fullmatch)(row.version)
    return str(int(found.group())) if found else None


def _row_name(row: OtherToolRow) -> str:
    """The words of the row's name, without its number: of `20240101000000_add_price`, of `V17.1__add_price.sql`.

    Empty for a baseline, which has no file.
    """
    if row.state is HistoryState.BASELINE:
        return ""
    return _plain(_LEADING_VERSION.sub("", row.name))


def _plain(name: str) -> str:
    return re.sub(r"[^0-9a-z]+", "_", name.lower().removesuffix(".sql")).strip("_")


def _has_checksum(row: OtherToolRow) -> bool:
    """Whether the row has a checksum of the kind that the tools write: SHA-256, or CRC-32 as a number."""
    return bool(_CHECKSUM.fullmatch(row.checksum))


def file_checksums(tool: MigrationTool, text: str) -> frozenset[str]:
    """The checksums that the tool may have computed for a file, with either kind of line end; empty if it has none.

    `text` has LF line ends.
    """
    if tool.name == "prisma":
        texts = (text, text.replace("\n", "\r\n"))
        return frozenset(hashlib.sha256(each.encode()).hexdigest() for each in texts)
    if tool.name == "flyway":
        crc = zlib.crc32(re.sub(r"[\r\n]", "", text).encode())
        return frozenset({str(crc - (1 << 32) if crc >= 1 << 31 else crc)})
    return frozenset()
