"""Counts what an apply has done, from its events."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from mosaic_deploy.model.change import Action, Delete, Put
from mosaic_deploy.model.event import ApplyStarted, BytesSent, ChangeDone, ChangeFailed, Event
from mosaic_deploy.model.quantities import duration_text, size_text

_RATE_WINDOW = 10.0
"""Seconds over which the rate is measured: long enough to be steady, short enough to be current."""
_MAX_TIME_LEFT = 99 * 3600


class Tally:
    """Counts the changes, files and bytes of an apply, and estimates its rate and the time left."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.total = 0
        self.done = 0
        self.failed = 0
        self.deleted = 0
        self.total_bytes = 0
        self._completed_bytes = 0
        self._partial_bytes: dict[str, int] = {}
        self._samples: deque[tuple[float, int]] = deque()
        self._file_samples: deque[tuple[float, int]] = deque()
        self._files = 0
        """Files sent and deleted."""

    def add_event(self, event: Event) -> None:
        if isinstance(event, ApplyStarted):
            self.total, self.total_bytes = event.total, event.total_bytes
        elif isinstance(event, BytesSent):
            self._partial_bytes[event.address] = event.sent
            self._add_sample()
        elif isinstance(event, ChangeFailed):
            self.failed += 1
            self._partial_bytes.pop(event.change.address, None)
        elif isinstance(event, ChangeDone):
            self.done += 1
            if isinstance(event.change, Put | Delete):
                self._files += 1
                self._keep_sample(self._file_samples, self._files)
            if isinstance(event.change, Delete):
                self.deleted += event.change.action is Action.DESTROY
            elif isinstance(event.change, Put):
                self._partial_bytes.pop(event.change.address, None)
                self._completed_bytes += event.change.size
                self._add_sample()

    @property
    def sent(self) -> int:
        """Bytes of completed files and of those in progress; a file that is sent again counts once."""
        return self._completed_bytes + sum(self._partial_bytes.values())

    @property
    def rate(self) -> float:
        """Bytes per second over the last seconds; 0 if not known yet."""
        return _rate(self._samples)

    @property
    def seconds_left(self) -> float | None:
        """For what is left to send: the longer of what its bytes and its number take; None if neither rate is known."""
        bytes_left = max(0, self.total_bytes - self.sent)
        files_left = max(0, self.total - self.done - self.failed)
        pairs = ((bytes_left, self.rate), (files_left, _rate(self._file_samples)))
        times = [left / rate for left, rate in pairs if left and rate]
        return min(max(times), _MAX_TIME_LEFT) if times else None

    def facts(self) -> list[str]:
        """What is known of `3.1 MB of 12.0 MB`, `1.2 MB/s`, `7 s left`, `200 deleted`, `1 failed`."""
        facts = []
        if self.total_bytes:
            facts.append(f"{size_text(self.sent)} of {size_text(self.total_bytes)}")
            if rate := self.rate:
                facts.append(f"{size_text(round(rate))}/s")
        if (left := self.seconds_left) is not None:
            facts.append(f"{duration_text(max(1, round(left)))} left")
        counts = ((self.deleted, "deleted"), (self.failed, "failed"))
        return [*facts, *(f"{count:,} {what}" for count, what in counts if count)]

    def _add_sample(self) -> None:
        self._keep_sample(self._samples, self.sent)

    def _keep_sample(self, samples: deque[tuple[float, int]], value: int) -> None:
        now = self._clock()
        samples.append((now, value))
        while now - samples[0][0] > _RATE_WINDOW:
            samples.popleft()


def _rate(samples: deque[tuple[float, int]]) -> float:
    """Per second, from the first sample to the last; 0 if not known yet."""
    if len(samples) < 2:
        return 0.0
    (first_time, first), (last_time, last) = samples[0], samples[-1]
    return max(0, last - first) / (last_time - first_time) if last_time > first_time else 0.0
