"""One deploy at a time: waits for the lock, and plans again if another deploy came first."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from mosaic_deploy.errors import PlanStale
from mosaic_deploy.model.event import ApplyFailed

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.deploy import PreparedPlan
    from mosaic_deploy.live.api.client import Api
    from mosaic_deploy.live.ledger.lease import WaitPolicy
    from mosaic_deploy.model.event import Event

_MIN_ATTEMPTS = 3
"""Plans that a deploy makes however long the first ones take."""


class OvertakenByDeploy(Exception):
    """Another deploy came first, and nothing of this plan was applied."""


def plan_when_lease_free(
    screen: Screen, api: Api, plan: Callable[[], PreparedPlan], wait_policy: WaitPolicy, holder: str
) -> PreparedPlan:
    """A plan made while no other deploy is running. Raises LockHeld if one doesn't end in time.

    A lock whose process has ended is released first, in the name of `holder`. With `wait_policy.force_unlock`
    the apply itself takes the lock or waits.
    """
    planned = plan()
    if not planned.read_during_deploy or wait_policy.force_unlock:
        return planned
    from mosaic_deploy.live.ledger.lease import wait_until_free

    for event in wait_until_free(api, planned.plan.project.id, wait_policy, holder):
        screen.waiting(event)
    return plan()


def retry_when_overtaken(
    once: Callable[[bool], int], seconds: float, clock: Callable[[], float] = time.monotonic
) -> int:
    """Runs `once(last)` until it isn't overtaken, for `seconds` after the first time, at least three times.

    A deploy that overtakes is done then, so with N deploys at once the last makes N plans. On the `last` attempt a stale
    plan is an error.
    """
    until = math.inf
    for attempt in itertools.count(1):
        try:
            return once(attempt >= _MIN_ATTEMPTS and clock() >= until)
        except OvertakenByDeploy:
            until = min(until, clock() + seconds)
    raise AssertionError("count() has no end")


def raise_if_overtaken(events: Iterator[Event], *, last: bool) -> Iterator[Event]:
    """The events. Raises OvertakenByDeploy instead of yielding the failure that another deploy made the plan stale."""
    for event in events:
        if not last and isinstance(event, ApplyFailed) and _was_overtaken(event):
            raise OvertakenByDeploy
        yield event


def _was_overtaken(event: ApplyFailed) -> bool:
    """Whether the plan was stale and nothing was deployed. The project itself may have been created."""
    created_only = all(address.startswith("project:") for address in event.done)
    return isinstance(event.error, PlanStale) and created_only
