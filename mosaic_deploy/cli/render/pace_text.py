"""How far the sending of files is, in numbers and in words."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from mosaic_deploy.model.change import Delete, Put
from mosaic_deploy.model.event import ApplyStarted, BytesSent, ChangeDone, ChangeFailed, Event
from mosaic_deploy.model.size import size_text

_WINDOW = 10.0
"""Seconds whose rate is shown: long enough to be steady, short enough to be of now."""
_LONG = 99 * 3600


class Tally:
    """Changes, files and bytes done of how many, the rate, the time left, what was deleted, and what has failed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.total = 0
        self.done = 0
        self.failed = 0
        self.deleted = 0
        self.total_bytes = 0
        self._whole = 0
        self._partly: dict[str, int] = {}
        self._seen: deque[tuple[float, int]] = deque()

    def heard(self, event: Event) -> None:
        if isinstance(event, ApplyStarted):
            self.total, self.total_bytes = event.total, event.total_bytes
        elif isinstance(event, BytesSent):
            self._partly[event.address] = event.sent
            self._note()
        elif isinstance(event, ChangeFailed):
            self.failed += 1
            self._partly.pop(event.change.address, None)
        elif isinstance(event, ChangeDone):
            self.done += 1
            if isinstance(event.change, Delete):
                self.deleted += 1
            elif isinstance(event.change, Put):
                self._partly.pop(event.change.address, None)
                self._whole += event.change.size
                self._note()

    @property
    def sent(self) -> int:
        """Bytes of files that have arrived, and of those under way; a file sent again counts once."""
        return self._whole + sum(self._partly.values())

    @property
    def rate(self) -> float:
        """Bytes per second of late; 0 where that can't be said yet."""
        if len(self._seen) < 2:
            return 0.0
        (began, first), (ended, last) = self._seen[0], self._seen[-1]
        return max(0, last - first) / (ended - began) if ended > began else 0.0

    def text(self) -> str:
        """`3.1 MB of 12.0 MB, 1.2 MB/s, 0:07 left, 200 deleted, 1 failed`: what is known of it."""
        parts = []
        if self.total_bytes:
            parts.append(f"{size_text(self.sent)} of {size_text(self.total_bytes)}")
            if rate := self.rate:
                parts.append(f"{size_text(round(rate))}/s")
                if left := max(0, self.total_bytes - self.sent):
                    parts.append(f"{clock_text(left / rate)} left")
        counts = ((self.deleted, "deleted"), (self.failed, "failed"))
        return ", ".join([*parts, *(f"{count:,} {what}" for count, what in counts if count)])

    def _note(self) -> None:
        now = self._clock()
        self._seen.append((now, self.sent))
        while now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()


def clock_text(seconds: float) -> str:
    """`0:07`, `12:30`, `1:02:03`."""
    whole = round(min(seconds, _LONG))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
