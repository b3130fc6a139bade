"""The progress of an apply on stderr: a bar on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import IO, TYPE_CHECKING, Protocol, Self, cast

from mosaic_deploy.cli.render.layout import is_live_terminal, write_lines
from mosaic_deploy.cli.render.notices import report_lines
from mosaic_deploy.cli.render.tally import Tally
from mosaic_deploy.cli.visible_text import ExactWriter, visible_text
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
    StepDone,
    StillRunning,
    Verified,
    Waiting,
)
from mosaic_deploy.model.quantities import count_text, duration_text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress, Task
    from rich.text import Text

SECONDS_BETWEEN_LINES = 3.0
_RUNNING_INTERVAL = 10.0
"""Seconds of silence before a log says that SQL is still running."""
_MAX_FAILURES = 10
"""Failures of files shown as they happen; the error at the end lists all. The only failure of SQL is that error."""
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
        self._running: dict[str, None] = {}
        """Addresses of the changes that have started and not ended, in the order of their starts."""
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
        elif isinstance(event, Waiting):
            waited = duration_text(round(event.seconds))
            self._describe(f"waiting {event.reason} ({waited})")
        elif isinstance(event, StepDone):
            self._describe(f"{event.change.address} step {event.number + 1} of {event.total}")
        elif isinstance(event, ChangeStarted | ChangeDone | ChangeFailed | Verified):
            self._describe_running(event)
        if isinstance(event, ChangeDone) and (lines := list(report_lines(event))):
            self._print(f"{event.change.address} done in {duration_text(event.seconds)}")
            for line in lines:
                self._print(f"  {line}")
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
        # Another thread reports it, perhaps when the SQL has just ended.
        if self._running:
            self._describe(running_text(event))

    def _describe_running(self, event: ChangeStarted | ChangeDone | ChangeFailed | Verified) -> None:
        """Describes the change that started last of those that are running; nothing if none is."""
        if isinstance(event, ChangeStarted):
            self._running[event.change.address] = None
        elif not isinstance(event, Verified):
            self._running.pop(event.change.address, None)
        self._describe(next(reversed(self._running), ""))

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
