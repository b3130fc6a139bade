"""Units outside any transaction: intent first, then the statement once, then the ledger row.

PostgreSQL can't record such a statement together with its effect, so a crash or a lost answer leaves the
question whether it ran. For each kind there is a way to find out, or to run it again without harm, or
neither; then nobody guesses.
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
    """What is known of a statement that was begun earlier."""

    DONE = "done"
    RETRY = "repeat"
    """It did not take effect, or does no harm twice."""
    UNKNOWN = "unknown"


class OutcomeUnknown(Exception):
    """The statement was sent earlier, its end isn't known, and running it twice could do harm."""

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
            # IF NOT EXISTS takes what a failed build left for the index itself.
            if attempt == _MAX_ATTEMPTS or not _is_invalid_index(error):
                raise
        else:
            return


def may_commit_partially(step: Step) -> bool:
    """Whether the step's statement may have committed something before it fails: a CALL, or a DO with COMMIT."""
    return step.unit.statements[0].kind in _MAY_COMMIT_PARTLY


def _run_statement(api: Api, project: str, step: Step, session: SqlSession, *, before: bool) -> None:
    """Sends the statement. What PostgreSQL refuses is noted, so that nobody has to ask later whether it ran.

    Where it was sent `before`, it may have been running still when its outcome was asked for, and be done by now.
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
    """Sends the statement; what a failed build of the same index has left is dropped first."""
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
    """Best effort: without the note the next run finds out, or asks."""
    with contextlib.suppress(ApiError):
        api.sql(project, record_failure_sql(step, session))


def _is_invalid_index(error: SqlFailed) -> bool:
    failure = parse_failure(error.message)
    return failure is not None and failure.code == INDEX_INVALID


def _claim_unit(api: Api, project: str, step: Step, session: SqlSession) -> str:
    """Empty where the claim is new, else the code of what the ledger said."""
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
    ask = _OUTCOME_READERS.get(statement.kind)
    return ask(api, project, statement) if ask else StatementOutcome.UNKNOWN


def _create_index_outcome(api: Api, project: str, statement: Statement) -> StatementOutcome:
    """A valid index is done. An invalid one is what a failed build leaves: it is dropped, and built again."""
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
