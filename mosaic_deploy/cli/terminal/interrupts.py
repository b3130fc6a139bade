"""Ctrl-C, SIGTERM or a closed terminal during an apply: raised inside the apply, never while an event is shown."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mosaic_deploy.model.event import Event


def ending_signals() -> tuple[int, ...]:
    """The signals that end a run like Ctrl-C: SIGTERM from CI, and SIGHUP from a closed terminal unless under nohup."""
    closed = getattr(signal, "SIGHUP", None)  # not on Windows
    hang_up = () if closed is None or signal.getsignal(closed) is signal.SIG_IGN else (int(closed),)
    return (signal.SIGINT, signal.SIGTERM, *hang_up)


class InterruptibleEvents:
    """The events of an apply, which after an interrupt can still finish its step, release the lock and report.

    An interrupt while an event is shown is raised when the apply continues.
    """

    def __init__(self, events: Generator[Event, None, None]) -> None:
        self._events = events
        self._applying = False
        self._pending = False

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
                return self._events.throw(KeyboardInterrupt())
            return next(self._events)
        except StopIteration:
            return None
        except KeyboardInterrupt:
            # Raised here, outside the generator: pass it on.
            return self._events.throw(KeyboardInterrupt())
        finally:
            self._applying = False

    def _on_signal(self, *_: object) -> None:
        if self._applying:
            raise KeyboardInterrupt
        self._pending = True
