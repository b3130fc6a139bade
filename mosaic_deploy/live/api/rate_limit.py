"""How many files are sent at the same time, and when none is: a platform that asks for less gets less."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PARALLELISM = 16
"""How many files are sent at the same time unless somebody says otherwise; docs/benchmarks.md has the figures."""
_UNTIL_ALLOWED = 64
_HALF = 0.5


class Room:
    """A bound on the bytes that are held in memory at the same time. Safe to use from several threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held = 0
        self._freed = threading.Condition()

    @contextmanager
    def held(self, size: int) -> Iterator[None]:
        """Waits until `size` bytes fit; more than the whole room is let in alone."""
        size = min(size, self._size)
        with self._freed:
            self._freed.wait_for(lambda: self._held + size <= self._size)
            self._held += size
        try:
            yield
        finally:
            with self._freed:
                self._held -= size
                self._freed.notify_all()


class Pace:
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
        self._given_up = threading.Event()
        self._asleep = sleep or self._given_up.wait
        self._clock = clock
        self._freed = threading.Condition()
        self._most = _UNTIL_ALLOWED
        self._limit = float(_UNTIL_ALLOWED)
        self._under_way = 0
        self._until = 0.0
        self._halved = 0.0

    def allow(self, most: int) -> None:
        """Sets how many requests may be under way at once."""
        with self._freed:
            self._most = most
            self._limit = float(most)
            self._freed.notify_all()

    def give_up(self) -> None:
        """Ends all waits: nobody needs what is under way any more (Ctrl-C)."""
        self._given_up.set()

    @property
    def given_up(self) -> bool:
        return self._given_up.is_set()

    def sleep(self, seconds: float) -> None:
        """Between two attempts of one file."""
        self._asleep(seconds)

    @property
    def limit(self) -> int:
        """How many requests may be under way now."""
        return max(1, int(self._limit))

    @contextmanager
    def turn(self) -> Iterator[float]:
        """Waits for a turn and gives its beginning, to be named when the request is refused."""
        self._wait()
        with self._freed:
            self._freed.wait_for(lambda: self._under_way < self.limit)
            self._under_way += 1
        try:
            yield self._clock()
        finally:
            with self._freed:
                self._under_way -= 1
                self._freed.notify()

    def went_well(self) -> None:
        with self._freed:
            if self._limit < self._most:
                self._limit = min(float(self._most), self._limit + 1 / self._limit)
                self._freed.notify()

    def refused(self, began: float, wait: float) -> None:
        """A request that began then was refused; nobody sends for `wait` seconds."""
        with self._freed:
            now = self._clock()
            if began >= self._halved:
                self._limit = max(1.0, self._limit * _HALF)
                self._halved = now
            self._until = max(self._until, now + wait)

    def _wait(self) -> None:
        waited_for = None
        while (until := self._until) != waited_for and (left := until - self._clock()) > 0:
            self.sleep(left)
            if self.given_up:
                return
            waited_for = until
