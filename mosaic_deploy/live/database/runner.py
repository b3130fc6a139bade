"""Running migration steps through `/sql`: many per call, each in its own transaction, safe to send again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from mosaic_deploy.errors import SqlFailed
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.error_mapping import ONE_STATEMENT
from mosaic_deploy.live.api.retries import backoff
from mosaic_deploy.live.database.outside_transaction import run_solo
from mosaic_deploy.live.ledger.lease import lease_lost
from mosaic_deploy.model.event import Noted, Waiting
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.sql.execution.batch import compile_batch
from mosaic_deploy.sql.execution.failure import LEASE_LOST, SKIPPED, Failure, read_failure
from mosaic_deploy.sql.execution.plain import compile_plain, needs_plain, stays_bare, suspect
from mosaic_deploy.sql.execution.rewrite import executable, impossible
from mosaic_deploy.sql.execution.step import Place, Session, Step
from mosaic_deploy.sql.execution.units import Carrier

MOST_STEPS = 100
MOST_TEXT = 512 * 1024
"""A call's limits, in steps and in characters of SQL; one step larger than this goes alone."""
LOCK_ATTEMPTS = 6
"""How often a step is tried that doesn't get its lock within `lock_timeout`, with a growing pause between."""
LOCK_NOT_AVAILABLE = "55P03"
_INVALID_TERMINATION = "2D000"
_NOT_TIMED = (
    "the SQL endpoint takes one statement per call, so database.statement_timeout can't be set for migrations; "
    "they run under the platform's own limit"
)


@dataclass
class StepFailed(Exception):
    """PostgreSQL refused a step. `statement` counts the step's statements from 1, 0 where it isn't known.

    `position` counts characters from 1 in that statement, where PostgreSQL told it.
    """

    step: Step
    statement: int
    sqlstate: str | None
    message: str
    detail: str | None = None
    hint: str | None = None
    position: int | None = None


