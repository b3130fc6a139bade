"""When a request is sent again, how long that waits, and what is told of one that came to nothing."""

from __future__ import annotations

import random

import httpx

from mosaic_deploy import errors
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.api.endpoints import Operation
from mosaic_deploy.live.api.error_mapping import is_sql_error

MAX_ATTEMPTS = 5
MAX_RETRY_AFTER = 30.0
"""Seconds. A `Retry-After` beyond this is reported instead of waited for."""
MAX_RATE_LIMIT_WAIT = 300.0
"""Seconds that one of many files waits in all because the platform asks to slow down."""
_GATEWAY_STATUSES = frozenset({502, 504})
"""What stands between here and the platform gave up waiting: what became of the request, it doesn't say."""


def backoff(attempt: int) -> float:
    """Seconds before the next attempt: doubling from a quarter, with jitter, at most 8."""
    return min(8.0, 0.25 * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def retry_after(response: httpx.Response) -> float:
    """Seconds the platform asks to wait; 0 where it doesn't say (or names a date)."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isdecimal() else 0.0


def is_rate_limited(response: httpx.Response) -> bool:
    """Whether the platform asks to be asked less often."""
    return response.status_code == 429 or (response.status_code == 503 and retry_after(response) > 0)


def with_retry_hint(
    error: errors.ApiError, operation: Operation, *, is_platform_error: bool = False
) -> errors.ApiError:
    """`error`, with what an answer that was lost means for this operation. What is `is_platform_error` for, no gateway said."""
    gave_up = error.status in _GATEWAY_STATUSES and not is_platform_error
    if isinstance(error, errors.ServerFailed) and (gave_up or not operation.idempotent):
        error.mutation_state = "unknown"
    elif not isinstance(error, errors.ResponseLost):
        return error
    if operation.method == "GET":
        error.mutation_state = "none"
    error.hint = "run the same command again: it looks first at what is live"
    if not operation.idempotent:
        error.hint = (
            "look whether it took effect before you run the command again: that would do it once more"
        )
    return error


def should_retry(operation: Operation, response: httpx.Response) -> bool:
    if response.status_code == 429:
        return True
    if response.status_code < 500 or not operation.idempotent:
        return False
    return not (operation.name == endpoints.RUN_SQL.name and is_sql_error(response))
