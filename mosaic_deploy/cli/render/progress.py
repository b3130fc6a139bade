"""Following an apply on stderr: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import click

from mosaic_deploy.errors import MosaicError
from mosaic_deploy.model.change import Delete, Put
from mosaic_deploy.model.event import (
    ApplyDone,
    ApplyFailed,
    ApplyStarted,
    ChangeDone,
    ChangeFailed,
    ChangeStarted,
    Event,
    Noted,
    Verified,
    Waiting,
)
from mosaic_deploy.model.quantities import count_text

if TYPE_CHECKING:
    from rich.console import Console


from collections import deque
from collections.abc import Callable

from mosaic_deploy.model.event import BytesSent
from mosaic_deploy.model.quantities import size_text

SECONDS_BETWEEN_LINES = 3.0


class EventDisplay(Protocol):
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...
    def show(self, event: Event) -> None: ...


def show_events(events: Iterator[Event], *, color: bool | None) -> ApplyDone | ApplyFailed:
    """Shows events as they come; returns the last one."""
    follower: AbstractContextManager[EventDisplay] = (
        ProgressBar(color) if sys.stderr.isatty() else ProgressLines(color)
    )
    with follower as shown:
        for event in events:
            if isinstance(event, ApplyDone | ApplyFailed):
                return event
            shown.show(event)
    raise MosaicError("the apply ended without saying how", mutation_state="unknown")


class ProgressLines(AbstractContextManager["ProgressLines"]):
    """For logs: a line for each database and auth change and each failure, and a count of files every few seconds."""

    def __init__(self, color: bool | None) -> None:
        self._color = color
        self._tally = Tally()
        self._last_output = time.monotonic()
        self._waiting = ""

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, event: Event) -> None:
        self._tally.add_event(event)
        if isinstance(event, ChangeDone) and not isinstance(event.change, Put | Delete):
            self._write_line(f"  {event.change.address} done in {event.seconds:.2f} s")
        elif isinstance(event, ChangeFailed):
            self._report_failure(event)
        elif isinstance(event, Waiting) and event.reason != self._waiting:
            self._waiting = event.reason
            self._write_line(f"  waiting {event.reason}")
        elif isinstance(event, Verified):
            self._write_line(f"  verified {event.url} ({event.status})")
        elif isinstance(event, Noted):
            self._write_line(f"  note: {event.note.message}")
        elif time.monotonic() - self._last_output > SECONDS_BETWEEN_LINES:
            text = self._tally.text()
            self._write_line(
                f"  {self._tally.done:,} of {count_text(self._tally.total, 'change')}{', ' + text if text else ''}"
            )

    def _report_failure(self, event: ChangeFailed) -> None:
        if self._tally.failed <= _FAILURES_SHOWN:
            self._write_line(f"  {event.change.address} failed: {event.error.message}")

    def _write_line(self, line: str) -> None:
        self._last_output = time.monotonic()
        click.echo(line, err=True, color=self._color)


_FAILURES_SHOWN = 10
"""As they happen; the error at the end has all of them."""


class ProgressBar(AbstractContextManager["ProgressBar"]):
    """For terminals: one bar over all changes, with bytes, rate, time left, failures and what is under way."""

    def __init__(self, color: bool | None) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        self._tally = Tally()
        self._progress = Progress(
            SpinnerColumn(),
            MofNCompleteColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[sent]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console(color),
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, sent="")

    def __enter__(self) -> ProgressBar:
        self._progress.__enter__()
        return self

    def __exit__(self, *trace: object) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        self._tally.add_event(event)
        if isinstance(event, ApplyStarted):
            self._progress.update(self._task, total=event.total)
        elif isinstance(event, ChangeStarted):
            self._progress.update(self._task, description=event.change.address)
        elif isinstance(event, Waiting):
            self._progress.update(self._task, description=f"waiting {event.reason} ({event.seconds:.0f} s)")
        elif isinstance(event, ChangeFailed) and self._tally.failed <= _FAILURES_SHOWN:
            self._print(f"{event.change.address} failed: {event.error.message}")
        elif isinstance(event, Verified):
            self._print(f"verified {event.url} ({event.status})")
        elif isinstance(event, Noted):
            self._print(f"note: {event.note.message}")
        self._progress.update(self._task, completed=self._tally.done, sent=self._tally.text())

    def _print(self, line: str) -> None:
        self._progress.console.print(line, markup=False, highlight=False)


def console(color: bool | None) -> Console:
    from rich.console import Console

    return Console(stderr=True, no_color=True if color is False else None)


_RATE_WINDOW = 10.0
"""Seconds whose rate is shown: long enough to be steady, short enough to be of now."""
_MAX_SECONDS = 99 * 3600


class Tally:
    """Changes, files and bytes done of how many, the rate, the time left, what was deleted, and what has failed."""

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
            if isinstance(event.change, Delete):
                self.deleted += 1
            elif isinstance(event.change, Put):
                self._partial_bytes.pop(event.change.address, None)
                self._completed_bytes += event.change.size
                self._add_sample()

    @property
    def sent(self) -> int:
        """Bytes of files that have arrived, and of those under way; a file sent again counts once."""
        return self._completed_bytes + sum(self._partial_bytes.values())

    @property
    def rate(self) -> float:
        """Bytes per second of late; 0 where that can't be said yet."""
        if len(self._samples) < 2:
            return 0.0
        (began, first), (ended, last) = self._samples[0], self._samples[-1]
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

    def _add_sample(self) -> None:
        now = self._clock()
        self._samples.append((now, self.sent))
        while now - self._samples[0][0] > _RATE_WINDOW:
            self._samples.popleft()


def clock_text(seconds: float) -> str:
    """`0:07`, `12:30`, `1:02:03`."""
    whole = round(min(seconds, _MAX_SECONDS))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
