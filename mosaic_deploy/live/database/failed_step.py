"""A step that PostgreSQL rejected, and what its error says: which step, which statement, whether to try again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mosaic_deploy.errors import ResponseInvalid, SqlFailed
from mosaic_deploy.live.api.error_mapping import TRANSACTION_TIMEOUT
from mosaic_deploy.live.database.outside_transaction import may_commit_partially
from mosaic_deploy.model.effects import Effects, parse_effects
from mosaic_deploy.model.event import SqlNotice
from mosaic_deploy.sql.execution.failure import Failure
from mosaic_deploy.sql.execution.plain import guess_failed_statement
from mosaic_deploy.sql.execution.split import ExecutionMode
from mosaic_deploy.sql.execution.step import StatementPosition, Step
from mosaic_deploy.sql.guard.agreement import NOT_MEASURED

LOCK_NOT_AVAILABLE = "55P03"
_DEADLOCK = "40P01"
_QUERY_CANCELED = "57014"


@dataclass
class StepFailed(Exception):
    """PostgreSQL rejected a step. `statement` is its number in the step, from 1; 0 if unknown.

    `position` is a character of that statement, from 1; None if PostgreSQL didn't report it.
    """

    step: Step
    statement: int
    sqlstate: str | None
    message: str
    detail: str | None = None
    hint: str | None = None
    position: int | None = None
    context: str = ""
    """The calls inside the statement that led to the error, as PostgreSQL describes them."""
    row: int = 0
    """Of COPY rows: the one that PostgreSQL refused, from 1 in the statement; 0 if that isn't known."""
    notices: tuple[SqlNotice, ...] = ()
    too_large: bool = False
    """The request was too large, so nothing of the step ran."""
    effects: Effects | None = None
    """What the step did beyond what was agreed to, for which it was rolled back; empty if that couldn't be measured."""
    schema: Mapping[str, object] = field(default_factory=dict)
    """What the step touches and isn't as rehearsed, so nothing of it ran; as in Failure."""
    result: Mapping[str, object] = field(default_factory=dict)
    """What the step leaves otherwise than in the rehearsal, for which it was rolled back."""
    wrapped: bool = False
    """The endpoint runs each request in a transaction, so nothing of the step was committed."""


def guess_place(
    bare: Sequence[StatementPosition], error: SqlFailed, steps: Sequence[Step]
) -> StatementPosition:
    return guess_failed_statement(bare, error.sqlstate, error.message) or StatementPosition(steps[0], 0, 0)


def in_original_statements(failed: StepFailed | None, steps: Sequence[Step]) -> StepFailed | None:
    """A failure of a rewritten step, with the file's own statement: the one that begins at the same offset."""
    if failed is None:
        return None
    step = next(s for s in steps if step_key(s) == step_key(failed.step))
    if not failed.statement:
        return replace(failed, step=step)
    offset = failed.step.sql.statements[failed.statement - 1].offset
    offsets = [statement.offset for statement in step.sql.statements]
    return replace(failed, step=step, statement=offsets.index(offset) + 1)


def unmeasured_or_exceeding(step: Step, failure: Failure) -> StepFailed:
    """The failure of a step that the guard has stopped. Raises ResponseInvalid if its report can't be read."""
    if failure.code == NOT_MEASURED:
        return StepFailed(step, 0, None, "", effects=Effects())
    try:
        effects = parse_effects(failure.effects)
    except ValueError as error:
        raise ResponseInvalid(f"the SQL endpoint returned {error}") from None
    return StepFailed(step, 0, None, "", effects=effects)


def unknown_step_error(failure: Failure) -> ResponseInvalid:
    return ResponseInvalid(
        f"the SQL endpoint's error is about statement {failure.statement} of step {failure.step} of version "
        f"{failure.version or '?'}, which this request didn't have: {failure.message or failure.code}",
        mutation_state="unknown",
    )


def is_over_time(error: SqlFailed, failure: Failure | None) -> bool:
    """Whether a time limit ended the call, and not somebody who cancelled it."""
    if error.sqlstate == TRANSACTION_TIMEOUT:
        return True
    canceled = _QUERY_CANCELED in (error.sqlstate, failure and failure.sqlstate)
    return canceled and "due to user request" not in error.message


def step_key(step: Step) -> tuple[str, int]:
    return step.version, step.number


def may_get_lock_later(failed: StepFailed) -> bool:
    """Whether the step didn't get a lock and has left nothing, so it can be run again."""
    outside = failed.step.sql.execution_mode is ExecutionMode.OUTSIDE_TRANSACTION
    # A deadlock of the comparison with a rehearsal: nothing of the step has begun.
    waited = failed.sqlstate == LOCK_NOT_AVAILABLE or (failed.sqlstate == _DEADLOCK and not failed.statement)
    return waited and not (outside and may_commit_partially(failed.step))


def step_failed(error: SqlFailed, place: StatementPosition) -> StepFailed:
    facts = (error.sqlstate, error.message, error.detail, error.pg_hint)
    position = place.offset + 1 if place.offset else None
    return StepFailed(place.step, place.statement, *facts, position=position, context=error.context)
