"""Runs migration steps through `/sql`: many per request, each in its own transaction, safe to send twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from mosaic_deploy.errors import RequestRefused, SqlFailed
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.error_mapping import MULTIPLE_COMMANDS_ERROR
from mosaic_deploy.live.api.retries import backoff
from mosaic_deploy.live.database.failed_step import (
    StepFailed,
    guess_place,
    in_original_statements,
    is_over_time,
    may_get_lock_later,
    step_failed,
    step_key,
    unknown_step_error,
    unmeasured_or_exceeding,
)
from mosaic_deploy.live.database.names import qualify_names
from mosaic_deploy.live.database.outside_transaction import (
    NothingCommitted,
    NotSent,
    run_outside_transaction,
    wraps_in_transaction,
)
from mosaic_deploy.live.database.progress import reporting_progress
from mosaic_deploy.live.database.step_reports import StepReports
from mosaic_deploy.live.ledger.lease import lease_lost_error
from mosaic_deploy.model.event import Noted, StillRunning, Waiting
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.sql.execution.batch import compile_batch
from mosaic_deploy.sql.execution.failure import LEASE_LOST, STEP_APPLIED, Failure, parse_failure
from mosaic_deploy.sql.execution.outside_transaction import is_wrapped
from mosaic_deploy.sql.execution.plain import (
    compile_plain,
    needs_plain,
    refuses_subtransaction,
)
from mosaic_deploy.sql.execution.rewrite import executable_form, first_not_executable
from mosaic_deploy.sql.execution.split import ExecutionMode
from mosaic_deploy.sql.execution.step import SqlSession, StatementPosition, Step
from mosaic_deploy.sql.guard.agreement import EXCEEDED, NOT_MEASURED, Agreement, Existing
from mosaic_deploy.sql.guard.schema_check import SCHEMA_CHANGED
from mosaic_deploy.sql.guard.schema_result import RESULT_DIFFERS
from mosaic_deploy.sql.marker import RESEND

MAX_STEPS_PER_CALL = 100
MAX_TEXT_PER_CALL = 512 * 1024
"""Limits of a request: steps, and characters of SQL. A larger step is sent alone."""
MAX_LOCK_ATTEMPTS = 6
"""Attempts of a step that doesn't get a lock within `lock_timeout`, with growing pauses."""
_TIMEOUT_IGNORED = (
    "database.statement_timeout is ignored, because this SQL endpoint accepts one statement per request; "
    "the platform's own limit applies"
)


