"""Writes and deletes rows of the migration history, under the lease. Runs no migration."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

from mosaic_deploy.deploy.applying.apply import Job, run_job
from mosaic_deploy.deploy.applying.run import ApplyOptions, Run
from mosaic_deploy.deploy.applying.settings import record_history_owner
from mosaic_deploy.deploy.history.read import try_parse
from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger.history import (
    HistoryRow,
    RenumberedRow,
    delete_migrations_sql,
    renumber_migrations_sql,
    upsert_migrations_sql,
)
from mosaic_deploy.live.ledger.rows import upsert_objects_sql
from mosaic_deploy.model.change import Change, ForgetMigration, RecordMigration, RecordRepeatable
from mosaic_deploy.model.event import ChangeDone, ChangeStarted, Event
from mosaic_deploy.model.snapshot import Migration, Object
from mosaic_deploy.source.manifest.find import manifest_identity
from mosaic_deploy.source.migrations.files import MigrationFile
from mosaic_deploy.sql.execution.records import SEED
from mosaic_deploy.sql.scripts.copy_batches import RECORDED_ROWS

_MAX_ROWS = 500
_MAX_TEXT = 4 * 1024 * 1024
"""Limits of a request: rows, and characters of the files' text. A larger file is sent alone."""


def apply_history_changes(
    api: Api, planned: PreparedPlan, options: ApplyOptions, name: str
) -> Generator[Event, None, None]:
    """Applies the plan's changes to the history. `name` is the recorded kind of run: `repair`, `baseline`, `import`.

    Never raises a MosaicError: the last event is ApplyDone or ApplyFailed.
    """
    return run_job(api, planned, options, Job(_history_steps, name))


def _history_steps(run: Run) -> Iterator[Event]:
    record_history_owner(run)
    yield from _record_repeatables(run)
    records = [change for change in run.changes if isinstance(change, RecordMigration)]
    files = {file.migration.version: file for file in run.planned.desired.migrations}
    sources = {change.version: _recorded_text(files[change.version]) for change in records}
    if moved := [change for change in records if change.renumbered_from]:
        yield from _write(run, moved, _renumber_sql(run, moved, sources))
    recorded = (change for change in records if not change.renumbered_from)
    for group in _batches(recorded, sources):
        rows = [HistoryRow(_ledger_row(change), sources[change.version]) for change in group]
        yield from _write(run, group, upsert_migrations_sql(rows, run.claim.token, run.claim.deploy_id))
    deleted = [change for change in run.changes if isinstance(change, ForgetMigration)]
    if deleted:
        versions = [change.version for change in deleted]
        yield from _write(run, deleted, delete_migrations_sql(versions, run.claim.token))


def _record_repeatables(run: Run) -> Iterator[Event]:
    files = {file.relative_path: file for file in run.planned.desired.seeds}
    manifest = manifest_identity(run.planned.desired.manifest.file)
    for change in run.changes:
        if isinstance(change, RecordRepeatable):
            row = Object(change.path, change.sha256, change.size)
            sources = {change.path: _recorded_text(files[change.path])}
            claim = run.claim
            statement = upsert_objects_sql(
                SEED, [row], claim.token, claim.deploy_id, manifest, sources=sources
            )
            yield from _write(run, [change], statement)


def _recorded_text(file: MigrationFile) -> str:
    """The text as an apply would record it."""
    parsed = try_parse(file) if file.size > RECORDED_ROWS else None
    return parsed.recorded_text if parsed else file.whole_text()


def _renumber_sql(run: Run, moved: Sequence[RecordMigration], sources: Mapping[str, str]) -> str:
    """One statement for all, because their numbers may be exchanged."""
    applied = {row.version: row.file for row in run.planned.live.snapshot.migrations or ()}
    rows = [
        RenumberedRow(
            change.renumbered_from,
            applied[change.renumbered_from],
            HistoryRow(_ledger_row(change), sources[change.version]),
        )
        for change in moved
    ]
    return renumber_migrations_sql(rows, run.claim.token)


def _write(run: Run, changes: Sequence[Change], statement: str) -> Iterator[Event]:
    began = time.monotonic()
    yield ChangeStarted(changes[0])
    run.write(statement)
    seconds = (time.monotonic() - began) / len(changes)
    yield from (ChangeDone(change, seconds) for change in changes)


def _batches(
    changes: Iterable[RecordMigration], sources: Mapping[str, str]
) -> Iterator[list[RecordMigration]]:
    """Groups of changes that fit into one request, in order."""
    group: list[RecordMigration] = []
    text = 0
    for change in changes:
        size = len(sources[change.version])
        if group and (len(group) == _MAX_ROWS or text + size > _MAX_TEXT):
            yield group
            group, text = [], 0
        group.append(change)
        text += size
    if group:
        yield group


def _ledger_row(change: RecordMigration) -> Migration:
    return Migration(
        change.version,
        change.file,
        change.checksum,
        change.semantic_checksum,
        change.steps,
        change.steps_done,
    )