@dataclass
class Runner:
    """Runs steps in order. `commits` turns false for an endpoint that wraps each call in a transaction.

    With `together` all steps are one transaction: all are applied or none is.
    """

    api: Api
    project: str
    session: Session
    together: bool = False
    sleep: Callable[[float], None] = time.sleep
    commits: bool = field(default=True, init=False)
    several: bool = field(default=True, init=False)
    """Whether the endpoint takes several statements per call, as far as is known."""
    untold: list[Note] = field(default_factory=list, init=False)

    def run(self, steps: Sequence[Step]) -> Iterator[tuple[Step, ...] | Waiting | Noted]:
        """Yields groups of steps once they are committed, Waiting before a lock is tried for again, and notes.

        Raises StepFailed, OutcomeUnknown, LeaseLost, ApiError.
        """
        waiting = list(steps)
        attempt = 1
        while waiting:
            done, failed = self._next(waiting)
            while self.untold:
                yield Noted(self.untold.pop())
            if done:
                yield done
                attempt = 1
            if failed and (failed.sqlstate != LOCK_NOT_AVAILABLE or attempt == LOCK_ATTEMPTS):
                raise failed
            if failed:
                pause = backoff(attempt + 1)
                yield Waiting(f"for a lock that {failed.step.file} needs", pause)
                self.sleep(pause)
                attempt += 1
            del waiting[: len(done)]

    def _next(self, waiting: list[Step]) -> tuple[tuple[Step, ...], StepFailed | None]:
        """One call's worth: the steps that are committed after it, and what stopped it."""
        if self.together:
            return self._all(waiting)
        group = self._group(waiting)
        return self._batch(group) if self._batched(group[0]) else self._alone(group[0])

    def _all(self, steps: list[Step]) -> tuple[tuple[Step, ...], StepFailed | None]:
        if any(not self._batched(step) for step in steps):
            return self._plain(steps)
        try:
            self.api.sql(self.project, compile_batch(steps, self.session, commit=False))
        except SqlFailed as error:
            _, failed = self._failed(steps, error, read_failure(error.message))
            return (), failed
        return tuple(steps), None

    def _batched(self, step: Step) -> bool:
        return step.unit.carrier is Carrier.BATCH and not needs_plain(step.unit, self.session)

    def _group(self, waiting: Sequence[Step]) -> list[Step]:
        """The steps of the next call: as many batchable ones as fit, or one."""
        group: list[Step] = []
        text = 0
        for step in waiting:
            text += len(step.source)
            if group and (not self.commits or len(group) == MOST_STEPS or text > MOST_TEXT):
                break
            if group and not self._batched(step):
                break
            group.append(step)
            if not self._batched(step):
                break
        return group

    def _batch(self, group: list[Step]) -> tuple[tuple[Step, ...], StepFailed | None]:
        """The steps that are committed after the call, and what stopped it. Nothing of either: try again."""
        try:
            self.api.sql(self.project, compile_batch(group, self.session, commit=self.commits))
        except SqlFailed as error:
            failure = read_failure(error.message)
            if failure is None and _wrapped(error) and self.commits:
                self.commits = False
                return (), None
            return self._failed(group, error, failure)
        return tuple(group), None

    def _failed(
        self, group: list[Step], error: SqlFailed, failure: Failure | None
    ) -> tuple[tuple[Step, ...], StepFailed | None]:
        if failure is None:
            raise error
        if failure.code == LEASE_LOST:
            raise lease_lost()
        index = next(
            i for i, s in enumerate(group) if (s.version, s.number) == (failure.version, failure.unit)
        )
        step = group[index]
        facts = (failure.sqlstate, failure.message, failure.detail, failure.hint)
        committed = tuple(group[:index]) if self.commits else ()
        return committed, StepFailed(step, failure.statement, *facts)

    def _alone(self, step: Step) -> tuple[tuple[Step, ...], StepFailed | None]:
        if step.unit.carrier is not Carrier.SOLO:
            return self._plain([step])
        try:
            run_solo(self.api, self.project, step, self.session)
        except SqlFailed as error:
            position = (error.position or 1) - 1
            return (), _refused(error, Place(step, 1, position))
        return (step,), None

    def _plain(self, steps: list[Step]) -> tuple[tuple[Step, ...], StepFailed | None]:
        if not self.several:
            return self._as_one_statement(steps)
        compiled = compile_plain(steps, self.session)
        try:
            self.api.sql(self.project, compiled.text)
        except SqlFailed as error:
            failure = read_failure(error.message)
            if failure and failure.code == SKIPPED:
                return tuple(steps), None
            if failure:
                return (), self._failed(steps, error, failure)[1]
            if ONE_STATEMENT in error.message:
                self._take_one_at_a_time()
                return (), None
            return (), _refused(
                error, compiled.place(error.position) or _guessed(compiled.places, error, steps)
            )
        return tuple(steps), None

    def _take_one_at_a_time(self) -> None:
        self.several = False
        if self.session.statement_timeout:
            self.session = replace(self.session, statement_timeout=None)
            self.untold.append(Note("statement_timeout_ignored", _NOT_TIMED, Severity.WARNING))

    def _as_one_statement(self, steps: list[Step]) -> tuple[tuple[Step, ...], StepFailed | None]:
        """The steps as one DO block, for an endpoint that takes nothing else."""
        said = [replace(step, unit=unit) for step in steps if (unit := executable(step.unit))]
        if len(said) < len(steps):
            step = next(step for step in steps if executable(step.unit) is None)
            message = f"the SQL endpoint takes one statement per call, and {step.unit.reason}"
            return (), StepFailed(step, impossible(step.unit), None, message)
        try:
            self.api.sql(self.project, compile_batch(said, self.session, commit=False))
        except SqlFailed as error:
            failure = read_failure(error.message)
            if failure:
                return (), _as_written(self._failed(said, error, failure)[1], steps)
            bare = [
                Place(step, number, 0)
                for step in said
                for number, statement in enumerate(step.unit.statements, 1)
                if stays_bare(statement, step.unit)
            ]
            return (), _as_written(_refused(error, _guessed(bare, error, said)), steps)
        return tuple(steps), None


def _guessed(bare: Sequence[Place], error: SqlFailed, steps: Sequence[Step]) -> Place:
    return suspect(bare, error.sqlstate, error.message) or Place(steps[0], 0, 0)


def _as_written(failed: StepFailed | None, steps: Sequence[Step]) -> StepFailed | None:
    """A failure of a rewritten unit, told of the file's own statements: those that begin at the same place."""
    if failed is None:
        return None
    step = next(s for s in steps if (s.version, s.number) == (failed.step.version, failed.step.number))
    if not failed.statement:
        return replace(failed, step=step)
    offset = failed.step.unit.statements[failed.statement - 1].offset
    offsets = [statement.offset for statement in step.unit.statements]
    return replace(failed, step=step, statement=offsets.index(offset) + 1)


def _wrapped(error: SqlFailed) -> bool:
    """Whether the endpoint runs each call in a transaction of its own, so that a DO block can't commit."""
    return error.sqlstate == _INVALID_TERMINATION or "invalid transaction termination" in error.message


def _refused(error: SqlFailed, place: Place) -> StepFailed:
    facts = (error.sqlstate, error.message, error.detail, error.pg_hint)
    position = place.offset + 1 if place.offset else None
    return StepFailed(place.step, place.statement, *facts, position=position)
