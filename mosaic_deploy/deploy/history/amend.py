"""Corrections to the ledger's history: rows written or forgotten under the lease, and nothing else run."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

from mosaic_deploy.deploy.applying.apply import ApplyOptions, Work, carry_out
from mosaic_deploy.deploy.applying.run import Run
from mosaic_deploy.deploy.planning.planned import Planned
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger.history import Row, forget, put
from mosaic_deploy.model.change import Change, ForgetMigration, RecordMigration
from mosaic_deploy.model.event import ChangeDone, ChangeStarted, Event
from mosaic_deploy.model.snapshot import Migration

_ROWS = 500
_TEXT = 4 * 1024 * 1024
"""Rows, and characters of the files' text, in one call; one file larger than this goes alone."""


def amend(api: Api, planned: Planned, options: ApplyOptions, name: str) -> Generator[Event, None, None]:
    """Writes the rows that `planned.plan` names. `name` is the kind of run, as the ledger keeps it.

    Never raises a MosaicError: the last event is ApplyDone or ApplyFailed.
    """
    return carry_out(api, planned, options, Work(_amendments, name))


def _amendments(run: Run) -> Iterator[Event]:
    sources = {file.migration.version: file.text for file in run.planned.desired.migrations}
    recorded = (change for change in run.changes if isinstance(change, RecordMigration))
    for group in _grouped(recorded, sources):
        rows = [Row(_row(change), sources[change.version]) for change in group]
        yield from _written(run, group, put(rows, run.claim.token, run.claim.deploy_id))
    gone = [change for change in run.changes if isinstance(change, ForgetMigration)]
    if gone:
        versions = [change.version for change in gone]
        yield from _written(run, gone, forget(versions, run.claim.token))


def _written(run: Run, changes: Sequence[Change], statement: str) -> Iterator[Event]:
    began = time.monotonic()
    yield ChangeStarted(changes[0])
    run.write(statement)
    seconds = (time.monotonic() - began) / len(changes)
    yield from (ChangeDone(change, seconds) for change in changes)


def _grouped(
    changes: Iterable[RecordMigration], sources: Mapping[str, str]
) -> Iterator[list[RecordMigration]]:
    """As many as fit one call, in order."""
    group: list[RecordMigration] = []
    text = 0
    for change in changes:
        size = len(sources[change.version])
        if group and (len(group) == _ROWS or text + size > _TEXT):
            yield group
            group, text = [], 0
        group.append(change)
        text += size
    if group:
        yield group


def _row(change: RecordMigration) -> Migration:
    return Migration(
        change.version, change.file, change.checksum, change.semantic, change.units, change.units_done
    )
