"""Ctrl-C, SIGTERM or a closed terminal. During an apply raised inside the apply, never while an event is shown.

Signals often come several at a time: a key that is pressed twice, a runner that sends SIGINT and then SIGTERM. Those that
follow within a second are one interrupt, so they don't cut off what the first one started: its cleanup and its report.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

    from mosaic_deploy.model.event import Event

_SAME_INTERRUPT = 1.0
"""Seconds in which signals are one interrupt."""


def ending_signals() -> tuple[int, ...]:
    """The signals that end a run like Ctrl-C: SIGTERM from CI, and SIGHUP from a closed terminal unless under nohup."""
    closed = getattr(signal, "SIGHUP", None)  # not on Windows
    hang_up = () if closed is None or signal.getsignal(closed) is signal.SIG_IGN else (int(closed),)
    return (signal.SIGINT, signal.SIGTERM, *hang_up)


class _Interrupts:
    """When the last interrupt came."""

    def __init__(self) -> None:
        self._last = -_SAME_INTERRUPT

    def is_new(self) -> bool:
        """Called by a signal's handler: whether the signal isn't part of the last interrupt."""
        now = time.monotonic()
        if now - self._last < _SAME_INTERRUPT:
            return False
        self._last = now
        return True


_interrupts = _Interrupts()


def raise_on_signals() -> None:
    """From now on an interrupt raises KeyboardInterrupt."""
    for number in ending_signals():
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise)


def end_on_signals() -> None:
    """After `raise_on_signals`: from now on an interrupt ends the process at once, because only its report is left."""
    for number in ending_signals():
        if signal.getsignal(number) is _raise:
            signal.signal(number, _end)
            atexit.register(_block, number)


def _block(number: int) -> None:
    """The interpreter resets handlers while it ends, and a late signal would replace the exit code."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_BLOCK, [number])


def _raise(_number: int, _frame: FrameType | None) -> None:
    if _interrupts.is_new():
        raise KeyboardInterrupt


def _end(number: int, _frame: FrameType | None) -> None:
    if _interrupts.is_new():
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Interrupts of the main thread are raised at the end of the block."""
    came: list[int] = []
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in ending_signals()}
        before = {number: handler for number, handler in before.items() if callable(handler)}
    for number in before:
        signal.signal(number, lambda got, _: came.append(got))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


class InterruptibleEvents:
    """The events of an apply, which after an interrupt can still finish its step, release the lock and report.

    An interrupt while an event is shown is raised when the apply continues.
    """

    def __init__(self, events: Generator[Event, None, None]) -> None:
        self._events = events
        self._applying = False
        self._pending = False
        self._started = False

    def __iter__(self) -> Iterator[Event]:
        before = {number: signal.signal(number, self._on_signal) for number in ending_signals()}
        try:
            while (event := self._next()) is not None:
                yield event
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def interrupt_pending(self) -> bool:
        """Whether an interrupt came while the last event was shown, too late for the apply."""
        return self._pending

    def _next(self) -> Event | None:
        try:
            self._applying = True
            if self._pending:
                self._pending = False
                return self._interrupt()
            event = next(self._events)
        except StopIteration:
            return None
        except KeyboardInterrupt:
            # Raised here, outside the generator: pass it on.
            return self._interrupt()
        else:
            self._started = True
            return event
        finally:
            self._applying = False

    def _interrupt(self) -> Event:
        """The generator's event after an interrupt. Raises Interrupted if it was interrupted again while it ended."""
        try:
            return self._events.throw(KeyboardInterrupt())
        except KeyboardInterrupt:
            if not self._started:
                raise
            from mosaic_deploy.errors import Interrupted

            raise Interrupted(
                "interrupted again, before the result was recorded",
                hint="run the same command again: it finds out what is done and continues. If the lock wasn't released, "
                "it is taken over on this machine; elsewhere it expires in a minute",
                mutation_state="unknown",
            ) from None

    def _on_signal(self, *_: object) -> None:
        if not _interrupts.is_new():
            return
        if self._applying:
            raise KeyboardInterrupt
        self._pending = True
