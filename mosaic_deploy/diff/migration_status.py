"""How each migration stands: the folder against the ledger, file by file, with the ways to put it right."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mosaic_deploy.diff.migrations import statements_differ
from mosaic_deploy.errors import NextAction
from mosaic_deploy.model.migration_status import HistoryEntry, MigrationState, MigrationStatus
from mosaic_deploy.model.snapshot import Migration

_UNFINISHED_STATES = (
    MigrationState.FAILED,
    MigrationState.UNKNOWN,
    MigrationState.PARTIAL,
    MigrationState.PENDING,
)
"""What stands as the run that failed left it; of any other standing that run's failure is no cause."""
_REPAIR = "mosaic-deploy migrate repair"


def changed_versions(folder: Sequence[Migration], entries: Sequence[HistoryEntry]) -> list[str]:
    """Versions whose files must be parsed before `migration_statuses`: begun or applied with other bytes."""
    begun = {entry.migration.version: entry.migration for entry in entries}
    return [m.version for m in folder if m.version in begun and begun[m.version].checksum != m.checksum]


def migration_statuses(
    folder: Sequence[Migration], entries: Sequence[HistoryEntry]
) -> tuple[MigrationStatus, ...]:
    """Every migration of either side, in numeric order."""
    here = {m.version: m for m in folder}
    known = {entry.migration.version: entry for entry in entries}
    return tuple(
        _migration_status(here.get(version), known.get(version))
        for version in sorted(here.keys() | known.keys(), key=int)
    )


def _migration_status(file: Migration | None, entry: HistoryEntry | None) -> MigrationStatus:
    if entry is None:
        assert file is not None
        return MigrationStatus(file.version, file.file, MigrationState.PENDING)
    standing = migration_state(file, entry)
    if standing not in _UNFINISHED_STATES:
        entry = replace(entry, cause="")
    name = file.file if file else entry.migration.file
    applied_as = entry.migration.file if file and entry.migration.file != name else ""
    ways = tuple(_next_actions(standing, file, entry, applied_as))
    return MigrationStatus(entry.migration.version, name, standing, entry, applied_as, ways)


def migration_state(file: Migration | None, entry: HistoryEntry) -> MigrationState:
    """How the ledger's row stands to the folder's file of its version."""
    row = entry.migration
    if entry.unknown:
        return MigrationState.UNKNOWN
    if file is None:
        return MigrationState.MISSING if row.units_done else MigrationState.PENDING
    if row.units_done and statements_differ(file, row):
        return MigrationState.EDITED
    if row.applied:
        return MigrationState.APPLIED if file.checksum == row.checksum else MigrationState.REFORMATTED
    return MigrationState.FAILED if entry.failed else _partial_or_pending(row)


def _partial_or_pending(row: Migration) -> MigrationState:
    return MigrationState.PARTIAL if row.units_done else MigrationState.PENDING


def edited_file_actions(file: Migration, row: Migration) -> Iterator[NextAction]:
    """What can be done about a file that means something else than what of it was applied."""
    if row.applied and row.has_no_statements:
        yield NextAction(
            f"if what {file.file} says now is still to be run: forget the version without a statement",
            f"{_REPAIR} --forget {row.version}",
        )
    if row.applied or file.units == row.units:
        yield _repair_action(
            f"if the database is already as {file.file} says now: record that, and run nothing",
            f"--accept {shlex.quote(file.file)}",
        )
    if not row.applied:
        yield _repair_action("if what was applied of it was undone by hand", f"--not-applied {row.version}:1")


def missing_file_action(row: Migration) -> NextAction:
    """What can be done about an applied file that is gone, besides putting it back."""
    return _repair_action(f"if {row.file} is gone for good", f"--forget {row.version}")


def _repair_action(when: str, option: str) -> NextAction:
    """A repair says what nobody but a person can know: that the database is so."""
    return NextAction(when, f"{_REPAIR} {option}", needs_person=True)


def _next_actions(
    standing: MigrationState, file: Migration | None, entry: HistoryEntry, applied_as: str
) -> Iterator[NextAction]:
    row = entry.migration
    version, done, units = row.version, row.units_done, row.units
    if file and standing in (MigrationState.EDITED, MigrationState.REFORMATTED):
        yield from edited_file_actions(file, row)
    elif standing is MigrationState.MISSING:
        yield missing_file_action(row)
    elif standing is MigrationState.UNKNOWN:
        yield NextAction("to look whether it took effect, where that can be told", "mosaic-deploy apply")
        yield _repair_action(f"if part {entry.attempt} took effect", f"--applied {version}:{entry.attempt}")
        yield _repair_action("if it did not", f"--not-applied {version}:{entry.attempt}")
    elif standing is MigrationState.FAILED:
        part = -entry.attempt
        yield NextAction(f"to begin part {part} anew", "mosaic-deploy apply")
        yield _repair_action(f"if part {part} was run by hand", f"--applied {version}:{part}")
    elif standing is MigrationState.PARTIAL:
        yield NextAction(f"to run the other {units - done} of {units} parts", "mosaic-deploy apply")
        yield _repair_action("if they were run by hand", f"--applied {version}:{units}")
    if standing in (MigrationState.PARTIAL, MigrationState.FAILED) and done:
        yield _repair_action("if all parts were undone by hand", f"--not-applied {version}:1")
    if applied_as and standing in (MigrationState.APPLIED, MigrationState.REFORMATTED):
        yield _repair_action("to record the new name", f"--rename {version}")
