"""When to retry a request, how long to wait, and which hint an error gets that wasn't retried."""

from __future__ import annotations

import random

import httpx

from mosaic_deploy import errors
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.api.endpoints import Operation
from mosaic_deploy.live.api.error_mapping import is_sql_error
from mosaic_deploy.live.api.responses import retry_after

MAX_ATTEMPTS = 5
MAX_RETRY_AFTER = 30.0
"""Seconds. A longer `Retry-After` is reported as an error instead of waited for."""
MAX_RATE_LIMIT_WAIT = 300.0
"""Total seconds that one file waits because of rate limiting."""
_GATEWAY_STATUSES = frozenset({502, 504})
"""A gateway gave up waiting for the platform, so the outcome of the request is unknown."""


def backoff(attempt: int) -> float:
    """Seconds before the next attempt: 0.25 s doubled each time, with jitter, at most 8 s."""
    return min(8.0, 0.25 * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def is_rate_limited(response: httpx.Response) -> bool:
    """Whether the platform asks for fewer requests."""
    return response.status_code == 429 or (response.status_code == 503 and retry_after(response.headers) > 0)


def with_retry_hint(
    error: errors.ApiError, operation: Operation, *, is_platform_error: bool = False
) -> errors.ApiError:
    """`error` with the mutation state and the hint for a lost response or a gateway error.

    `is_platform_error`: the platform itself answered, not a gateway.
    """
    gave_up = error.status in _GATEWAY_STATUSES and not is_platform_error
    if isinstance(error, errors.ServerFailed) and (gave_up or not operation.idempotent):
        error.mutation_state = "unknown"
    elif not isinstance(error, errors.ResponseLost):
        return error
    if operation.method == "GET":
        error.mutation_state = "none"
    error.hint = "run the same command again; it first checks what is live"
    if not operation.idempotent:
        error.hint = "check whether it took effect before you run the command again, which would repeat it"
    return error


def should_retry(operation: Operation, response: httpx.Response) -> bool:
    if response.status_code == 429:
        return True
    if response.status_code < 500 or not operation.idempotent:
        return False
    return not (operation.name == endpoints.RUN_SQL.name and is_sql_error(response))
