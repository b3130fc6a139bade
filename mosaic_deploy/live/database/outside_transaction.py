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
from mosaic_deploy.live.database.indexes import State, drop_index, read_dropped, read_index
from mosaic_deploy.live.ledger.lease import lease_lost
from mosaic_deploy.sql.execution.failure import ATTEMPTED, INVALID, SKIPPED, read_failure
from mosaic_deploy.sql.execution.outside_transaction import compile_claim, compile_end, compile_solo
from mosaic_deploy.sql.execution.records import refused
from mosaic_deploy.sql.execution.step import Session, Step
from mosaic_deploy.sql.parse import Statement

_TRIES = 3
_DUPLICATE = "42P07"
_PARTWAY = frozenset({"CallStmt", "DoStmt"})


class Outcome(StrEnum):
    """What is known of a statement that was begun earlier."""

    DONE = "done"
    REPEAT = "repeat"
    """It did not take effect, or does no harm twice."""
    UNKNOWN = "unknown"


class OutcomeUnknown(Exception):
    """The statement was sent earlier, its end isn't known, and running it twice could do harm."""

    def __init__(self, step: Step) -> None:
        super().__init__(step.file)
        self.step = step


def run_solo(api: Api, project: str, step: Step, session: Session) -> None:
    """Runs the step's statement and records it. Raises SqlFailed, LeaseLost, OutcomeUnknown, ApiError."""
    for attempt in range(1, _TRIES + 1):
        claimed = _claim(api, project, step, session)
        if claimed == SKIPPED:
            return
        outcome = _find_out(api, project, step) if claimed == ATTEMPTED else Outcome.REPEAT
        if outcome is Outcome.UNKNOWN:
            raise OutcomeUnknown(step)
        try:
            if outcome is Outcome.REPEAT:
                _send(api, project, step, session, before=claimed == ATTEMPTED)
            api.sql(project, compile_end(step, session))
        except (ResponseLost, ServerFailed):
            if attempt == _TRIES:
                raise
        except SqlFailed as error:
            # IF NOT EXISTS takes what a failed build left for the index itself.
            if attempt == _TRIES or not _left_invalid(error):
                raise
        else:
            return


def leaves_work(step: Step) -> bool:
    """Whether the step's statement may have committed something before it fails: a CALL, or a DO with COMMIT."""
    return step.unit.statements[0].kind in _PARTWAY


def _send(api: Api, project: str, step: Step, session: Session, *, before: bool) -> None:
    """Sends the statement. What PostgreSQL refuses is noted, so that nobody has to ask later whether it ran.

    Where it was sent `before`, it may have been running still when its outcome was asked for, and be done by now.
    """
    try:
        _send_over_remains(api, project, step)
    except SqlFailed as error:
        if before and error.sqlstate == _DUPLICATE and _find_out(api, project, step) is Outcome.DONE:
            return
        if not leaves_work(step):
            _note_refused(api, project, step, session)
        raise


def _send_over_remains(api: Api, project: str, step: Step) -> None:
    """Sends the statement; what a failed build of the same index has left is dropped first."""
    statement = step.unit.statements[0]
    try:
        api.sql(project, compile_solo(step), repeatable=False)
    except SqlFailed as error:
        if error.sqlstate != _DUPLICATE or statement.kind != "IndexStmt":
            raise
        found = read_index(api, project, statement)
        if found.state is not State.INVALID:
            raise
        drop_index(api, project, found)
        api.sql(project, compile_solo(step), repeatable=False)


def _note_refused(api: Api, project: str, step: Step, session: Session) -> None:
    """Best effort: without the note the next run finds out, or asks."""
    with contextlib.suppress(ApiError):
        api.sql(project, refused(step, session))


def _left_invalid(error: SqlFailed) -> bool:
    failure = read_failure(error.message)
    return failure is not None and failure.code == INVALID


def _claim(api: Api, project: str, step: Step, session: Session) -> str:
    """Empty where the claim is new, else the code of what the ledger said."""
    try:
        api.sql(project, compile_claim(step, session))
    except SqlFailed as error:
        failure = read_failure(error.message)
        if failure is None:
            raise
        if failure.code not in (SKIPPED, ATTEMPTED):
            raise lease_lost() from error
        return failure.code
    return ""


def _find_out(api: Api, project: str, step: Step) -> Outcome:
    statement = step.unit.statements[0]
    ask = _WAYS.get(statement.kind)
    return ask(api, project, statement) if ask else Outcome.UNKNOWN


def _index_created(api: Api, project: str, statement: Statement) -> Outcome:
    """A valid index is done. An invalid one is what a failed build leaves: it is dropped, and built again."""
    found = read_index(api, project, statement)
    if found.state is State.INVALID:
        drop_index(api, project, found)
    if found.state is State.UNNAMED:
        return Outcome.UNKNOWN
    return Outcome.DONE if found.state is State.VALID else Outcome.REPEAT


def _index_dropped(api: Api, project: str, statement: Statement) -> Outcome:
    return Outcome.DONE if read_dropped(api, project, statement) else Outcome.REPEAT


def _harmless_twice(_api: Api, _project: str, _statement: Statement) -> Outcome:
    return Outcome.REPEAT


_WAYS: dict[str, Callable[[Api, str, Statement], Outcome]] = {
    "IndexStmt": _index_created,
    "DropStmt": _index_dropped,
    "VacuumStmt": _harmless_twice,
    "ReindexStmt": _harmless_twice,
    "ClusterStmt": _harmless_twice,
    "AlterSystemStmt": _harmless_twice,
}
