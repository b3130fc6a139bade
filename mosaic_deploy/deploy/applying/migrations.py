"""Runs pending migrations in order."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mosaic_deploy.deploy.applying.failure_facts import correction_hint, failure_facts, missing_programs_hint
from mosaic_deploy.deploy.applying.run import Run, agreed_effects, migration_session
from mosaic_deploy.deploy.applying.stopped_step import approver, stopped_error
from mosaic_deploy.deploy.planning.request_sizes import large_step_hint
from mosaic_deploy.diff.schema import unmanaged_objects
from mosaic_deploy.errors import Location, MigrationFailed, NextAction
from mosaic_deploy.live.catalog.touched_digests import schema_reader
from mosaic_deploy.live.database.failed_step import StepFailed
from mosaic_deploy.live.database.outside_transaction import OutcomeUnknown, may_commit_partially
from mosaic_deploy.live.database.runner import Runner
from mosaic_deploy.model.change import ApplyMigration
from mosaic_deploy.model.event import (
    ChangeDone,
    ChangeStarted,
    Event,
    Noted,
    StepDone,
    StepReport,
    Waiting,
)
from mosaic_deploy.model.hazard import Hazard
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.quantities import count_text
from mosaic_deploy.source.migrations.files import MigrationFile, ParsedFile, statement_location
from mosaic_deploy.sql.execution.empty_tables import with_empty_check, with_first
from mosaic_deploy.sql.execution.split import EMPTY_STEP, ExecutionMode, StepSql
from mosaic_deploy.sql.execution.step import SqlSession, Step
from mosaic_deploy.sql.guard.data_checks import DataCheck
from mosaic_deploy.sql.guard.rehearsed import NOTHING_TOUCHED, TouchedNames
from mosaic_deploy.sql.quote import index_name
from mosaic_deploy.sql.session.temporary import unmentioned_temporary

_ACTIVE_SQL_TRANSACTION = "25001"
_CONSTRAINT_VIOLATION_CLASS = "23"
_ALREADY_EXISTS = frozenset({"42P04", "42P06", "42P07", "42701", "42710", "42723"})
"""Duplicate database, schema, relation, column, object, function."""
_NOTICES_DROPPED = (
    "this platform doesn't return PostgreSQL's notices, so they and the numbers of rows aren't shown"
)


def apply_migrations(run: Run) -> Iterator[Event]:
    """Applies the plan's migrations. Raises MigrationFailed for a statement that PostgreSQL rejects."""
    changes = [change for change in run.changes if isinstance(change, ApplyMigration)]
    if not changes:
        return
    parsed = {p.file.migration.version: p for p in run.planned.parsed}
    steps = [step for change in changes for step in _steps(run, change, parsed[change.version])]
    by_version = {change.version: change for change in changes}
    began = time.monotonic()
    reported: dict[str, list[StepReport]] = {}
    yield ChangeStarted(changes[0])
    database = run.planned.desired.manifest.database
    runner = Runner(
        run.api,
        run.project.id,
        run_session(run),
        single_transaction=bool(database and database.single_transaction),
        on_running=run.on_running,
        approve=approver(run),
    )
    try:
        for committed in runner.run(steps):
            run.heartbeat.check()
            if isinstance(committed, Waiting | Noted):
                yield committed
                # The time of a question isn't the step's.
                began = time.monotonic() if isinstance(committed, Noted) else began
                continue
            seconds, began = time.monotonic() - began, time.monotonic()
            for step in committed:
                reports = reported.setdefault(step.version, [])
                reports.append(runner.reports.of((step.version, step.number), seconds / len(committed)))
                change = by_version[step.version]
                if step.number < step.steps:
                    yield StepDone(change, step.number, step.steps, reports[-1].seconds or 0.0)
                else:
                    yield ChangeDone(change, sum(one.seconds or 0.0 for one in reports), tuple(reports))
            del steps[: len(committed)]
            yield from (ChangeStarted(by_version[step.version]) for step in steps[:1])
        if runner.reports.dropped:
            yield Noted(Note("notices_dropped", _NOTICES_DROPPED, Severity.INFO))
    except StepFailed as failure:
        change = by_version[failure.step.version]
        yield ChangeStarted(change)
        rolled_back = _rolled_back_text(change, changes, single_transaction=runner.single_transaction)
        file = parsed[change.version].file.relative_path
        if stopped := stopped_error(run, failure, file, rolled_back):
            if failure.step.number > change.steps_done + 1:
                stopped.mutation_state = "partial"
            raise stopped from None
        error = _migration_failed(
            failure,
            parsed[change.version],
            steps_before=change.steps_done,
            first=not run.planned.live.snapshot.migrations,
            rolled_back=rolled_back,
            single_transaction=runner.single_transaction,
        )
        if failure.too_large:
            error.hint = large_step_hint(
                parsed[change.version], failure.step.number, single_transaction=runner.single_transaction
            )
        error.hint = f"{error.hint}{missing_programs_hint(failure, run.planned.desired.notes)}"
        raise error from None
    except OutcomeUnknown as unknown:
        yield ChangeStarted(by_version[unknown.step.version])
        raise _outcome_unknown(unknown, parsed[unknown.step.version].file) from None


