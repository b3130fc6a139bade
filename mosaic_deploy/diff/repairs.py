"""Requested repairs as changes to the migration history. Ambiguous requests are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from mosaic_deploy.diff.migration_status import migration_state
from mosaic_deploy.errors import Location, Problem, RepairRefused
from mosaic_deploy.model.change import Action, ForgetMigration, HistoryChange, RecordMigration
from mosaic_deploy.model.migration_status import HistoryEntry, MigrationState
from mosaic_deploy.model.snapshot import Migration

_COMMAND = "mosaic-deploy migrate repair"
UnitReference = tuple[str, int]
"""A version and the number of one of its units, from 1."""


@dataclass(frozen=True, slots=True)
class RepairRequest:
    """The options of `migrate repair`: files to accept, versions to forget or rename, units that did or didn't run."""

    accept: Sequence[str] = ()
    forget: Sequence[str] = ()
    rename: Sequence[str] = ()
    applied: Sequence[UnitReference] = ()
    not_applied: Sequence[UnitReference] = ()

    @property
    def empty(self) -> bool:
        return not (self.accept or self.forget or self.rename or self.applied or self.not_applied)


class _RepairImpossible(Exception):
    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class _FileAndEntry:
    """One version in the folder and in the ledger."""

    file: Migration | None
    entry: HistoryEntry | None

    def require_both(self) -> tuple[Migration, HistoryEntry]:
        """Raises _RepairImpossible if one side is missing."""
        if self.file is None:
            raise _RepairImpossible("isn't in the migrations folder")
        if self.entry is None:
            raise _RepairImpossible(
                "isn't in the migration history: it is pending", "`mosaic-deploy apply` applies it"
            )
        return self.file, self.entry


def repair_changes(
    request: RepairRequest, folder: Sequence[Migration], entries: Sequence[HistoryEntry]
) -> tuple[HistoryChange, ...]:
    """The changes for `request`, in numeric order. Raises RepairRefused listing every impossible one.

    Files that are named or differ from the ledger must be parsed (`semantic`, `prefix_checksums`).
    """
    files = {m.version: m for m in folder}
    known = {entry.migration.version: entry for entry in entries}
    found: list[HistoryChange] = []
    problems: list[Problem] = []
    for version, shown, repair in _requested_changes(request, folder):
        sides = _FileAndEntry(files.get(version), known.get(version))
        try:
            found.append(repair(sides))
        except _RepairImpossible as error:
            problems.append(Problem(error.message, Location(_display_name(sides, shown)), hint=error.hint))
    found.sort(key=lambda change: int(change.version))
    problems += _duplicate_problems(found)
    if problems:
        raise RepairRefused("this repair isn't possible", problems=problems)
    return tuple(found)


def _requested_changes(
    request: RepairRequest, folder: Sequence[Migration]
) -> Iterator[tuple[str, str, Callable[[_FileAndEntry], HistoryChange]]]:
    """(version, its name for messages, the function that makes the change) for each requested repair."""
    versions = {m.file: m.version for m in folder}
    for name in request.accept:
        yield versions.get(name, ""), name, _accept
    for version in request.forget:
        yield version, f"version {version}", _forget
    for version in request.rename:
        yield version, f"version {version}", _rename
    for version, unit in request.applied:
        yield version, f"version {version}", partial(_mark_applied, unit=unit)
    for version, unit in request.not_applied:
        yield version, f"version {version}", partial(_mark_not_applied, unit=unit)


def _display_name(sides: _FileAndEntry, shown: str) -> str:
    if sides.file:
        return sides.file.file
    return sides.entry.migration.file if sides.entry else shown


def _duplicate_problems(found: Sequence[HistoryChange]) -> Iterator[Problem]:
    for before, after in pairwise(found):
        if before.version == after.version:
            yield Problem(
                "has two repairs in one command", Location(after.file), hint="run them one after the other"
            )


