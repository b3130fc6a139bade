"""The progress of an apply on stderr: a bar on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import IO, TYPE_CHECKING, Protocol, Self, cast

from mosaic_deploy.cli.render.layout import is_live_terminal, write_lines
from mosaic_deploy.cli.render.notices import report_lines
from mosaic_deploy.cli.visible_text import ExactWriter, visible_text
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.model.change import Delete, Put
from mosaic_deploy.model.event import (
    ApplyDone,
    ApplyFailed,
    ApplyStarted,
    BytesSent,
    ChangeDone,
    ChangeFailed,
    ChangeStarted,
    Event,
    Noted,
    StepDone,
    StillRunning,
    Verified,
    Waiting,
)
from mosaic_deploy.model.quantities import count_text, duration_text, size_text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress, Task
    from rich.text import Text

SECONDS_BETWEEN_LINES = 3.0
_RUNNING_INTERVAL = 10.0
"""Seconds of silence before a log says that SQL is still running."""
_MAX_FAILURES = 10
"""Failures of files shown as they happen; the error at the end lists all. The only failure of SQL is that error."""
_RATE_WINDOW = 10.0
"""Seconds over which the rate is measured: long enough to be steady, short enough to be current."""
_MAX_TIME_LEFT = 99 * 3600
_WIDE = 100
"""Columns of a terminal that has room for the longer bar."""


class EventDisplay(Protocol):
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...
    def show(self, event: Event | StillRunning) -> None: ...
    def paused(self) -> AbstractContextManager[None]: ...


def make_display(color: bool | None) -> EventDisplay:
    return ProgressBar(color) if is_live_terminal() else ProgressLines(color)


def show_events(events: Iterator[Event], display: EventDisplay) -> ApplyDone | ApplyFailed:
    """Shows events as they come; returns the last one."""
    with display as shown:
        for event in events:
            if isinstance(event, ApplyDone | ApplyFailed):
                return event
            shown.show(event)
    raise MosaicError("a defect in mosaic-deploy: the apply ended without a result", mutation_state="unknown")


class ProgressLines(AbstractContextManager["ProgressLines"]):
    """For logs: a line per database and auth change and per failure, and the number of files every few seconds."""

    def __init__(self, color: bool | None) -> None:
        self._color = color
        self._tally = Tally()
        self._last_output = time.monotonic()
        self._waiting = ""

    def __exit__(self, *_: object) -> None:
        return None

    def paused(self) -> AbstractContextManager[None]:
        return nullcontext()

    def show(self, event: Event | StillRunning) -> None:
        if isinstance(event, StillRunning):
            self._show_running(event)
            return
        self._tally.add_event(event)
        if isinstance(event, ChangeDone) and not isinstance(event.change, Put | Delete):
            self._write_line(f"  {event.change.address} done in {duration_text(event.seconds)}")
            for line in report_lines(event):
                self._write_line(f"    {line}")
        elif isinstance(event, StepDone):
            self._write_line(f"  {step_text(event)}")
        elif isinstance(event, ChangeFailed):
            if self._tally.failed <= _MAX_FAILURES and isinstance(event.change, Put | Delete):
                self._write_line(f"  {event.change.address} failed: {event.error.message}")
        elif isinstance(event, Waiting) and event.reason != self._waiting:
            self._waiting = event.reason
            self._write_line(f"  waiting {event.reason}")
        elif isinstance(event, Verified):
            self._write_line(f"  verified {event.check} ({event.result})")
        elif isinstance(event, Noted):
            self._write_line(f"  note: {event.note.message}")
        elif time.monotonic() - self._last_output > SECONDS_BETWEEN_LINES:
            done = f"{self._tally.done:,} of {count_text(self._tally.total, 'change')}"
            self._write_line(f"  {', '.join([done, *self._tally.facts()])}")

    def _show_running(self, event: StillRunning) -> None:
        """At growing intervals, so that an hour doesn't fill the log."""
        if time.monotonic() - self._last_output > max(_RUNNING_INTERVAL, event.seconds / 10):
            self._write_line(f"  {running_text(event)}")

    def _write_line(self, line: str) -> None:
        self._last_output = time.monotonic()
        write_lines(sys.stderr, [line], self._color)


def running_text(event: StillRunning) -> str:
    """`0002_x.sql has been running for 12 s: building index, 45 %`."""
    text = f"{event.file} has been running for {duration_text(round(event.seconds))}"
    if event.phase is None:
        return text
    part = "" if event.fraction is None else f", {event.fraction:.0%}"
    return f"{text}: {event.phase}{part}"


def step_text(event: StepDone) -> str:
    done = f"step {event.number} of {event.total} done in {duration_text(event.seconds)}"
    return f"{event.change.address} {done}"


