"""What one check found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from mosaic_deploy.errors import Location
from mosaic_deploy.model.event import Waiting

_POLL_INTERVAL = 0.25


class CheckStatus(StrEnum):
    """`skipped`: the check, or a part of it, can't run here; its message says why."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one attempt."""

    status: CheckStatus
    message: str


@dataclass(frozen=True, slots=True)
class Check:
    """A check to run. `kind` is its field in `verify`; `name` is shown to people.

    `repeatable`: it may run again until it passes, because it changes nothing.
    """

    kind: str
    name: str
    location: Location
    run: Callable[[], Outcome]
    repeatable: bool = True


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The last attempt of a check."""

    check: Check
    outcome: Outcome
    seconds: float


def passed(message: str) -> Outcome:
    return Outcome(CheckStatus.PASSED, message)


def failed(message: str) -> Outcome:
    return Outcome(CheckStatus.FAILED, message)


def skipped(message: str) -> Outcome:
    return Outcome(CheckStatus.SKIPPED, message)


def run_check(check: Check, wait: float) -> Iterator[Waiting | CheckResult]:
    """Yields the result last, and Waiting once if the check doesn't pass at first and is repeated for `wait` seconds."""
    began = time.monotonic()
    reported = False
    while True:
        outcome = check.run()
        waited = time.monotonic() - began
        if outcome.status is not CheckStatus.FAILED or not check.repeatable or waited >= wait:
            yield CheckResult(check, outcome, waited)
            return
        if not reported:
            reported = True
            yield Waiting(f"for {check.name}, up to {wait:.0f} s: {outcome.message}", waited)
        time.sleep(_POLL_INTERVAL)
