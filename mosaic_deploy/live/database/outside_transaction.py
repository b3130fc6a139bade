"""Runs a statement outside a transaction: records the intent, sends the statement once, records the result.

PostgreSQL can't record such a statement together with its effect, so after a crash or a lost response it isn't known
whether it ran. Depending on the statement, the outcome can be read, or it can be run again without harm, or neither:
then the deploy stops and asks.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from enum import StrEnum

from mosaic_deploy.errors import ApiError, ResponseInvalid, ResponseLost, ServerFailed, SqlFailed
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.indexes import IndexState, drop_index, read_index, read_indexes_dropped
from mosaic_deploy.live.database.running_statements import wait_until_ended
from mosaic_deploy.live.ledger.lease import lease_lost_error
from mosaic_deploy.sql.execution.failure import (
    INDEX_INVALID,
    INDEX_MISSING,
    LEASE_LOST,
    STEP_APPLIED,
    STEP_ATTEMPTED,
    STEP_NOT_BEGUN,
    parse_failure,
)
from mosaic_deploy.sql.execution.outside_transaction import (
    compile_claim,
    compile_completion,
    compile_outside_transaction,
)
from mosaic_deploy.sql.execution.records import record_failure_sql
from mosaic_deploy.sql.execution.step import SqlSession, Step
from mosaic_deploy.sql.guard.schema_check import SCHEMA_CHANGED
from mosaic_deploy.sql.marker import STATEMENT_FAILED
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.quote import index_name

_INVALID_TERMINATION = "2D000"
_MAX_ATTEMPTS = 3
_DUPLICATE = "42P07"
_OUTPUT_PARAMETER = "is an output parameter but corresponding argument is not writable"
_OUTPUT_WITH_SETTINGS = (
    "this CALL has output parameters, so it is sent alone, without the file's settings; write the schema in its name and "
    "RESET the settings before it, or call it in a DO block with variables"
)
_NOT_COMPILED = 'compilation of PL/pgSQL function "inline_code_block"'
"""In the context of an error before the block's first statement."""
_DONE_ALREADY = frozenset({_DUPLICATE, "42704"})
"""The index to create is there; the index to drop is not."""
_MAY_COMMIT_PARTLY = frozenset({"CallStmt", "DoStmt"})


class StatementOutcome(StrEnum):
    """What is known about a statement that was sent earlier."""

    DONE = "done"
    RETRY = "retry"
    """It had no effect, or running it twice does no harm."""
    UNKNOWN = "unknown"


class OutcomeUnknown(Exception):
    """The statement was sent earlier with unknown outcome, and running it twice could do harm.

    `lost` is the error of the request that sent it, if that was in this run.
    """

    def __init__(self, step: Step, lost: ApiError | None = None) -> None:
        super().__init__(step.file)
        self.step = step
        self.lost = lost


