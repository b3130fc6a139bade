"""Bounded parallel sending, with events in the caller's thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

from mosaic_deploy.errors import MosaicError, SourceUnreadable
from mosaic_deploy.model.change import Put
from mosaic_deploy.model.event import ChangeDone, ChangeFailed, ChangeStarted, Event

Send = Callable[[Put, Callable[[Event], None]], None]
"""Sends one object; may report BytesSent. Raises MosaicError or OSError."""


@dataclass(frozen=True, slots=True)
class _NotStarted:
    """A put that was left because another one failed, or because the caller went away."""


def transfer(puts: Sequence[Put], send: Send, parallelism: int) -> Iterator[Event]:
    """Sends all, at most `parallelism` at a time; yields each put's events.

    After a failure nothing new is begun, what is under way is finished, and the first failure is raised. An
    exception in the caller (Ctrl-C) ends it the same way: every put that was sent has been yielded by then,
    except those that ended after the exception; they stay `pending` and are sent again.
    """
    if not puts:
        return
    events: SimpleQueue[Event | _NotStarted] = SimpleQueue()
    stop = threading.Event()
    failure: MosaicError | None = None
    with ThreadPoolExecutor(min(parallelism, len(puts)), thread_name_prefix="transfer") as pool:
        try:
            for put in puts:
                pool.submit(_one, put, send, events.put, stop)
            open_ends = len(puts)
            while open_ends:
                event = events.get()
                open_ends -= isinstance(event, ChangeDone | ChangeFailed | _NotStarted)
                if isinstance(event, ChangeFailed):
                    stop.set()
                    failure = failure or event.error
                if not isinstance(event, _NotStarted):
                    yield event
        finally:
            stop.set()
    if failure:
        raise failure


def _one(put: Put, send: Send, report: Callable[[Event | _NotStarted], None], stop: threading.Event) -> None:
    """Runs in a worker: exactly one ending event is reported, whatever happens."""
    if stop.is_set():
        report(_NotStarted())
        return
    began = time.monotonic()
    report(ChangeStarted(put))
    try:
        send(put, report)
    except MosaicError as error:
        report(ChangeFailed(put, error))
    except OSError as error:
        report(ChangeFailed(put, SourceUnreadable(f"{put.path} can't be read: {error.strerror or error}")))
    except BaseException as error:
        # A defect of ours must not leave the caller waiting for an end that never comes.
        report(ChangeFailed(put, MosaicError(f"{put.path}: {type(error).__name__}: {error}")))
        raise
    else:
        report(ChangeDone(put, time.monotonic() - began))
