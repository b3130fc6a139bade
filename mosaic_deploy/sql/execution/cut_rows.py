"""Steps with more COPY rows than one request can hold, cut into several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mosaic_deploy.sql.execution.split import ExecutionMode, StepSql
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.scripts.copy_batches import CopyBatch
from mosaic_deploy.sql.session.state import SessionState, TransactionState

WHOLE_ROWS = 4 * 1024 * 1024
"""Characters of COPY rows that stay in one step, so in one transaction."""
PIECE_ROWS = 1024 * 1024
_REASON = "it has more COPY rows than fit in one request; as in psql, each part commits on its own"


def cut_rows(steps: Sequence[StepSql]) -> list[StepSql]:
    """The steps; one with more rows is cut between its statements, except a BEGIN … COMMIT block of the file."""
    return [piece for step in steps for piece in _pieces(step)]


def _pieces(step: StepSql) -> Iterator[StepSql]:
    if _rows(step) <= WHOLE_ROWS or not _may_be_cut(step):
        yield step
        return
    session = step.session
    piece: list[Statement] = []
    size = 0
    for statement in step.statements:
        added = statement.size if isinstance(statement, CopyBatch) else 0
        if piece and added and size + added > PIECE_ROWS:
            yield replace(step, statements=tuple(piece), reason=_REASON, session=session, remarks=())
            session = _session_after(session, piece)
            piece, size = [], 0
        piece.append(statement)
        size += added
    yield replace(step, statements=tuple(piece), reason=_REASON, session=session)


def _session_after(session: SessionState, statements: Sequence[Statement]) -> SessionState:
    state = TransactionState.begun_in(session)
    for statement in statements:
        state = state.after(statement)
    return state.kept


def _may_be_cut(step: StepSql) -> bool:
    savepoints = any(statement.kind == "TransactionStmt" for statement in step.statements)
    return not (step.explicit or savepoints or step.execution_mode is ExecutionMode.OUTSIDE_TRANSACTION)


def _rows(step: StepSql) -> int:
    return sum(statement.size for statement in step.statements if isinstance(statement, CopyBatch))