def run_outside_transaction(
    api: Api, project: str, step: Step, session: SqlSession, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Runs the step's statement and records it. Raises SqlFailed, NotSent, NothingCommitted, LockLost, OutcomeUnknown, ApiError.

    If the statement was sent before, it first waits until PostgreSQL no longer runs it.
    """
    sent = False
    lost: ApiError | None = None
    for attempt in range(1, _MAX_ATTEMPTS + 1):
        claimed = _claim_step(api, project, step, session, sent=sent)
        if claimed == STEP_APPLIED:
            return
        sent = sent or claimed == STEP_ATTEMPTED
        outcome = StatementOutcome.RETRY
        if sent:
            wait_until_ended(api, project, step, session, sleep)
            outcome = _read_outcome(api, project, step)
        if outcome is StatementOutcome.UNKNOWN:
            raise OutcomeUnknown(step, lost)
        before, sent = sent, True
        try:
            if outcome is StatementOutcome.RETRY:
                _run_statement(api, project, step, session, before=before, sleep=sleep)
            _complete_step(api, project, step, session)
        except (ResponseLost, ResponseInvalid, ServerFailed) as error:
            lost = error
            if attempt == _MAX_ATTEMPTS:
                raise
        except _IndexInvalid as invalid:
            # With IF NOT EXISTS, PostgreSQL accepts the invalid index of a failed build.
            if attempt == _MAX_ATTEMPTS:
                raise invalid.error from None
        else:
            return


def may_commit_partially(step: Step) -> bool:
    """Whether the statement may commit something before it fails: CALL, or DO with COMMIT."""
    return step.sql.statements[0].kind in _MAY_COMMIT_PARTLY


def wraps_in_transaction(error: SqlFailed) -> bool:
    """Whether the error is PostgreSQL's for a COMMIT in a block that is itself inside a transaction."""
    return error.sqlstate == _INVALID_TERMINATION or "invalid transaction termination" in error.message


class NotSent(Exception):
    """The step couldn't be begun, so its statement wasn't sent."""

    def __init__(self, message: str, error: SqlFailed, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.error, self.hint = message, error, hint


class NothingCommitted(Exception):
    """The statement can't commit, because the endpoint runs each request in a transaction."""

    def __init__(self, error: SqlFailed) -> None:
        super().__init__(error.message)
        self.error = error


class _IndexInvalid(Exception):
    """The statement succeeded, but its index is the invalid one of a failed build."""

    def __init__(self, error: SqlFailed) -> None:
        super().__init__(error.message)
        self.error = error


def _run_statement(
    api: Api, project: str, step: Step, session: SqlSession, *, before: bool, sleep: Callable[[float], None]
) -> None:
    """Sends the statement. If PostgreSQL rejects it, records that, so the outcome is known later.

    A statement that was sent `before` may have arrived after its outcome was read, and be done by now.
    """
    try:
        _run_replacing_invalid_index(api, project, step, session, sleep)
    except NotSent:
        _record_failure(api, project, step, session)
        raise
    except SqlFailed as error:
        if (failure := parse_failure(error.message)) and failure.code == STEP_NOT_BEGUN:
            raise lease_lost_error() from error
        if (
            before
            and error.sqlstate in _DONE_ALREADY
            and _read_outcome(api, project, step) is StatementOutcome.DONE
        ):
            return
        if _NOT_COMPILED in error.context:
            _record_failure(api, project, step, session)
            raise NotSent(error.message, error) from error
        if not may_commit_partially(step):
            _record_failure(api, project, step, session)
        elif wraps_in_transaction(error) and _wraps_requests(api, project):
            _record_failure(api, project, step, session)
            raise NothingCommitted(error) from error
        raise


def _wraps_requests(api: Api, project: str) -> bool:
    """Whether the endpoint runs each request in a transaction, where a block can't commit."""
    try:
        api.sql(project, "DO 'BEGIN COMMIT; END'")
    except SqlFailed as error:
        return wraps_in_transaction(error)
    return False


def _run_replacing_invalid_index(
    api: Api, project: str, step: Step, session: SqlSession, sleep: Callable[[float], None]
) -> None:
    """Sends the statement. If an invalid index of a failed build is in the way, drops it and retries."""
    statement = step.sql.statements[0]
    try:
        api.sql(project, compile_outside_transaction(step), idempotent=False)
    except SqlFailed as error:
        if statement.kind == "CallStmt" and _OUTPUT_PARAMETER in error.message:
            # A block would need variables for them. Nothing ran yet.
            if step.sql.session.statements:
                raise NotSent(_OUTPUT_WITH_SETTINGS, error) from error
            api.sql(project, statement.text, idempotent=False)
            return
        if error.sqlstate != _DUPLICATE or statement.kind != "IndexStmt":
            raise
        wait_until_ended(api, project, step, session, sleep)
        found = read_index(api, project, statement)
        if found.state is not IndexState.INVALID:
            raise
        drop_index(api, project, found)
        api.sql(project, compile_outside_transaction(step), idempotent=False)


def _record_failure(api: Api, project: str, step: Step, session: SqlSession) -> None:
    """Best effort: without the record the next run reads the outcome, or asks."""
    with contextlib.suppress(ApiError):
        api.sql(project, record_failure_sql(step, session))


def _claim_step(api: Api, project: str, step: Step, session: SqlSession, *, sent: bool) -> str:
    """Empty if the claim is new or of this deploy, else STEP_APPLIED or STEP_ATTEMPTED."""
    try:
        api.sql(project, compile_claim(step, session))
    except SqlFailed as error:
        failure = parse_failure(error.message)
        if failure is None or failure.code in (STATEMENT_FAILED, SCHEMA_CHANGED):
            message, hint = (failure.message, failure.hint) if failure else (error.message, error.pg_hint)
            raise NotSent(message, error, hint) from error
        if failure.code not in (STEP_APPLIED, STEP_ATTEMPTED):
            raise lease_lost_error() from error
        return failure.code
    except (ApiError, KeyboardInterrupt):
        # The claim may be recorded. If the statement wasn't sent, the next run needn't ask whether it ran.
        if not sent:
            _record_failure(api, project, step, session)
        raise
    return ""


def _complete_step(api: Api, project: str, step: Step, session: SqlSession) -> None:
    """Records the step. Raises LockLost, _IndexInvalid, SqlFailed."""
    try:
        api.sql(project, compile_completion(step, session))
    except KeyboardInterrupt:
        # Without the record the next run asks whether the statement took effect.
        with contextlib.suppress(ApiError):
            api.sql(project, compile_completion(step, session))
        raise
    except SqlFailed as error:
        failure = parse_failure(error.message)
        if failure is None:
            raise
        if failure.code == LEASE_LOST:
            raise lease_lost_error() from error
        name = index_name(step.sql.statements[0])
        if failure.code == INDEX_INVALID:
            raise _IndexInvalid(SqlFailed(f"the index {name} is invalid: its build failed")) from error
        if failure.code == INDEX_MISSING:
            raise SqlFailed(f"the index {name} isn't there, although its statement succeeded") from error


def can_read_outcome(statement: Statement) -> bool:
    """Whether a run can find out by itself whether the statement took effect, or may send it again."""
    return statement.kind in _OUTCOME_READERS and not (
        statement.kind == "IndexStmt" and not index_name(statement)
    )


def _read_outcome(api: Api, project: str, step: Step) -> StatementOutcome:
    statement = step.sql.statements[0]
    read = _OUTCOME_READERS.get(statement.kind)
    return read(api, project, statement) if read else StatementOutcome.UNKNOWN


def _create_index_outcome(api: Api, project: str, statement: Statement) -> StatementOutcome:
    """DONE for a valid index. An invalid one is left by a failed build: drops it, to build it again."""
    found = read_index(api, project, statement)
    if found.state is IndexState.INVALID:
        drop_index(api, project, found)
    if found.state is IndexState.UNNAMED:
        return StatementOutcome.UNKNOWN
    return StatementOutcome.DONE if found.state is IndexState.VALID else StatementOutcome.RETRY


def _drop_index_outcome(api: Api, project: str, statement: Statement) -> StatementOutcome:
    return StatementOutcome.DONE if read_indexes_dropped(api, project, statement) else StatementOutcome.RETRY


def _idempotent_outcome(_api: Api, _project: str, _statement: Statement) -> StatementOutcome:
    return StatementOutcome.RETRY


_OUTCOME_READERS: dict[str, Callable[[Api, str, Statement], StatementOutcome]] = {
    "IndexStmt": _create_index_outcome,
    "DropStmt": _drop_index_outcome,
    "VacuumStmt": _idempotent_outcome,
    "ReindexStmt": _idempotent_outcome,
    "ClusterStmt": _idempotent_outcome,
    "AlterSystemStmt": _idempotent_outcome,
}
