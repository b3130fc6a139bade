"""One deploy at a time, as a command lives it: it waits for its turn, and plans anew when another one was first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from mosaic_deploy.errors import PlanStale
from mosaic_deploy.model.event import ApplyFailed

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.deploy import Planned
    from mosaic_deploy.live.api.client import Api
    from mosaic_deploy.live.ledger.lease import Patience
    from mosaic_deploy.model.event import Event

_ROUNDS = 3
"""Plans made at most: whoever is overtaken more often is told so."""


class Overtaken(Exception):
    """Another deploy was first, and nothing of this plan was applied."""


def settled(
    screen: Screen, api: Api, plan: Callable[[], Planned], patience: Patience, holder: str
) -> Planned:
    """A plan of what is live while nobody else writes. Raises LeaseHeld where the other doesn't end in time.

    A lease whose process has ended is taken away first, in the name of `holder`.

    With `patience.breaks` the apply itself breaks the lease, or waits.
    """
    planned = plan()
    if not planned.unsettled or patience.breaks:
        return planned
    from mosaic_deploy.live.ledger.lease import await_free

    for event in await_free(api, planned.plan.project.id, patience, holder):
        screen.waiting(event)
    return plan()


def in_turn(once: Callable[[bool], int]) -> int:
    """Runs `once(last)` again where it was overtaken; `last` says that it won't be run again."""
    for number in range(1, _ROUNDS + 1):
        try:
            return once(number == _ROUNDS)
        except Overtaken:
            continue
    raise AssertionError("the last round doesn't end so")


def unless_overtaken(events: Iterator[Event], *, last: bool) -> Iterator[Event]:
    """The events; raises Overtaken instead of the end of an apply whose plan another deploy made stale."""
    for event in events:
        if not last and isinstance(event, ApplyFailed) and _overtaken(event):
            raise Overtaken
        yield event


def _overtaken(event: ApplyFailed) -> bool:
    """Whether the plan was stale and nothing was deployed; the project may have been created, and filled by another."""
    created_only = all(address.startswith("project:") for address in event.done)
    return isinstance(event.error, PlanStale) and created_only
