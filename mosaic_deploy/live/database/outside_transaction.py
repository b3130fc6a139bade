"""Runs a statement outside a transaction: records the intent, sends the statement once, records the result.

PostgreSQL can't record such a statement together with its effect, so after a crash or a lost response it isn't known
whether it ran. Depending on the statement, the outcome can be read, or it can be run again without harm, or neither:
then the deploy stops and asks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from enum import StrEnum

from mosaic_deploy.errors import ApiError, ResponseLost, ServerFailed, SqlFailed
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.indexes import IndexState, drop_index, read_index, read_indexes_dropped
from mosaic_deploy.live.ledger.lease import lease_lost_error
from mosaic_deploy.sql.execution.failure import INDEX_INVALID, UNIT_APPLIED, UNIT_ATTEMPTED, parse_failure
from mosaic_deploy.sql.execution.outside_transaction import (
    compile_claim,
    compile_completion,
    compile_outside_transaction,
)
from mosaic_deploy.sql.execution.records import record_failure_sql
from mosaic_deploy.sql.execution.step import SqlSession, Step
from mosaic_deploy.sql.parse import Statement

_MAX_ATTEMPTS = 3
_DUPLICATE = "42P07"
_MAY_COMMIT_PARTLY = frozenset({"CallStmt", "DoStmt"})


class StatementOutcome(StrEnum):
    """What is known about a statement that was sent earlier."""

    DONE = "done"
    RETRY = "retry"
    """It had no effect, or running it twice does no harm."""
    UNKNOWN = "unknown"


class OutcomeUnknown(Exception):
    """The statement was sent earlier with unknown outcome, and running it twice could do harm."""

    def __init__(self, step: Step) -> None:
        super().__init__(step.file)
        self.step = step


def run_outside_transaction(api: Api, project: str, step: Step, session: SqlSession) -> None:
    """Runs the step's statement and records it. Raises SqlFailed, LockLost, OutcomeUnknown, ApiError."""
    for attempt in range(1, _MAX_ATTEMPTS + 1):
        claimed = _claim_unit(api, project, step, session)
        if claimed == UNIT_APPLIED:
            return
        outcome = _read_outcome(api, project, step) if claimed == UNIT_ATTEMPTED else StatementOutcome.RETRY
        if outcome is StatementOutcome.UNKNOWN:
            raise OutcomeUnknown(step)
        try:
            if outcome is StatementOutcome.RETRY:
                _run_statement(api, project, step, session, before=claimed == UNIT_ATTEMPTED)
            api.sql(project, compile_completion(step, session))
        except (ResponseLost, ServerFailed):
            if attempt == _MAX_ATTEMPTS:
                raise
        except SqlFailed as error:
            # With IF NOT EXISTS, PostgreSQL accepts the invalid index of a failed build.
            if attempt == _MAX_ATTEMPTS or not _is_invalid_index(error):
                raise
        else:
            return


def may_commit_partially(step: Step) -> bool:
    """Whether the statement may commit something before it fails: CALL, or DO with COMMIT."""
    return step.unit.statements[0].kind in _MAY_COMMIT_PARTLY


def _run_statement(api: Api, project: str, step: Step, session: SqlSession, *, before: bool) -> None:
    """Sends the statement. If PostgreSQL rejects it, records that, so the outcome is known later.

    A statement that was sent `before` may still have been running when its outcome was read, and be done by now.
    """
    try:
        _run_replacing_invalid_index(api, project, step)
    except SqlFailed as error:
        if (
            before
            and error.sqlstate == _DUPLICATE
            and _read_outcome(api, project, step) is StatementOutcome.DONE
        ):
            return
        if not may_commit_partially(step):
            _record_failure(api, project, step, session)
        raise


def _run_replacing_invalid_index(api: Api, project: str, step: Step) -> None:
    """Sends the statement. If an invalid index of a failed build is in the way, drops it and retries."""
    statement = step.unit.statements[0]
    try:
        api.sql(project, compile_outside_transaction(step), idempotent=False)
    except SqlFailed as error:
        if error.sqlstate != _DUPLICATE or statement.kind != "IndexStmt":
            raise
        found = read_index(api, project, statement)
        if found.state is not IndexState.INVALID:
            raise
        drop_index(api, project, found)
        api.sql(project, compile_outside_transaction(step), idempotent=False)


def _record_failure(api: Api, project: str, step: Step, session: SqlSession) -> None:
    """Best effort: without the record the next run reads the outcome, or asks."""
    with contextlib.suppress(ApiError):
        api.sql(project, record_failure_sql(step, session))


def _is_invalid_index(error: SqlFailed) -> bool:
    failure = parse_failure(error.message)
    return failure is not None and failure.code == INDEX_INVALID


def _claim_unit(api: Api, project: str, step: Step, session: SqlSession) -> str:
    """Empty if the claim is new, else UNIT_APPLIED or UNIT_ATTEMPTED."""
    try:
        api.sql(project, compile_claim(step, session))
    except SqlFailed as error:
        failure = parse_failure(error.message)
        if failure is None:
            raise
        if failure.code not in (UNIT_APPLIED, UNIT_ATTEMPTED):
            raise lease_lost_error() from error
        return failure.code
    return ""


def _read_outcome(api: Api, project: str, step: Step) -> StatementOutcome:
    statement = step.unit.statements[0]
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
