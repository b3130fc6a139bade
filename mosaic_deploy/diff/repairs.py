"""Repairs that were asked for, as changes to the ledger; what is ambiguous is refused, not guessed."""

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
"""A version and one of its parts, counted from 1."""


@dataclass(frozen=True, slots=True)
class RepairRequest:
    """What a person asks for: files to accept, versions to forget or rename, parts that ran or did not."""

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
        """Both sides. Raises _Refused where one is missing."""
        if self.file is None:
            raise _RepairImpossible("is not in the migrations folder")
        if self.entry is None:
            raise _RepairImpossible("is not in the ledger: it is pending", "`mosaic-deploy apply` applies it")
        return self.file, self.entry


def repair_changes(
    request: RepairRequest, folder: Sequence[Migration], entries: Sequence[HistoryEntry]
) -> tuple[HistoryChange, ...]:
    """The changes that grant `request`, in numeric order. Raises RepairRefused with everything that can't be.

    Files that are named, or differ from the ledger, must come with their meaning (`semantic`, `prefix_checksums`).
    """
    here = {m.version: m for m in folder}
    known = {entry.migration.version: entry for entry in entries}
    found: list[HistoryChange] = []
    problems: list[Problem] = []
    for version, shown, grant in _requested_changes(request, folder):
        sides = _FileAndEntry(here.get(version), known.get(version))
        try:
            found.append(grant(sides))
        except _RepairImpossible as refused:
            problems.append(
                Problem(refused.message, Location(_display_name(sides, shown)), hint=refused.hint)
            )
    found.sort(key=lambda change: int(change.version))
    problems += _duplicate_problems(found)
    if problems:
        raise RepairRefused("this can't be repaired so", problems=problems)
    return tuple(found)


def _requested_changes(
    request: RepairRequest, folder: Sequence[Migration]
) -> Iterator[tuple[str, str, Callable[[_FileAndEntry], HistoryChange]]]:
    """Each wish's version, how it is shown, and what grants it."""
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
            yield Problem("two repairs at once", Location(after.file), hint="make one after the other")


def _accept(sides: _FileAndEntry) -> HistoryChange:
    file, entry = sides.require_both()
    row = entry.migration
    if entry.unknown:
        part = f"{row.version}:{entry.attempt}"
        raise _RepairImpossible(
            f"whether part {entry.attempt} ran isn't known",
            f"say so first: `{_COMMAND} --applied {part}` or `{_COMMAND} --not-applied {part}`",
        )
    if file.checksum == row.checksum:
        raise _RepairImpossible("is as it was applied: there is nothing to accept")
    if not row.applied and file.units != row.units:
        raise _RepairImpossible(
            f"is partly applied, and has {file.units} parts now instead of {row.units}",
            "restore its first parts, and put the rest in a new migration",
        )
    done = file.units if row.applied else row.units_done
    return _record_change(file, done, "the file as it is now counts as applied")


def _forget(sides: _FileAndEntry) -> HistoryChange:
    if sides.entry is None:
        raise _RepairImpossible("is not in the ledger")
    row = sides.entry.migration
    if sides.file is not None and row.applied and row.has_no_statements:
        reason = "it had no statement when it was applied; the next apply runs what it has now"
        return ForgetMigration(row.version, row.file, reason)
    if sides.file is not None:
        hint = "undo it with `mosaic-deploy migrate rollback`, or remove the file first"
        raise _RepairImpossible(
            "is in the folder: if it were forgotten, the next apply would run it again", hint
        )
    return ForgetMigration(row.version, row.file, "its row in the ledger goes; the database stays as it is")


def _rename(sides: _FileAndEntry) -> HistoryChange:
    file, entry = sides.require_both()
    if file.file == entry.migration.file:
        raise _RepairImpossible("has the name it was applied by")
    if migration_state(file, entry) not in (MigrationState.APPLIED, MigrationState.REFORMATTED):
        raise _RepairImpossible(
            f"was applied as {entry.migration.file}, and isn't the same otherwise: {migration_state(file, entry)}",
            "a file of another content is another migration: give it a new number",
        )
    return _record_change(file, entry.migration.units_done, f"applied as {entry.migration.file}")


def _mark_applied(sides: _FileAndEntry, unit: int) -> HistoryChange:
    file, done = _require_unfinished(sides)
    if not done < unit <= file.units:
        raise _RepairImpossible(
            f"part {unit} isn't open: {done} of {file.units} parts are recorded as applied"
        )
    return _record_change(file, unit, f"part {unit} of {file.units} counts as applied")


def _mark_not_applied(sides: _FileAndEntry, unit: int) -> HistoryChange:
    if sides.entry is None:
        raise _RepairImpossible("is not in the ledger: it is pending", "`mosaic-deploy apply` applies it")
    file, done = _require_unfinished(sides, same=unit > 1)
    if not 1 <= unit <= min(done + 1, file.units):
        raise _RepairImpossible(
            f"part {unit} isn't begun: {done} of {file.units} parts are recorded as applied"
        )
    if unit == 1:
        reason = "no part of it counts as applied; the next apply begins it anew"
        return ForgetMigration(file.version, file.file, reason)
    return _record_change(file, unit - 1, f"part {unit} of {file.units} counts as not applied")


def _require_unfinished(sides: _FileAndEntry, *, same: bool = True) -> tuple[Migration, int]:
    """The file and its committed parts. Raises _Refused for a file that is applied or, with `same`, is not the
    one begun."""
    if sides.file is None:
        raise _RepairImpossible("is not in the migrations folder")
    if sides.entry is None:
        return sides.file, 0
    row = sides.entry.migration
    if row.applied:
        raise _RepairImpossible("is applied as a whole", "`mosaic-deploy migrate rollback` undoes it")
    kept = sides.file.prefix_checksums[row.units_done - 1 : row.units_done] == (row.semantic,)
    if same and row.units_done and not kept:
        raise _RepairImpossible(
            f"its first {row.units_done} parts aren't those that were applied", "restore them as they were"
        )
    return sides.file, row.units_done


def _record_change(file: Migration, done: int, reason: str) -> RecordMigration:
    semantic = file.prefix_checksums[done - 1]
    return RecordMigration(
        file.version, file.file, file.checksum, semantic, file.units, done, Action.CHANGE, reason
    )
