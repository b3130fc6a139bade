"""What one check found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mosaic_deploy.errors import Location


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
