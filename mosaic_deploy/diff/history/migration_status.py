"""The state of each migration, folder compared with ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from mosaic_deploy.diff.history.actions import (
    match_actions,
    out_of_order_actions,
    reformatted_actions,
    step_actions,
)
from mosaic_deploy.diff.history.matching import Evidence, Match, Matches, MatchKind
from mosaic_deploy.errors import NextAction
from mosaic_deploy.model.migration_history import HistoryEntry, MigrationState, MigrationStatus
from mosaic_deploy.model.snapshot import Migration

_UNFINISHED_STATES = (
    MigrationState.FAILED,
    MigrationState.UNKNOWN,
    MigrationState.PARTIAL,
    MigrationState.PENDING,
)
"""States that a failed run leaves behind; in any other state its failure is no longer the cause."""
_STATES = {
    MatchKind.MOVED: MigrationState.RENUMBERED,
    MatchKind.EDITED: MigrationState.EDITED,
    MatchKind.SQUASHED: MigrationState.SQUASHED,
}


def migration_statuses(
    matches: Matches,
    entries: Sequence[HistoryEntry],
    evidence: Evidence,
    lost: Collection[str] = (),
) -> tuple[MigrationStatus, ...]:
    """Every migration of either side, in order.

    `lost`: versions with a step of unknown outcome that isn't in its place in the file any more.
    """
    known = {entry.migration.version: entry for entry in entries}
    lines = [
        *((m.row.order, _row_status(m, known[m.row.version], matches, evidence, lost)) for m in matches.rows),
        *((file.order, _new_status(file, matches)) for file in matches.new),
    ]
    return tuple(status for _, status in sorted(lines, key=lambda line: line[0]))


def _new_status(file: Migration, matches: Matches) -> MigrationStatus:
    if taken := matches.by_version.get(file.version):
        return MigrationStatus(file.version, file.file, MigrationState.NUMBER_TAKEN, number_of=taken.row.file)
    if file.order > matches.newest:
        return MigrationStatus(file.version, file.file, MigrationState.PENDING)
    # As long as a row contradicts the folder, neither of them is possible.
    diverged = any(match.diverged for match in matches.rows)
    actions = () if diverged else tuple(out_of_order_actions(file))
    return MigrationStatus(file.version, file.file, MigrationState.OUT_OF_ORDER, next_actions=actions)


def _row_status(
    match: Match, entry: HistoryEntry, matches: Matches, evidence: Evidence, lost: Collection[str]
) -> MigrationStatus:
    state = migration_state(match, entry)
    if state not in _UNFINISHED_STATES:
        entry = replace(entry, cause="")
    row, file = match.row, match.file
    name = row.file if file is None or match.kind is MatchKind.SQUASHED else file.file
    applied_as = row.file if row.file != name else ""
    actions = tuple(_next_actions(state, match, entry, matches, evidence, lost))
    steps = file.steps - file.nothing_after(row.steps_done) if file and file.prefix_checksums else 0
    return MigrationStatus(row.version, name, state, entry, applied_as, actions, steps)


def migration_state(match: Match, entry: HistoryEntry) -> MigrationState:
    """The state of a ledger row that belongs to the file in `match`."""
    row, file = match.row, match.file
    if entry.unknown:
        return MigrationState.UNKNOWN
    if file is None:
        return MigrationState.MISSING if row.steps_done else MigrationState.PENDING
    if match.kind in _STATES:
        return _STATES[match.kind]
    if row.applied:
        return MigrationState.APPLIED if file.checksum == row.checksum else MigrationState.REFORMATTED
    if entry.failed and file.checksum == row.checksum:
        return MigrationState.FAILED
    return MigrationState.PARTIAL if row.steps_done else MigrationState.PENDING


def _next_actions(
    state: MigrationState,
    match: Match,
    entry: HistoryEntry,
    matches: Matches,
    evidence: Evidence,
    lost: Collection[str],
) -> Iterator[NextAction]:
    renumbered = match.file is not None and match.file.version != match.row.version
    if match.diverged and (state is not MigrationState.UNKNOWN or renumbered):
        yield from match_actions(match, matches, evidence)
        return
    if state is MigrationState.REFORMATTED and match.file:
        yield from reformatted_actions(match.file)
    yield from step_actions(state, entry, match.file, lost=match.row.version in lost)
    if match.file and match.file.file != match.row.file and state is MigrationState.APPLIED:
        yield NextAction(
            "to record the new name", f"mosaic-deploy migrate repair --rename {match.row.version}"
        )


def unparsed_files(folder: Sequence[Migration], entries: Sequence[HistoryEntry]) -> list[str]:
    """Files to parse before matching: all that a row of their number doesn't equal, if there is such a row at all."""
    rows = {entry.migration.version: entry.migration for entry in entries}
    equal = {m.file for m in folder if m.version in rows and rows[m.version].checksum == m.checksum}
    started = [row for row in rows.values() if row.steps_done]
    if all(any(m.version == row.version and m.file in equal for m in folder) for row in started):
        return [m.file for m in folder if m.version in rows and m.file not in equal]
    return [m.file for m in folder if m.file not in equal]
