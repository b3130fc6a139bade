"""When to retry a request, how long to wait, and which hint an error gets that wasn't retried."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable

import httpx

from mosaic_deploy import errors
from mosaic_deploy.live.api.endpoints import Operation
from mosaic_deploy.live.api.error_mapping import (
    ASK_OPERATOR_HINT,
    PLATFORM_FULL_HINT,
    WEB_PAGE_HINT,
    is_server_failure,
)
from mosaic_deploy.live.api.responses import retry_after

MAX_ATTEMPTS = 5
MAX_RETRY_AFTER = 30.0
"""Seconds. A longer `Retry-After` is reported as an error instead of waited for."""
MAX_RATE_LIMIT_WAIT = 300.0
"""Total seconds that one file waits because of rate limiting."""


def backoff(attempt: int) -> float:
    """Seconds before the next attempt: 0.25 s doubled each time, with jitter, at most 8 s."""
    return min(8.0, 0.25 * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def is_rate_limited(response: httpx.Response) -> bool:
    """Whether the platform asks for fewer requests."""
    return response.status_code == 429 or (response.status_code == 503 and retry_after(response.headers) > 0)


class Attempts:
    """Decides after each attempt of a request whether to send it again, and after how many seconds.

    After a lost or unreadable response only idempotent operations are sent again, and nothing after `deadline`, a value of
    `time.monotonic()`. A rate-limited file counts against MAX_RATE_LIMIT_WAIT instead of MAX_ATTEMPTS.
    """

    def __init__(
        self, operation: Operation, cancelled: Callable[[], bool], deadline: float = math.inf
    ) -> None:
        self._operation = operation
        self._deadline = deadline
        self._cancelled = cancelled
        self._made = self._rate_limited = 0
        self._waited = 0.0

    def pause_after_error(self, error: errors.ApiError) -> float | None:
        """None: give up."""
        self._made += 1
        never_sent = isinstance(error, errors.Unreachable)
        if self._exhausted or not (never_sent or self._operation.idempotent):
            return None
        return backoff(self._made + self._rate_limited)

    def pause_after(self, response: httpx.Response, payload: object) -> float | None:
        """None: this is the response."""
        self._made += 1
        requested = retry_after(response.headers)
        pause = max(backoff(self._made + self._rate_limited), requested)
        must_wait = self._operation.rate_limited and is_rate_limited(response)
        exhausted = (
            self._waited + pause > MAX_RATE_LIMIT_WAIT or self._is_cancelled if must_wait else self._exhausted
        )
        if exhausted or requested > MAX_RETRY_AFTER or not self._should_retry(response, payload):
            return None
        if must_wait:
            self._made, self._rate_limited = self._made - 1, self._rate_limited + 1
            self._waited += pause
        return pause

    @property
    def _is_cancelled(self) -> bool:
        return self._operation.rate_limited and self._cancelled()

    @property
    def _exhausted(self) -> bool:
        return self._made >= MAX_ATTEMPTS or self._is_cancelled or time.monotonic() >= self._deadline

    def _should_retry(self, response: httpx.Response, payload: object) -> bool:
        if response.status_code == 429:
            return True
        return self._operation.idempotent and is_server_failure(response, payload, sql=self._operation.is_sql)


def with_retry_hint(
    error: errors.ApiError, operation: Operation, *, is_platform_error: bool = False
) -> errors.ApiError:
    """`error` with the mutation state and the hint for a request whose outcome is unknown.

    `is_platform_error`: the platform itself answered that it did nothing, not a gateway.
    """
    if isinstance(error, errors.ServerFailed):
        if is_platform_error and operation.idempotent and not operation.is_sql:
            return error
        error.mutation_state = "unknown"
    elif not isinstance(error, errors.ResponseLost | errors.ResponseInvalid):
        return error
    elif isinstance(error, errors.ResponseInvalid):
        if operation.method == "GET":
            return error
        error.mutation_state = "unknown"
    if operation.method == "GET":
        error.mutation_state = "none"
    hint = "run the same command again; it first checks what is live"
    if not operation.idempotent:
        hint = "check whether it took effect before you run the command again, which would repeat it"
    if error.hint == PLATFORM_FULL_HINT:
        return error
    if error.hint == ASK_OPERATOR_HINT:
        hint = f"{ASK_OPERATOR_HINT}; then {hint}"
    elif error.retry_after:
        hint = f"wait until then; {hint}"
    elif isinstance(error, errors.ResponseInvalid) and error.hint == WEB_PAGE_HINT:
        hint = f"{WEB_PAGE_HINT}. Then {hint}"
    error.hint = hint
    return error
