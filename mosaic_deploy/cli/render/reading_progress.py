"""The progress of long reads: files being hashed, live files being compared, a platform being copied."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, ParamSpec

from mosaic_deploy.cli.render.layout import is_live_terminal, write_lines
from mosaic_deploy.cli.render.progress import SECONDS_BETWEEN_LINES, bar_width, console
from mosaic_deploy.model.quantities import size_text

if TYPE_CHECKING:
    from rich.progress import Progress

P = ParamSpec("P")

_DELAY = 1.0
"""Seconds before any progress is shown."""


class Throttled(Generic[P]):
    """Calls `callback` a second after the first call at the earliest, and then every few seconds."""

    def __init__(self, callback: Callable[P, None]) -> None:
        self._callback = callback
        self._next_call: float | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        now = time.monotonic()
        if self._next_call is None:
            self._next_call = now + _DELAY
        elif now >= self._next_call:
            self._next_call = now + SECONDS_BETWEEN_LINES
            self._callback(*args, **kwargs)


class _DelayedBar:
    """A bar that appears a second after the first call of `show`."""

    def __init__(self, color: bool | None) -> None:
        self._color = color
        self._since: float | None = None
        self._bar: Progress | None = None

    def show(self, done: int, total: int, text: str) -> None:
        now = time.monotonic()
        self._since = self._since or now
        if self._bar is None:
            if now - self._since < _DELAY:
                return
            self._bar = self._start_bar()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, description=text)

    def close(self) -> None:
        self._since = None
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _start_bar(self) -> Progress:
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        output = console(self._color)
        text = TextColumn("{task.description}", markup=False, table_column=Column(overflow="fold"))
        bar = Progress(BarColumn(bar_width=bar_width(output)), text, console=output, transient=True)
        bar.add_task("", total=None)
        bar.start()
        return bar


@contextmanager
def hash_progress(color: bool | None) -> Iterator[Callable[[int, int], None]]:
    """Shows on a terminal how many bytes of the files have been hashed."""
    bar = _DelayedBar(color)

    def on_progress(done: int, total: int) -> None:
        bar.show(done, total, f"hashed {size_text(done)} of {size_text(total)}")
        if done >= total:
            bar.close()  # a terminal has room for one bar, and another may follow

    try:
        yield on_progress
    finally:
        bar.close()


@contextmanager
def copy_progress(color: bool | None, what: str) -> Iterator[Callable[[int, int], None]]:
    """Shows how many bytes are `written` or `read`."""
    with _bar_or_lines(color) as show:
        yield lambda done, total: show(done, total, f"{size_text(done)} of {size_text(total)} {what}")


@contextmanager
def compare_progress(color: bool | None) -> Iterator[Callable[[int, int, int], None]]:
    """Shows how many live files have been compared, and how many bytes were fetched for that."""
    with _bar_or_lines(color) as show:
        yield lambda done, total, size: show(
            done, total, f"compared {done:,} of {total:,} live files, {size_text(size)} fetched"
        )


@contextmanager
def _bar_or_lines(color: bool | None) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on a terminal, otherwise a line every few seconds."""
    if not is_live_terminal():
        yield Throttled(lambda _done, _total, text: write_lines(sys.stderr, [f"  {text}"], color))
        return
    bar = _DelayedBar(color)
    try:
        yield bar.show
    finally:
        bar.close()
