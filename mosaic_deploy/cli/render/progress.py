"""Following an apply on stderr: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

import click

from mosaic_deploy.cli.render.text_plan import size_text
from mosaic_deploy.errors import MosaicError
from mosaic_deploy.model.change import Put
from mosaic_deploy.model.event import (
    ApplyDone,
    ApplyFailed,
    ApplyStarted,
    BytesSent,
    ChangeDone,
    ChangeStarted,
    Event,
    Noted,
    Verified,
    Waiting,
)

_SECONDS_BETWEEN_LINES = 3.0


class Follower(Protocol):
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...
    def show(self, event: Event) -> None: ...


def follow(events: Iterator[Event], *, color: bool | None) -> ApplyDone | ApplyFailed:
    """Shows events as they come; returns the last one."""
    follower: AbstractContextManager[Follower] = Bars(color) if sys.stderr.isatty() else Lines(color)
    with follower as shown:
        for event in events:
            if isinstance(event, ApplyDone | ApplyFailed):
                return event
            shown.show(event)
    raise MosaicError("the apply ended without saying how", mutation_state="unknown")


class Lines(AbstractContextManager["Lines"]):
    """For logs: a line for each database and auth change, and a count of files every few seconds."""

    def __init__(self, color: bool | None) -> None:
        self._color = color
        self._total = 0
        self._done = 0
        self._bytes = 0
        self._said = time.monotonic()
        self._waiting = ""

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, event: Event) -> None:
        if isinstance(event, ApplyStarted):
            self._total = event.total
        elif isinstance(event, ChangeDone):
            self._count(event)
        elif isinstance(event, Waiting) and event.reason != self._waiting:
            self._waiting = event.reason
            self._say(f"  waiting {event.reason}")
        elif isinstance(event, Verified):
            self._say(f"  verified {event.url} ({event.status})")
        elif isinstance(event, Noted):
            self._say(f"  note: {event.note.message}")

    def _count(self, event: ChangeDone) -> None:
        self._done += 1
        change = event.change
        if not isinstance(change, Put):
            self._say(f"  {change.address} done in {event.seconds:.2f} s")
            return
        self._bytes += change.size
        if time.monotonic() - self._said > _SECONDS_BETWEEN_LINES:
            self._say(f"  {self._done} of {self._total} changes, {size_text(self._bytes)} sent")

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        click.echo(line, err=True, color=self._color)


class Bars(AbstractContextManager["Bars"]):
    """For terminals: one bar over all changes, with bytes, rate and what is under way."""

    def __init__(self, color: bool | None) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        console = Console(stderr=True, no_color=True if color is False else None)
        self._progress = Progress(
            SpinnerColumn(),
            MofNCompleteColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[sent]}"),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, sent="")
        self._sent: dict[str, int] = {}

    def __enter__(self) -> Bars:
        self._progress.__enter__()
        return self

    def __exit__(self, *trace: object) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        if isinstance(event, ApplyStarted):
            self._progress.update(self._task, total=event.total)
        elif isinstance(event, ChangeStarted):
            self._progress.update(self._task, description=event.change.address)
        elif isinstance(event, ChangeDone):
            self._progress.advance(self._task)
        elif isinstance(event, BytesSent):
            self._sent[event.address] = event.sent
            self._progress.update(self._task, sent=size_text(sum(self._sent.values())))
        elif isinstance(event, Waiting):
            self._progress.update(self._task, description=f"waiting {event.reason} ({event.seconds:.0f} s)")
        elif isinstance(event, Verified):
            self._progress.console.print(
                f"verified {event.url} ({event.status})", markup=False, highlight=False
            )
        elif isinstance(event, Noted):
            self._progress.console.print(f"note: {event.note.message}", markup=False, highlight=False)
