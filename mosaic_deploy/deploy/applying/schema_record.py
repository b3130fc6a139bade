"""Records the schema that a deploy leaves, so that later plans see what no deploy changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress

from mosaic_deploy.deploy.applying.run import Run
from mosaic_deploy.diff.schema import unmanaged_objects
from mosaic_deploy.errors import (
    EffectsExceedConsent,
    EffectsNotMeasured,
    MigrationFailed,
    MosaicError,
    RehearsalDiffers,
    SchemaChanged,
    ServerFailed,
    SqlFailed,
)
from mosaic_deploy.live.catalog.schema_results import net_result, result_differences
from mosaic_deploy.live.ledger.schema_record import ExpectedResult, begin_schema_change_sql, record_schema_sql
from mosaic_deploy.model.change import (
    ApplyMigration,
    Change,
    EnableExtension,
    RollBackMigration,
    RunSeed,
)
from mosaic_deploy.model.effects import ANY_DEFINITION
from mosaic_deploy.model.event import Event, Noted
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.sql.guard.rehearsed import object_id

_REJECTED = (
    MigrationFailed,
    SqlFailed,
    EffectsExceedConsent,
    EffectsNotMeasured,
    RehearsalDiffers,
    SchemaChanged,
)
NOT_AS_REHEARSED = "schema_not_as_rehearsed"
"""The code of the note that the deploy left another schema than its rehearsal."""
_MAX_NAMED = 5
_CHANGES_SCHEMA = (EnableExtension, ApplyMigration, RunSeed, RollBackMigration)


def begin_schema_change(run: Run, *kinds: type[Change]) -> None:
    """Before changes of these kinds are made: what has drifted by now stays drift, and the record is open until the end."""
    if run.created or not any(isinstance(change, kinds or _CHANGES_SCHEMA) for change in run.changes):
        return
    token, deploy_id = run.claim.token, run.claim.deploy_id
    try:
        run.write(begin_schema_change_sql(token, deploy_id))
    except (SqlFailed, ServerFailed):
        run.write(begin_schema_change_sql(token, deploy_id, read=False))


def record_schema(run: Run) -> Iterator[Event]:
    """After the last change of the schema, or if it isn't recorded yet. A failure is a note: it must fail no deploy."""
    if not (_changes_schema(run) or _is_unrecorded(run)):
        return
    try:
        row = run.write_row(_record_sql(run, ends_sql=True))
    except (SqlFailed, ServerFailed) as error:
        message = (
            f"the schema couldn't be recorded ({error.message}), so drift isn't seen until the next apply"
        )
        yield Noted(Note("schema_not_recorded", message, Severity.WARNING))
        return
    if texts := result_differences(json.loads(str(row.get("differences") or "[]"))):
        yield Noted(Note(NOT_AS_REHEARSED, _difference_text(texts), Severity.WARNING))


def _difference_text(texts: Sequence[str]) -> str:
    more = f"; and {len(texts) - _MAX_NAMED} more" if len(texts) > _MAX_NAMED else ""
    return (
        f"the schema isn't what was rehearsed: {'; '.join(texts[:_MAX_NAMED])}{more}. With live rows a migration did something else, "
        "or somebody changed the schema meanwhile; later plans aren't rehearsed until the recorded files make it"
    )


def _expected_result(run: Run) -> ExpectedResult | None:
    """What the rehearsal of the plan left; None if not all was rehearsed."""
    plan = run.planned.plan
    if run.created or plan.rehearsal is None or plan.rehearsal.not_rehearsed or plan.unrehearsed:
        return None
    if (changed := net_result(plan.rehearsal)) is None:
        return None
    enabled = (change.name for change in run.changes if isinstance(change, EnableExtension))
    extensions = {object_id("extension", name, ""): ANY_DEFINITION for name in enabled}
    return ExpectedResult(
        {**extensions, **changed},
        unmanaged_objects(run.planned.desired.manifest.unmanaged).expression,
        others=bool(plan.drift and plan.drift.state.is_compared),
    )


def record_schema_after_failure(run: Run, error: MosaicError) -> None:
    """Best effort, if PostgreSQL rejected a statement: then nothing runs any more, and what is committed is known."""
    rejected = isinstance(error, _REJECTED) and error.mutation_state != "unknown"
    if rejected and _changes_schema(run):
        with suppress(MosaicError):
            run.write(_record_sql(run, drifted=error.objects if isinstance(error, SchemaChanged) else ()))


def _is_unrecorded(run: Run) -> bool:
    """Whether the schema isn't recorded, and is to be: also if the first deploy has no migrations yet."""
    first = not run.planned.live.ledger_exists and run.planned.desired.snapshot.migrations is not None
    return (first or run.planned.schema_pending) and not run.planned.plan.partial


def _changes_schema(run: Run) -> bool:
    return any(isinstance(change, _CHANGES_SCHEMA) for change in run.changes)


def _record_sql(run: Run, *, ends_sql: bool = False, drifted: Sequence[tuple[str, str, str]] = ()) -> str:
    """`drifted` is what somebody else has changed meanwhile. A manifest without migrations records its changes only if the schema is another one's to compare."""
    has_migrations = run.planned.desired.snapshot.migrations is not None
    return record_schema_sql(
        run.claim.token,
        run.claim.deploy_id,
        only_again=not has_migrations,
        ends_sql=ends_sql,
        drifted=drifted,
        result=_expected_result(run) if ends_sql else None,
    )
