"""The rate at which a project's tokens are verified: anybody may send one, and each costs a look into the database.

Tokens can't be guessed, so this protects other projects' requests, not the tokens.
"""

from __future__ import annotations

import asyncio
import time
from typing import Literal

from mosaic_deploy.platform.faults import Fault

PER_SECOND = 20.0
AT_ONCE = 100.0
PAUSE_SECONDS = 1.0
_CACHE_LIMIT = 10_000

_budgets: dict[tuple[str, str], tuple[float, float]] = {}
"""By who sends and for which project, which may not exist: what was left at which time."""


async def check(sender: Literal["site", "key"], project_id: str) -> None:
    """Counts one verification in this worker, of a site's pages or of calls with the key. Raises Fault (429), after a
    pause, for more than the rate."""
    try:
        count((sender, project_id))
    except Fault:
        # So a sender that ignores it doesn't keep the worker busy with refusals.
        await asyncio.sleep(PAUSE_SECONDS)
        raise


def count(whose: tuple[str, str], now: float | None = None) -> None:
    """The same, without the pause. `now` is a monotonic time."""
    now = time.monotonic() if now is None else now
    left = _left(_budgets.get(whose, (AT_ONCE, now)), now)
    if left < 1:
        _budgets[whose] = (left, now)
        message = "too many tokens of this project were sent for verification; try again"
        raise Fault(429, "too_many_verifications", message, headers={"Retry-After": "1"})
    if len(_budgets) >= _CACHE_LIMIT:
        _forget_full(now)
    _budgets[whose] = (left - 1, now)


def _left(budget: tuple[float, float], now: float) -> float:
    left, at = budget
    return min(AT_ONCE, left + (now - at) * PER_SECOND)


def _forget_full(now: float) -> None:
    """Those who have all again need no entry: invented names are soon forgotten, one who sends too much is not."""
    for whose in [whose for whose, budget in _budgets.items() if _left(budget, now) >= AT_ONCE]:
        del _budgets[whose]
