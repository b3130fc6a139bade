"""How many files are sent at the same time, and when none is: a platform that asks for less gets less."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

DEFAULT_PARALLELISM = 16
"""How many files are sent at the same time unless somebody says otherwise; docs/benchmarks.md has the figures."""
_DEFAULT_MAX_IN_FLIGHT = 64
_DECREASE_FACTOR = 0.5


class MemoryBudget:
    """A bound on the bytes that are held in memory at the same time. Safe to use from several threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._reserved = 0
        self._freed = threading.Condition()

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Waits until `size` bytes fit; more than the whole room is let in alone."""
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
    """Turns for requests that send files, shared by a whole run. Safe to use from several threads.

    The number of requests under way grows by one for each round of them that went well, up to `most`, and is
    halved when the platform refuses one for coming too fast (429, 503). What was refused together counts once.
    A wait that the platform asks for is everybody's.
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

    def set_limit(self, most: int) -> None:
        """Sets how many requests may be under way at once."""
        with self._freed:
            self._max_limit = most
            self._limit = float(most)
            self._freed.notify_all()

    def cancel(self) -> None:
        """Ends all waits: nobody needs what is under way any more (Ctrl-C)."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def sleep(self, seconds: float) -> None:
        """Between two attempts of one file."""
        self._sleep(seconds)

    @property
    def limit(self) -> int:
        """How many requests may be under way now."""
        return max(1, int(self._limit))

    @contextmanager
    def slot(self) -> Iterator[float]:
        """Waits for a turn and gives its beginning, to be named when the request is refused."""
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
        """A request that began then was refused; nobody sends for `wait` seconds."""
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