@dataclass
class Runner:
    """Runs steps in order. With `single_transaction` they are all one transaction.

    `commits_in_block` becomes false if the endpoint wraps each request in a transaction.
    """

    api: Api
    project: str
    session: SqlSession
    single_transaction: bool = False
    sleep: Callable[[float], None] = time.sleep
    on_running: Callable[[StillRunning], None] | None = None
    """Called by another thread, every few seconds during a long request."""
    approve: Callable[[StepFailed], tuple[Agreement, Existing] | None] = lambda _: None
    """Called with a step that did more than was agreed to, and was rolled back: what it may do when it runs again, and what exists
    by then, or None."""
    commits_in_block: bool = field(default=True, init=False)
    multi_statement: bool = field(default=True, init=False)
    """Becomes false if the endpoint accepts only one statement per request."""
    pending_notes: list[Note] = field(default_factory=list, init=False)
    reports: StepReports = field(default_factory=StepReports, init=False)
    _one_by_one: bool = field(default=False, init=False)  # a request with several steps was too large
    _plainly: set[tuple[str, int]] = field(default_factory=set, init=False)
    """(version, number) of the steps that are sent as plain statements because a time limit ended their batch."""

    def __post_init__(self) -> None:
        self._silent_api, self.api = self.api, self.api.with_notices(self.reports.add_response)

    def run(self, steps: Sequence[Step]) -> Iterator[tuple[Step, ...] | Waiting | Noted]:
        """Yields groups of steps once they are committed, Waiting before a lock is tried for again, and notes.

        Raises StepFailed, OutcomeUnknown, LockLost, ApiError.
        """
        waiting = list(steps)
        attempt = 1
        while waiting:
            with reporting_progress(self._silent_api, self.project, waiting, self.on_running):
                done, failed = self._run_next_call(waiting)
            while self.pending_notes:
                yield Noted(self.pending_notes.pop())
            if done:
                yield done
                attempt = 1
            if failed and failed.effects and (approved := self.approve(failed)):
                agreed, self.session = approved[0], replace(self.session, existing=approved[1])
                yield Noted(Note("effects_approved", f"approved: {'; '.join(failed.effects.texts)}"))
                self.reports.take_unclaimed()
                key, failed = step_key(failed.step), None
                waiting = [replace(one, agreed=agreed) if step_key(one) == key else one for one in waiting]
            if failed and (attempt == MAX_LOCK_ATTEMPTS or not may_get_lock_later(failed)):
                failed.notices = self.reports.take_unclaimed()
                raise failed
            if failed:
                self.reports.take_unclaimed()
                pause = backoff(attempt + 1)
                yield Waiting(f"for a table lock that {failed.step.file} needs", pause)
                self.sleep(pause)
                attempt += 1
            del waiting[: len(done)]

    def _run_next_call(self, waiting: list[Step]) -> tuple[tuple[Step, ...], StepFailed | None]:
        """Sends one request. Returns the steps that it committed, and the failure that stopped it."""
        group = waiting if self.single_transaction else self._next_group(waiting)
        try:
            if self.single_transaction:
                return self._run_single_transaction(waiting)
            return self._run_batch(group) if self._is_batchable(group[0]) else self._run_alone(group[0])
        except RequestRefused as error:
            if not error.too_large:
                raise
            if len(group) == 1 or self.single_transaction:
                return (), StepFailed(group[0], 0, None, f"too large: {error.message}", too_large=True)
            self._one_by_one = True
            return (), None

    def _run_single_transaction(self, steps: list[Step]) -> tuple[tuple[Step, ...], StepFailed | None]:
        if any(not self._is_batchable(step) for step in steps):
            return self._run_plain(steps)
        try:
            self.api.sql(self.project, compile_batch(steps, self.session, commit=False))
        except SqlFailed as error:
            failure = parse_failure(error.message)
            if self.multi_statement and is_over_time(error, failure):
                self._plainly.update(map(step_key, steps))
                return (), None
            return (), self._find_failed_step(steps, error, failure)[1]
        return tuple(steps), None

    def _is_batchable(self, step: Step) -> bool:
        return (
            step.sql.execution_mode is ExecutionMode.BATCH
            and not needs_plain(step.sql, self.session)
            and step_key(step) not in self._plainly
        )

    def _next_group(self, waiting: Sequence[Step]) -> list[Step]:
        """The steps of the next request: as many batchable ones as fit, or one other."""
        group: list[Step] = []
        text = 0
        for step in waiting:
            text += max(len(step.source or ""), sum(statement.size for statement in step.sql.statements))
            if group and (
                self._one_by_one
                or not self.commits_in_block
                or len(group) == MAX_STEPS_PER_CALL
                or text > MAX_TEXT_PER_CALL
            ):
                break
            if group and not self._is_batchable(step):
                break
            group.append(step)
            if not self._is_batchable(step):
                break
        return group

    def _run_batch(self, group: list[Step]) -> tuple[tuple[Step, ...], StepFailed | None]:
        """As `_run_next_call`. Returns neither steps nor a failure if it must be sent again."""
        try:
            self.api.sql(self.project, compile_batch(group, self.session, commit=self.commits_in_block))
        except SqlFailed as error:
            failure = parse_failure(error.message)
            if failure is None and wraps_in_transaction(error) and self.commits_in_block:
                self.commits_in_block = False
                return (), None
            if is_over_time(error, failure):
                return self._after_time_limit(group, error, failure)
            return self._find_failed_step(group, error, failure)
        return tuple(group), None

    def _after_time_limit(
        self, group: list[Step], error: SqlFailed, failure: Failure | None
    ) -> tuple[tuple[Step, ...], StepFailed | None]:
        """As `_run_batch`. A limit that the role or the endpoint sets holds for the whole batch.

        So the step is sent again, plain, where the limit starts with each statement, as in psql.
        """
        done, failed = self._find_failed_step(group, error, failure) if failure else ((), None)
        if self.multi_statement:
            self._plainly.update([step_key(failed.step)] if failed else map(step_key, group))
            return done, None
        if not failed:
            raise error
        return done, None if done else failed

    def _find_failed_step(
        self, group: list[Step], error: SqlFailed, failure: Failure | None
    ) -> tuple[tuple[Step, ...], StepFailed | None]:
        if failure is None:
            raise error
        if failure.code == LEASE_LOST:
            raise lease_lost_error()
        if failure.code == RESEND:
            return (), None
        index = next((i for i, s in enumerate(group) if step_key(s) == (failure.version, failure.step)), None)
        if index is None or not 0 <= failure.statement <= len(group[index].sql.statements):
            raise unknown_step_error(failure)
        step = group[index]
        committed = tuple(group[:index]) if self.commits_in_block else ()
        if failure.code in (EXCEEDED, NOT_MEASURED):
            return committed, unmeasured_or_exceeding(step, failure)
        if failure.code == SCHEMA_CHANGED:
            return committed, StepFailed(step, 0, None, "", schema=failure.schema)
        if failure.code == RESULT_DIFFERS:
            return committed, StepFailed(step, 0, None, "", result=failure.schema)
        facts = (failure.sqlstate, failure.message, failure.detail, failure.hint)
        return committed, StepFailed(
            step, failure.statement, *facts, context=failure.context, row=failure.row
        )

    def _run_alone(self, step: Step) -> tuple[tuple[Step, ...], StepFailed | None]:
        if step.sql.execution_mode is not ExecutionMode.OUTSIDE_TRANSACTION:
            return self._run_plain([step])
        qualified = qualify_names(self.api, self.project, step.sql)
        try:
            run_outside_transaction(self.api, self.project, replace(step, sql=qualified.sql), self.session)
        except SqlFailed as error:
            position = 0 if is_wrapped(step) else qualified.original_offset((error.position or 1) - 1)
            return (), step_failed(error, StatementPosition(step, 1, position))
        except NotSent as known:
            failure = parse_failure(known.error.message)
            if failure and failure.code == SCHEMA_CHANGED:
                return (), StepFailed(step, 0, None, "", schema=failure.schema)
            return (), StepFailed(step, 0, known.error.sqlstate, known.message, hint=known.hint)
        except NothingCommitted as known:
            return (), replace(step_failed(known.error, StatementPosition(step, 1, 0)), wrapped=True)
        return (step,), None

    def _run_plain(self, steps: list[Step]) -> tuple[tuple[Step, ...], StepFailed | None]:
        if not self.multi_statement:
            return self._run_as_one_statement(steps)
        compiled = compile_plain(steps, self.session)
        try:
            self.api.sql(self.project, compiled.text)
        except SqlFailed as error:
            failure = parse_failure(error.message)
            first = (steps[0].version, steps[0].number)
            if failure and failure.code == STEP_APPLIED and (failure.version, failure.step) == first:
                return tuple(steps), None
            if failure:
                return (), self._find_failed_step(steps, error, failure)[1]
            if MULTIPLE_COMMANDS_ERROR in error.message:
                self._disable_multi_statement()
                return (), None
            return (), step_failed(
                error, compiled.position_of(error.position) or guess_place(compiled.positions, error, steps)
            )
        return tuple(steps), None

    def _disable_multi_statement(self) -> None:
        self.multi_statement = False
        if self.session.statement_timeout:
            self.session = replace(self.session, statement_timeout=None)
            self.pending_notes.append(Note("statement_timeout_ignored", _TIMEOUT_IGNORED, Severity.WARNING))

    def _run_as_one_statement(self, steps: list[Step]) -> tuple[tuple[Step, ...], StepFailed | None]:
        """Sends the steps as one DO block, for an endpoint that accepts one statement per request."""
        rewritten = [replace(step, sql=sql) for step in steps if (sql := executable_form(step.sql))]
        if len(rewritten) < len(steps):
            step = next(step for step in steps if executable_form(step.sql) is None)
            message = f"this SQL endpoint accepts one statement per request, and {step.sql.reason}"
            return (), StepFailed(step, first_not_executable(step.sql), None, message)
        try:
            self.api.sql(self.project, compile_batch(rewritten, self.session, commit=False))
        except SqlFailed as error:
            failure = parse_failure(error.message)
            if failure:
                return (), in_original_statements(self._find_failed_step(rewritten, error, failure)[1], steps)
            bare = [
                StatementPosition(step, number, 0)
                for step in rewritten
                for number, statement in enumerate(step.sql.statements, 1)
                if refuses_subtransaction(statement, step.sql)
            ]
            return (), in_original_statements(step_failed(error, guess_place(bare, error, rewritten)), steps)
        return tuple(steps), None