class ProgressBar(AbstractContextManager["ProgressBar"]):
    """For terminals: a bar over all changes; below it bytes, rate, time left and failures, and the current change."""

    def __init__(self, color: bool | None) -> None:
        self._tally = Tally()
        self._progress = _change_bar(console(color))
        self._task = self._progress.add_task("", total=None, facts="")

    def __enter__(self) -> ProgressBar:
        self._progress.__enter__()
        return self

    def __exit__(self, *trace: object) -> None:
        self._progress.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Draws nothing while a question is open."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()

    def show(self, event: Event | StillRunning) -> None:
        if isinstance(event, StillRunning):
            self._show_running(event)
            return
        self._tally.add_event(event)
        if isinstance(event, ApplyStarted):
            self._progress.update(self._task, total=event.total)
        elif isinstance(event, ChangeStarted):
            self._describe(event.change.address)
        elif isinstance(event, Waiting):
            waited = duration_text(round(event.seconds))
            self._describe(f"waiting {event.reason} ({waited})")
        elif isinstance(event, ChangeDone) and (lines := list(report_lines(event))):
            self._print(f"{event.change.address} done in {duration_text(event.seconds)}")
            for line in lines:
                self._print(f"  {line}")
        elif isinstance(event, StepDone):
            self._describe(step_text(event))
        elif (
            isinstance(event, ChangeFailed)
            and self._tally.failed <= _MAX_FAILURES
            and isinstance(event.change, Put | Delete)
        ):
            self._print(f"{event.change.address} failed: {event.error.message}")
        elif isinstance(event, Verified):
            self._print(f"verified {event.check} ({event.result})")
        elif isinstance(event, Noted):
            self._print(f"note: {event.note.message}")
        facts = ", ".join(self._tally.facts())
        self._progress.update(self._task, completed=self._tally.done, facts=facts)

    def _show_running(self, event: StillRunning) -> None:
        self._describe(running_text(event))

    # What rich writes isn't filtered any more: it has the sequences that draw the bar.

    def _describe(self, text: str) -> None:
        self._progress.update(self._task, description=visible_text(text))

    def _print(self, line: str) -> None:
        self._progress.console.print(visible_text(line), markup=False, highlight=False)


def console(color: bool | None) -> Console:
    from rich.console import Console

    return Console(file=cast("IO[str]", ExactWriter(sys.stderr)), no_color=True if color is False else None)


def bar_width(output: Console) -> int:
    return 24 if output.width >= _WIDE else 10


def _change_bar(output: Console) -> Progress:
    """Counts, bar and elapsed time on one line; the texts below it, where they can be wrapped instead of cut."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, SpinnerColumn
    from rich.text import Text

    class Elapsed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(duration_text(round(task.elapsed or 0)), style="progress.elapsed")

    class ChangeBar(Progress):
        def get_renderables(self) -> Iterable[RenderableType]:
            yield self.make_tasks_table(self.tasks)
            for task in self.tasks:
                yield from (Text(f"  {text}") for text in (task.fields["facts"], task.description) if text)

    columns = (SpinnerColumn(), MofNCompleteColumn(), BarColumn(bar_width=bar_width(output)), Elapsed())
    return ChangeBar(*columns, console=output, transient=True)


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
        """Bytes of completed files and of those in progress; a file that is sent again counts once."""
        return self._completed_bytes + sum(self._partial_bytes.values())

    @property
    def rate(self) -> float:
        """Bytes per second over the last seconds; 0 if not known yet."""
        if len(self._samples) < 2:
            return 0.0
        (first_time, first), (last_time, last) = self._samples[0], self._samples[-1]
        return max(0, last - first) / (last_time - first_time) if last_time > first_time else 0.0

    def facts(self) -> list[str]:
        """What is known of `3.1 MB of 12.0 MB`, `1.2 MB/s`, `7 s left`, `200 deleted`, `1 failed`."""
        facts = []
        if self.total_bytes:
            facts.append(f"{size_text(self.sent)} of {size_text(self.total_bytes)}")
            if rate := self.rate:
                facts.append(f"{size_text(round(rate))}/s")
                if left := max(0, self.total_bytes - self.sent):
                    facts.append(f"{duration_text(round(min(left / rate, _MAX_TIME_LEFT)))} left")
        counts = ((self.deleted, "deleted"), (self.failed, "failed"))
        return [*facts, *(f"{count:,} {what}" for count, what in counts if count)]

    def _add_sample(self) -> None:
        now = self._clock()
        self._samples.append((now, self.sent))
        while now - self._samples[0][0] > _RATE_WINDOW:
            self._samples.popleft()
