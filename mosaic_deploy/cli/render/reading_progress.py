"""How far long reading is: files that are hashed, live files that are fetched, a platform that is copied."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, ParamSpec

import click

from mosaic_deploy.cli.render.progress import SECONDS_BETWEEN_LINES, console
from mosaic_deploy.model.quantities import size_text

if TYPE_CHECKING:
    from rich.progress import Progress

P = ParamSpec("P")

_DELAY = 1.0
"""Seconds that need no explanation."""


class Throttled(Generic[P]):
    """Passes a word on once a moment has gone by since the first, and then every few seconds."""

    def __init__(self, say: Callable[P, None]) -> None:
        self._callback = say
        self._next_call: float | None = None

    def __call__(self, *words: P.args, **named: P.kwargs) -> None:
        now = time.monotonic()
        if self._next_call is None:
            self._next_call = now + _DELAY
        elif now >= self._next_call:
            self._next_call = now + SECONDS_BETWEEN_LINES
            self._callback(*words, **named)


class _DelayedBar:
    """A bar that is there once a moment has gone by since the first word, and not before."""

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

        columns = (BarColumn(bar_width=24), TextColumn("{task.description}", markup=False))
        bar = Progress(*columns, console=console(self._color), transient=True)
        bar.add_task("", total=None)
        bar.start()
        return bar


@contextmanager
def hash_progress(color: bool | None) -> Iterator[Callable[[int, int], None]]:
    """Shows on a terminal how much of the files has been hashed."""
    bar = _DelayedBar(color)

    def on_progress(done: int, total: int) -> None:
        bar.show(done, total, f"hashing, {size_text(done)} of {size_text(total)}")
        if done >= total:
            bar.close()  # a terminal has room for one bar, and another may follow

    try:
        yield on_progress
    finally:
        bar.close()


@contextmanager
def copy_progress(color: bool | None, what: str) -> Iterator[Callable[[int, int], None]]:
    """Shows how many bytes are `written`, or `read`: a bar, or a line every few seconds."""

    def words(done: int, total: int) -> str:
        return f"{size_text(done)} of {size_text(total)} {what}"

    if not sys.stderr.isatty():
        yield Throttled(lambda done, total: click.echo(f"  {words(done, total)}", err=True, color=color))
        return
    bar = _DelayedBar(color)
    try:
        yield lambda done, total: bar.show(done, total, words(done, total))
    finally:
        bar.close()


@contextmanager
def verify_progress(color: bool | None) -> Iterator[Callable[[int, int, int], None]]:
    """Shows how many live files have been fetched and compared: a bar, or a line every few seconds."""
    if not sys.stderr.isatty():
        yield Throttled(_print_compared(color))
        return
    bar = _DelayedBar(color)
    try:
        yield lambda done, total, size: bar.show(
            done, total, f"comparing live files, {done} of {total}, {size_text(size)} fetched"
        )
    finally:
        bar.close()


def _print_compared(color: bool | None) -> Callable[[int, int, int], None]:
    def say(done: int, total: int, size: int) -> None:
        line = f"  {done} of {total} live files compared, {size_text(size)} fetched"
        click.echo(line, err=True, color=color)

    return say
