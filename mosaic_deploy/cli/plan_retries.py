"""One deploy at a time, as a command lives it: it waits for its turn, and plans anew when another one was first."""

from __future__ import annotations

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

_MAX_ATTEMPTS = 3
"""Plans made at most: whoever is overtaken more often is told so."""


class OvertakenByDeploy(Exception):
    """Another deploy was first, and nothing of this plan was applied."""


def plan_when_lease_free(
    screen: Screen, api: Api, plan: Callable[[], PreparedPlan], wait_policy: WaitPolicy, holder: str
) -> PreparedPlan:
    """A plan of what is live while nobody else writes. Raises LockHeld where the other doesn't end in time.

    A lease whose process has ended is taken away first, in the name of `holder`.

    With `wait_policy.force_unlock` the apply itself breaks the lease, or waits.
    """
    planned = plan()
    if not planned.read_during_deploy or wait_policy.force_unlock:
        return planned
    from mosaic_deploy.live.ledger.lease import wait_until_free

    for event in wait_until_free(api, planned.plan.project.id, wait_policy, holder):
        screen.waiting(event)
    return plan()


def retry_when_overtaken(once: Callable[[bool], int]) -> int:
    """Runs `once(last)` again where it was overtaken; `last` says that it won't be run again."""
    for number in range(1, _MAX_ATTEMPTS + 1):
        try:
            return once(number == _MAX_ATTEMPTS)
        except OvertakenByDeploy:
            continue
    raise AssertionError("the last round doesn't end so")


def raise_if_overtaken(events: Iterator[Event], *, last: bool) -> Iterator[Event]:
    """The events; raises Overtaken instead of the end of an apply whose plan another deploy made stale."""
    for event in events:
        if not last and isinstance(event, ApplyFailed) and _was_overtaken(event):
            raise OvertakenByDeploy
        yield event


def _was_overtaken(event: ApplyFailed) -> bool:
    """Whether the plan was stale and nothing was deployed; the project may have been created, and filled by another."""
    created_only = all(address.startswith("project:") for address in event.done)
    return isinstance(event.error, PlanStale) and created_only