def run_session(run: Run) -> SqlSession:
    """The session of this run, with the manifest's timeouts."""
    manifest, claim = run.planned.desired.manifest, run.claim
    session = migration_session(manifest, claim.token, claim.deploy_id)
    unmanaged = unmanaged_objects(manifest.unmanaged)
    return replace(
        session,
        existing=run.existing(),
        schema=schema_reader(run.planned.plan.rehearsal, run.rehearsed(), unmanaged.expression),
    )


def checked_step(
    step: StepSql,
    number: int,
    file: MigrationFile,
    hazards: Sequence[Hazard],
    checks: Sequence[DataCheck] = (),
) -> StepSql:
    """The file's step `number`, which first makes its `checks`, and that tables still hold no rows if it relies on that."""
    step = with_first(step, *(check.as_statement() for check in checks))
    found = [one for one in hazards if one.step == number and one.location.file == file.relative_path]
    tables = {table for one in found for table in one.empty_tables}
    first = next(one for one in found if one.empty_tables) if tables else None
    return with_empty_check(step, tables, _offset(file.text, first.location) if first else 0)


def _offset(text: str, location: Location) -> int:
    """The position of a location in the file's text."""
    lines = text.split("\n")[: (location.line or 1) - 1]
    return sum(len(line) + 1 for line in lines) + (location.column or 1) - 1


def _steps(run: Run, change: ApplyMigration, parsed: ParsedFile) -> Iterator[Step]:
    """The steps that aren't committed yet, with the checks and the agreement of the plan.

    None carries the file's text if the ledger has it already: a text can be large.
    """
    rows = run.planned.live.snapshot.migrations or ()
    rehearsed = run.rehearsed()
    recorded = any(row.version == change.version and row.checksum == change.checksum for row in rows)
    hazards = run.planned.plan.hazards
    for step in migration_steps(change, parsed):
        checks = parsed.checks if step.number == 1 else ()
        yield replace(
            step,
            source=None if recorded else step.source,
            sql=checked_step(step.sql, step.number, parsed.file, hazards, checks),
            agreed=agreed_effects(run, parsed.file, step.number, change.address),
            touches=_touches(rehearsed.get((change.address, step.number), NOTHING_TOUCHED), step),
        )


def _touches(found: TouchedNames, step: Step) -> TouchedNames:
    """The result of a step outside a transaction isn't compared: nothing would be rolled back."""
    outside = step.sql.execution_mode is ExecutionMode.OUTSIDE_TRANSACTION
    return replace(found, notes=False, leaves=None) if outside else found


def migration_steps(change: ApplyMigration, parsed: ParsedFile) -> Iterator[Step]:
    """The steps that aren't committed yet. A file without statements is one empty step, for its row in the ledger.

    Only the first one carries the file's text.
    """
    steps = parsed.steps or (EMPTY_STEP,)
    for number, step in enumerate(steps, 1):
        if number > change.steps_done:
            yield Step(
                version=change.version,
                file=change.file,
                checksum=change.checksum,
                semantic=parsed.prefix_checksums[number - 1],
                semantic_before=parsed.prefix_checksums[number - 2] if number > 1 else "",
                source=None if number > change.steps_done + 1 else parsed.recorded_text,
                number=number,
                steps=change.steps,
                sql=step,
                next_session=steps[number].session if number < len(steps) else None,
                unmentioned=unmentioned_temporary(
                    step.statements, [one for later in steps[number:] for one in later.statements]
                ),
            )


