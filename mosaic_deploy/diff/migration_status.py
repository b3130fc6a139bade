"""The state of each migration, folder compared with ledger, and the commands that fix problems."""

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
"""States that a failed run leaves behind; in any other state its failure is no longer the cause."""
_REPAIR = "mosaic-deploy migrate repair"


def changed_versions(folder: Sequence[Migration], entries: Sequence[HistoryEntry]) -> list[str]:
    """Versions to parse before `migration_statuses`: started or applied, with a different checksum."""
    started = {entry.migration.version: entry.migration for entry in entries}
    return [m.version for m in folder if m.version in started and started[m.version].checksum != m.checksum]


def migration_statuses(
    folder: Sequence[Migration], entries: Sequence[HistoryEntry]
) -> tuple[MigrationStatus, ...]:
    """Every migration of either side, in numeric order."""
    files = {m.version: m for m in folder}
    known = {entry.migration.version: entry for entry in entries}
    return tuple(
        _migration_status(files.get(version), known.get(version))
        for version in sorted(files.keys() | known.keys(), key=int)
    )


def _migration_status(file: Migration | None, entry: HistoryEntry | None) -> MigrationStatus:
    if entry is None:
        assert file is not None
        return MigrationStatus(file.version, file.file, MigrationState.PENDING)
    state = migration_state(file, entry)
    if state not in _UNFINISHED_STATES:
        entry = replace(entry, cause="")
    name = file.file if file else entry.migration.file
    applied_as = entry.migration.file if file and entry.migration.file != name else ""
    actions = tuple(_next_actions(state, file, entry, applied_as))
    return MigrationStatus(entry.migration.version, name, state, entry, applied_as, actions)


def migration_state(file: Migration | None, entry: HistoryEntry) -> MigrationState:
    """The state of a ledger row compared with the folder's file of its version (None if missing)."""
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
    """The ways to resolve a file whose statements differ from those applied."""
    if row.applied and row.has_no_statements:
        yield NextAction(
            f"to run what {file.file} contains now (it had no statements when it was applied)",
            f"{_REPAIR} --forget {row.version}",
        )
    if row.applied or file.units == row.units:
        yield _repair_action(
            f"if the database already matches {file.file} (records it as applied, runs nothing)",
            f"--accept {shlex.quote(file.file)}",
        )
    if not row.applied:
        yield _repair_action("if its applied steps were undone by hand", f"--not-applied {row.version}:1")


def missing_file_action(row: Migration) -> NextAction:
    """The way to resolve a missing applied file other than restoring it."""
    return _repair_action(f"if {row.file} was deleted on purpose", f"--forget {row.version}")


def _repair_action(when: str, option: str) -> NextAction:
    """A repair command. Only a person can know that its claim about the database is true."""
    return NextAction(when, f"{_REPAIR} {option}", needs_person=True)


def _next_actions(
    state: MigrationState, file: Migration | None, entry: HistoryEntry, applied_as: str
) -> Iterator[NextAction]:
    row = entry.migration
    version, done, units = row.version, row.units_done, row.units
    if file and state in (MigrationState.EDITED, MigrationState.REFORMATTED):
        yield from edited_file_actions(file, row)
    elif state is MigrationState.MISSING:
        yield missing_file_action(row)
    elif state is MigrationState.UNKNOWN:
        yield NextAction("to check whether it took effect, if possible", "mosaic-deploy apply")
        yield _repair_action(f"if step {entry.attempt} took effect", f"--applied {version}:{entry.attempt}")
        yield _repair_action("if it didn't", f"--not-applied {version}:{entry.attempt}")
    elif state is MigrationState.FAILED:
        step = -entry.attempt
        yield NextAction(f"to retry step {step}", "mosaic-deploy apply")
        yield _repair_action(f"if step {step} was run by hand", f"--applied {version}:{step}")
    elif state is MigrationState.PARTIAL:
        yield NextAction(f"to run the remaining {units - done} of {units} steps", "mosaic-deploy apply")
        yield _repair_action("if they were run by hand", f"--applied {version}:{units}")
    if state in (MigrationState.PARTIAL, MigrationState.FAILED) and done:
        yield _repair_action("if all steps were undone by hand", f"--not-applied {version}:1")
    if applied_as and state in (MigrationState.APPLIED, MigrationState.REFORMATTED):
        yield _repair_action("to record the new name", f"--rename {version}")