def _accept(sides: _FileAndEntry) -> HistoryChange:
    file, entry = sides.require_both()
    row = entry.migration
    if entry.unknown:
        step = f"{row.version}:{entry.attempt}"
        raise _RepairImpossible(
            f"it is unknown whether step {entry.attempt} ran",
            f"record it first: `{_COMMAND} --applied {step}` or `{_COMMAND} --not-applied {step}`",
        )
    if file.checksum == row.checksum:
        raise _RepairImpossible("hasn't changed since it was applied: nothing to accept")
    if not row.applied and file.units != row.units:
        raise _RepairImpossible(
            f"is partly applied and now has {file.units} steps instead of {row.units}",
            "restore its steps, and put new statements in a new migration",
        )
    done = file.units if row.applied else row.units_done
    return _record_change(file, done, "marks the current file as applied; runs nothing")


def _forget(sides: _FileAndEntry) -> HistoryChange:
    if sides.entry is None:
        raise _RepairImpossible("isn't in the migration history")
    row = sides.entry.migration
    if sides.file is not None and row.applied and row.has_no_statements:
        reason = "had no statements when it was applied; the next apply runs what it contains now"
        return ForgetMigration(row.version, row.file, reason)
    if sides.file is not None:
        hint = "roll it back with `mosaic-deploy migrate rollback`, or remove the file first"
        raise _RepairImpossible(
            "is still in the folder: once forgotten, the next apply would run it again", hint
        )
    return ForgetMigration(row.version, row.file, "removes the history entry only; the database is unchanged")


def _rename(sides: _FileAndEntry) -> HistoryChange:
    file, entry = sides.require_both()
    if file.file == entry.migration.file:
        raise _RepairImpossible("already has the name it was applied under")
    if migration_state(file, entry) not in (MigrationState.APPLIED, MigrationState.REFORMATTED):
        raise _RepairImpossible(
            f"was applied as {entry.migration.file} and differs in more than the name: {migration_state(file, entry)}",
            "a file with different content is a different migration: give it a new number",
        )
    return _record_change(file, entry.migration.units_done, f"applied as {entry.migration.file}")


def _mark_applied(sides: _FileAndEntry, unit: int) -> HistoryChange:
    file, done = _require_unfinished(sides)
    if not done < unit <= file.units:
        raise _RepairImpossible(
            f"step {unit} isn't pending: {done} of {file.units} steps are recorded as applied"
        )
    return _record_change(file, unit, f"marks step {unit} of {file.units} as applied")


def _mark_not_applied(sides: _FileAndEntry, unit: int) -> HistoryChange:
    if sides.entry is None:
        raise _RepairImpossible(
            "isn't in the migration history: it is pending", "`mosaic-deploy apply` applies it"
        )
    file, done = _require_unfinished(sides, same=unit > 1)
    if not 1 <= unit <= min(done + 1, file.units):
        raise _RepairImpossible(
            f"step {unit} hasn't started: {done} of {file.units} steps are recorded as applied"
        )
    if unit == 1:
        reason = "marks no step as applied; the next apply starts over"
        return ForgetMigration(file.version, file.file, reason)
    return _record_change(file, unit - 1, f"marks step {unit} of {file.units} as not applied")


def _require_unfinished(sides: _FileAndEntry, *, same: bool = True) -> tuple[Migration, int]:
    """The file and the number of its committed units.

    Raises _RepairImpossible if it is fully applied or, with `same`, if its committed units were edited.
    """
    if sides.file is None:
        raise _RepairImpossible("isn't in the migrations folder")
    if sides.entry is None:
        return sides.file, 0
    row = sides.entry.migration
    if row.applied:
        raise _RepairImpossible("is fully applied", "`mosaic-deploy migrate rollback` rolls it back")
    unchanged = sides.file.prefix_checksums[row.units_done - 1 : row.units_done] == (row.semantic,)
    if same and row.units_done and not unchanged:
        raise _RepairImpossible(
            f"its first {row.units_done} steps differ from those that were applied", "restore them"
        )
    return sides.file, row.units_done


def _record_change(file: Migration, done: int, reason: str) -> RecordMigration:
    semantic = file.prefix_checksums[done - 1]
    return RecordMigration(
        file.version, file.file, file.checksum, semantic, file.units, done, Action.CHANGE, reason
    )
