"""Runs uploads and deletions concurrently in a pool of threads, and yields their events to the caller."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeVar

from mosaic_deploy.errors import (
    Interrupted,
    Location,
    LockLost,
    MosaicError,
    MutationState,
    OperationUnknown,
    Problem,
    RateLimited,
    RequestBlocked,
    ResponseLost,
    ServerFailed,
    SourceUnreadable,
    TransfersFailed,
    Unauthorized,
    Unreachable,
)
from mosaic_deploy.live.api.rate_limit import RateLimiter
from mosaic_deploy.live.api.retries import MAX_RETRY_AFTER
from mosaic_deploy.model.change import Delete, Put
from mosaic_deploy.model.event import BytesSent, ChangeDone, ChangeFailed, ChangeStarted, Event

ChangeT = TypeVar("ChangeT", bound=Put | Delete)
ReportEvent = Callable[[Event], None]
_REPORT_INTERVAL = 0.25
"""Seconds between two progress events of one file."""
_MAX_FAILURES_IN_A_ROW = 10
"""Consecutive files that failed because of the platform, after all their attempts."""


@dataclass(frozen=True, slots=True)
class _Skipped:
    """A change that wasn't started because of a fatal error, or because the caller stopped."""


class TransferFailures:
    """The failed files so far, and whether to start more."""

    def __init__(self) -> None:
        self.all: list[ChangeFailed] = []
        self.fatal: MosaicError | None = None
        self._in_a_row = 0

    def __bool__(self) -> bool:
        return bool(self.all)

    def record(self, event: Event | _Skipped) -> None:
        if isinstance(event, ChangeDone):
            self._in_a_row = 0
        elif isinstance(event, ChangeFailed):
            self.all.append(event)
            self._in_a_row += isinstance(event.error, _PLATFORM_ERRORS)
            if self.fatal is None and _is_fatal(event.error):
                self.fatal = event.error

    @property
    def should_stop(self) -> bool:
        return self.fatal is not None or self._in_a_row >= _MAX_FAILURES_IN_A_ROW

    def error(self, left: int) -> MosaicError:
        """One error for all failures. `left` is the number of changes that weren't started."""
        if self.fatal is not None:
            return self.fatal
        if len(self.all) == 1:
            return self.all[0].error
        not_tried = f", {left} were not tried" if left else ""
        error = TransfersFailed(
            f"{len(self.all)} {_kind_text(self.all)} failed{not_tried}; completed {_kind_text(self.all)} are kept",
            problems=[_problem(failed) for failed in self.all],
            hint="run the same command again; it sends only what is missing",
            mutation_state=self._mutation_state(),
        )
        error.retryable = any(failed.error.retryable for failed in self.all)
        if not error.retryable:
            error.hint = "fix what is listed, then run the same command again; it sends only what is missing"
        if all(isinstance(failed.error, ServerFailed | ResponseLost) for failed in self.all):
            error.__cause__ = self.all[-1].error
        return error

    def _mutation_state(self) -> MutationState:
        """What the failed files changed, all together."""
        states = {failed.error.mutation_state for failed in self.all}
        if "partial" in states:
            return "partial"
        return "unknown" if "unknown" in states else "none"


_FATAL_ERRORS = (LockLost, Unauthorized, OperationUnknown)
"""Errors that every further file would get, too."""


def _is_fatal(error: MosaicError) -> bool:
    """Whether every further file would get the error, too."""
    long_wait = isinstance(error, RateLimited) and error.retry_after > MAX_RETRY_AFTER
    return long_wait or isinstance(error, _FATAL_ERRORS)


_PLATFORM_ERRORS = (Unreachable, ResponseLost, ServerFailed, RateLimited, RequestBlocked)


def transfer(
    changes: Sequence[ChangeT],
    send: Callable[[ChangeT, Callable[[Event], None]], None],
    parallelism: int,
    give_up: Callable[[], None] = lambda: None,
) -> Iterator[Event]:
    """Runs all changes, at most `parallelism` at a time, and yields their events.

    A failure doesn't stop the others. At the end the only failure is raised, or TransfersFailed with all of them.
    No further change is started after an error that every change would get (key, lease, unresponsive platform).
    Ctrl-C stops it: `give_up` ends the waits of running changes, and their events are still yielded.
    """
    if not changes:
        return
    events: SimpleQueue[Event | _Skipped] = SimpleQueue()
    stop = threading.Event()
    failures = TransferFailures()
    left = 0
    with ThreadPoolExecutor(min(parallelism, len(changes)), thread_name_prefix="transfer") as pool:
        try:
            for change in changes:
                pool.submit(_transfer_one, change, send, events.put, stop)
            unfinished = len(changes)
            while unfinished:
                event = events.get()
                unfinished -= isinstance(event, ChangeDone | ChangeFailed | _Skipped)
                failures.record(event)
                if failures.should_stop:
                    stop.set()
                if isinstance(event, _Skipped):
                    left += 1
                else:
                    yield event
        except KeyboardInterrupt:
            stop.set()
            give_up()  # before the pool is waited for
            pool.shutdown()
            yield from _left_in(events)
            raise
        except GeneratorExit:
            give_up()
            raise
        finally:
            stop.set()
    if failures:
        raise failures.error(left)


def _left_in(events: SimpleQueue[Event | _Skipped]) -> Iterator[Event]:
    """What the workers have reported and the caller hasn't seen."""
    while not events.empty():
        event = events.get()
        if not isinstance(event, _Skipped):
            yield event


def _transfer_one(
    change: ChangeT,
    send: Callable[[ChangeT, Callable[[Event], None]], None],
    report: Callable[[Event | _Skipped], None],
    stop: threading.Event,
) -> None:
    """Runs in a worker thread. Reports exactly one final event, whatever happens."""
    if stop.is_set():
        report(_Skipped())
        return
    began = time.monotonic()
    report(ChangeStarted(change))
    try:
        send(change, report)
    except MosaicError as error:
        report(ChangeFailed(change, error))
    except OSError as error:
        message = f"{change.path} can't be read: {error.strerror or error}"
        report(ChangeFailed(change, SourceUnreadable(message)))
    except BaseException as error:
        # After a bug, too: without a final event the caller would wait forever.
        report(ChangeFailed(change, MosaicError(f"{change.path}: {type(error).__name__}: {error}")))
        raise
    else:
        report(ChangeDone(change, time.monotonic() - began))


def _kind_text(failures: Sequence[ChangeFailed]) -> str:
    return "uploads" if all(isinstance(failed.change, Put) for failed in failures) else "deletions"


def _problem(failed: ChangeFailed) -> Problem:
    error = failed.error
    return Problem(
        error.message, Location(getattr(failed.change, "path", failed.change.address)), hint=error.hint
    )


class SendProgress:
    """Reports the progress of one file at intervals and at its end.

    Raises Interrupted after Ctrl-C, and LockLost. Not after the last byte: the file may be stored then, as the response
    says.
    """

    def __init__(
        self, put: Put, report: ReportEvent, rate_limiter: RateLimiter, check_lease: Callable[[], None]
    ) -> None:
        self._check_lease = check_lease
        self._put = put
        self._rate_limiter = rate_limiter
        self._report = report
        self._reported_at = time.monotonic()

    def __call__(self, total: int) -> None:
        if total < self._put.size:
            if self._rate_limiter.cancelled:
                raise Interrupted(f"{self._put.path} was not sent completely")
            self._check_lease()
        now = time.monotonic()
        if total >= self._put.size or now - self._reported_at >= _REPORT_INTERVAL:
            self._reported_at = now
            self._report(BytesSent(self._put.address, total))
