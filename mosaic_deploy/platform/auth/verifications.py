"""The rate at which a project's tokens are verified: anybody may send one, and each costs a look into the database.

Tokens can't be guessed, so this protects other projects' requests, not the tokens.
"""

from __future__ import annotations

import asyncio
import time

from mosaic_deploy.platform.faults import Fault

PER_SECOND = 20.0
AT_ONCE = 100.0
PAUSE_SECONDS = 1.0
_CACHE_LIMIT = 10_000

_budgets: dict[str, tuple[float, float]] = {}
"""By project: what was left at which time."""


async def check(project_id: str) -> None:
    """Counts one verification in this worker. Raises Fault (429), after a pause, for more than the project's rate."""
    try:
        count(project_id)
    except Fault:
        # So a sender that ignores it doesn't keep the worker busy with refusals.
        await asyncio.sleep(PAUSE_SECONDS)
        raise


def count(project_id: str, now: float | None = None) -> None:
    """The same, without the pause. `now` is a monotonic time."""
    now = time.monotonic() if now is None else now
    left, at = _budgets.get(project_id, (AT_ONCE, now))
    left = min(AT_ONCE, left + (now - at) * PER_SECOND)
    if left < 1:
        _budgets[project_id] = (left, now)
        message = "too many tokens of this project were sent for verification; try again"
        raise Fault(429, "too_many_verifications", message, headers={"Retry-After": "1"})
    if len(_budgets) >= _CACHE_LIMIT:
        _budgets.clear()
    _budgets[project_id] = (left - 1, now)
