"""Limits how many requests send files at the same time, and adapts to the platform's rate limiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

DEFAULT_PARALLELISM = 16
"""Default number of concurrent transfers; docs/benchmarks.md has the measurements."""
_DEFAULT_MAX_IN_FLIGHT = 64
_DECREASE_FACTOR = 0.5


class MemoryBudget:
    """Limits the bytes of files in memory. Thread-safe."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._reserved = 0
        self._freed = threading.Condition()

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Waits until `size` bytes fit. A file larger than the budget is admitted when nothing else is reserved."""
        size = min(size, self._size)
        with self._freed:
            self._freed.wait_for(lambda: self._reserved + size <= self._size)
            self._reserved += size
        try:
            yield
        finally:
            with self._freed:
                self._reserved -= size
                self._freed.notify_all()


class RateLimiter:
    """Admits requests that send files; one for a whole run. Thread-safe.

    The limit grows by one per round of successful requests, up to the maximum, and is halved when the platform
    rate-limits one (429, 503). Requests rejected at the same time count once. A wait that the platform asks for
    applies to all requests.
    """

    def __init__(
        self,
        *,
        sleep: Callable[[float], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cancelled = threading.Event()
        self._sleep = sleep or self._cancelled.wait
        self._clock = clock
        self._freed = threading.Condition()
        self._max_limit = _DEFAULT_MAX_IN_FLIGHT
        self._limit = float(_DEFAULT_MAX_IN_FLIGHT)
        self._in_flight = 0
        self._blocked_until = 0.0
        self._last_decrease = 0.0

    def set_limit(self, maximum: int) -> None:
        """Sets the maximum number of concurrent requests."""
        with self._freed:
            self._max_limit = maximum
            self._limit = float(maximum)
            self._freed.notify_all()

    def cancel(self) -> None:
        """Ends all waits, after Ctrl-C."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def sleep(self, seconds: float) -> None:
        """Waits between two attempts of a file, or until `cancel`."""
        self._sleep(seconds)

    @property
    def limit(self) -> int:
        """How many requests may run at the moment."""
        return max(1, int(self._limit))

    @contextmanager
    def slot(self) -> Iterator[float]:
        """Waits until a request may be sent. Yields its start time, for `record_rate_limited`."""
        self._wait_until_allowed()
        with self._freed:
            self._freed.wait_for(lambda: self._in_flight < self.limit)
            self._in_flight += 1
        try:
            yield self._clock()
        finally:
            with self._freed:
                self._in_flight -= 1
                self._freed.notify()

    def record_success(self) -> None:
        with self._freed:
            if self._limit < self._max_limit:
                self._limit = min(float(self._max_limit), self._limit + 1 / self._limit)
                self._freed.notify()

    def record_rate_limited(self, began: float, wait: float) -> None:
        """A request that began at `began` was rate-limited; no request is sent for `wait` seconds."""
        with self._freed:
            now = self._clock()
            if began >= self._last_decrease:
                self._limit = max(1.0, self._limit * _DECREASE_FACTOR)
                self._last_decrease = now
            self._blocked_until = max(self._blocked_until, now + wait)

    def _wait_until_allowed(self) -> None:
        waited_for = None
        while (until := self._blocked_until) != waited_for and (left := until - self._clock()) > 0:
            self.sleep(left)
            if self.cancelled:
                return
            waited_for = until
