"""Running migration steps through `/sql`: many per call, each in its own transaction, safe to send again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mosaic_deploy.errors import SqlFailed
from mosaic_deploy.live.client import Api
from mosaic_deploy.live.lease import lease_lost
from mosaic_deploy.sql.batch import (
    FAILED,
    LEASE_LOST,
    SKIPPED,
    Failure,
    Session,
    Step,
    compile_batch,
    compile_guard,
    compile_plain,
    compile_solo,
    needs_plain,
    read_failure,
    record,
)
from mosaic_deploy.sql.units import Carrier

MOST_STEPS = 100
MOST_TEXT = 512 * 1024
"""A call's limits, in steps and in characters of SQL; one step larger than this goes alone."""
_INVALID_TERMINATION = "2D000"


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
    """Runs steps in order. `commits` turns false for an endpoint that wraps each call in a transaction."""

    api: Api
    project: str
    session: Session
    commits: bool = field(default=True, init=False)

    def run(self, steps: Sequence[Step]) -> Iterator[tuple[Step, ...]]:
        """Yields groups of steps once they are committed. Raises StepFailed, LeaseLost, ApiError."""
        waiting = list(steps)
        while waiting:
            group = self._group(waiting)
            if self._batched(group[0]):
                done, failed = self._batch(group)
            else:
                done, failed = self._alone(group[0])
            if done:
                yield done
            if failed:
                raise failed
            del waiting[: len(done)]

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
        try:
            if step.unit.carrier is Carrier.SOLO:
                self._solo(step)
            else:
                self.api.sql(self.project, compile_plain(step, self.session))
        except SqlFailed as error:
            failure = read_failure(error.message)
            if failure and failure.code == SKIPPED:
                return (step,), None
            if failure and failure.code != FAILED:
                raise lease_lost() from error
            return (), _unmarked(step, error)
        return (step,), None

    def _solo(self, step: Step) -> None:
        self.api.sql(self.project, compile_guard(step, self.session))
        self.api.sql(self.project, compile_solo(step))
        self.api.sql(self.project, record(step, self.session))


def _wrapped(error: SqlFailed) -> bool:
    """Whether the endpoint runs each call in a transaction of its own, told by state or in words."""
    return error.sqlstate == _INVALID_TERMINATION or (
        error.sqlstate is None and "invalid transaction termination" in error.message
    )


def _unmarked(step: Step, error: SqlFailed) -> StepFailed:
    single = len(step.unit.statements) == 1
    position = error.position if step.unit.carrier is Carrier.SOLO else None
    facts = (error.sqlstate, error.message, error.detail, error.pg_hint)
    return StepFailed(step, 1 if single else 0, *facts, position=position)