def _rolled_back_text(
    failed: ApplyMigration, changes: Sequence[ApplyMigration], *, single_transaction: bool
) -> str:
    """What PostgreSQL undid: with one transaction for all, also the migrations before the failed one."""
    before = changes.index(failed) if single_transaction else 0
    if not before:
        return "this migration was rolled back"
    return f"rolled back with the {count_text(before, 'migration')} before it"


def _migration_failed(
    failure: StepFailed,
    parsed: ParsedFile,
    *,
    steps_before: int,
    first: bool,
    rolled_back: str,
    single_transaction: bool,
) -> MigrationFailed:
    """`steps_before`: the steps that earlier runs committed. `first`: no migration was applied before, so existing
    objects come from elsewhere."""
    file = parsed.file
    step = failure.step
    outside = step.sql.execution_mode is ExecutionMode.OUTSIDE_TRANSACTION
    # Outside a transaction nothing is rolled back: a failed CREATE INDEX CONCURRENTLY leaves an invalid index.
    committed = "nothing committed" if outside else "nothing of it ran" if failure.too_large else rolled_back
    if step.number > 1:
        committed = (
            f"{step.number - 1} of its {step.steps} steps {'is' if step.number == 2 else 'are'} committed"
        )
    if not failure.statement and str(failure.sqlstate).startswith(_CONSTRAINT_VIOLATION_CLASS):
        committed = f"deferred constraints are checked after the last statement; {committed}"
    may_be_partial = outside and failure.statement > 0 and may_commit_partially(step) and not failure.wrapped
    if may_be_partial:
        committed = "what it committed before the error is kept"
    hint = correction_hint(failure, file.relative_path, single_transaction=single_transaction)
    if failure.wrapped or (outside and failure.sqlstate == _ACTIVE_SQL_TRANSACTION):
        hint = _outside_transaction_hint(step)
    elif may_be_partial:
        hint = (
            "check in the database what it committed, and record with one of these commands whether the step counts as "
            f"applied; if it doesn't, correct {file.relative_path}; then run the same command again"
        )
    elif outside and index_name(step.sql.statements[0]):
        hint += "; an invalid index left by this failure is then dropped and built again"
    elif first and failure.sqlstate in _ALREADY_EXISTS:
        hint = (
            f"if another tool has applied {file.relative_path}, import its history with `mosaic-deploy migrate import "
            "dbmate` (or flyway, prisma, …); if it has none, run `mosaic-deploy migrate baseline VERSION` with the last one "
            f"that the database contains, as `mosaic-deploy plan` suggests; otherwise {hint}"
        )
    return MigrationFailed(
        f"{failure.message} ({committed})",
        **failure_facts(failure, parsed),
        mutation_state="unknown"
        if may_be_partial
        else "partial"
        if step.number > steps_before + 1
        else "none",
        hint=hint,
        next_actions=_outcome_actions(step) if may_be_partial else (),
    )


def _outcome_unknown(unknown: OutcomeUnknown, file: MigrationFile) -> MigrationFailed:
    step = unknown.step
    begun = f"was sent and failed ({unknown.lost.message})" if unknown.lost else "was begun before"
    return MigrationFailed(
        f"step {step.number} of {step.steps} {begun}, and it isn't known whether it took effect; "
        "it isn't sent again, because running it twice could do harm",
        location=statement_location(file, step.sql.statements[0]),
        mutation_state="unknown",
        hint="check in the database whether it took effect (pg_stat_activity shows it while it runs), record that "
        "with one of these commands, then run the same command again",
        next_actions=_outcome_actions(step),
    )


def _outcome_actions(step: Step) -> tuple[NextAction, NextAction]:
    address = f"{step.version}:{step.number}"
    return (
        NextAction("if it did", f"mosaic-deploy migrate repair --applied {address}", needs_person=True),
        NextAction(
            "if it did not", f"mosaic-deploy migrate repair --not-applied {address}", needs_person=True
        ),
    )


def _outside_transaction_hint(step: Step) -> str:
    """For a statement that can't run because the endpoint wraps requests in a transaction."""
    return (
        "this SQL endpoint runs each request in a transaction, where PostgreSQL rejects this statement; run it over "
        "a direct connection and record that with "
        f"`mosaic-deploy migrate repair --applied {step.version}:{step.number}`, or write it without "
        f"{'COMMIT' if may_commit_partially(step) else 'CONCURRENTLY'}"
    )
