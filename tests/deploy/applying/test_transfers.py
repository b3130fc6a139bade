"""Concurrent transfers with a fake sender."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from mosaic_deploy.deploy.applying import transfers
from mosaic_deploy.deploy.applying.transfers import transfer
from mosaic_deploy.errors import (
    LockLost,
    MosaicError,
    OperationUnknown,
    RequestRefused,
    ServerFailed,
    SourceUnreadable,
    TransfersFailed,
    Unauthorized,
)
from mosaic_deploy.model.change import Action, Put, PutStatic, PutStorageFile
from mosaic_deploy.model.event import BytesSent, ChangeDone, ChangeFailed, ChangeStarted, Event

PATIENCE = 20
Report = Callable[[Event], None]


def puts(number: int) -> list[Put]:
    return [PutStorageFile(f"{n}.png", "a" * 64, n, Action.ADD, "new") for n in range(number)]


def sent(put: Put, report: Report) -> None:
    report(BytesSent(put.address, put.size))


class Recorder(list[Event]):
    """Collects events, and keeps those before an error."""

    def take(
        self, some: Sequence[Put], send: Callable[[Put, Report], None], parallelism: int
    ) -> MosaicError | None:
        try:
            for event in transfer(some, send, parallelism):
                self.append(event)
        except MosaicError as error:
            return error
        return None


def changes(events: Sequence[Event], kind: type[ChangeStarted | ChangeDone | ChangeFailed]) -> list[Put]:
    return [
        e.change for e in events if isinstance(e, kind) and isinstance(e.change, PutStorageFile | PutStatic)
    ]


def test_no_changes_no_events() -> None:
    assert list(transfer([], sent, 4)) == []


@pytest.mark.parametrize("parallelism", [1, 4, 50])
def test_every_put_is_started_sent_and_done_in_this_order(parallelism: int) -> None:
    some = puts(20)
    events = list(transfer(some, sent, parallelism))
    for put in some:
        own = [
            e
            for e in events
            if getattr(e, "change", None) == put or getattr(e, "address", None) == put.address
        ]
        assert [type(e) for e in own] == [ChangeStarted, BytesSent, ChangeDone]
    assert len(events) == 3 * len(some)


def test_one_at_a_time_keeps_the_order() -> None:
    some = puts(5)
    assert changes(list(transfer(some, sent, 1)), ChangeDone) == some


def test_events_are_yielded_in_the_callers_thread() -> None:
    threads: set[int] = set()
    for _ in transfer(puts(3), lambda *_: threads.add(threading.get_ident()), 2):
        threads.discard(0)
    assert threading.get_ident() not in threads
    assert threads


def test_parallelism_is_used_and_not_exceeded() -> None:
    together = threading.Barrier(3, timeout=PATIENCE)  # breaks unless three run at the same time
    lock = threading.Lock()
    running, most = 0, 0

    def send(put: Put, report: Report) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait()
        with lock:
            running -= 1

    assert len(changes(list(transfer(puts(9), send, 3)), ChangeDone)) == 9
    assert most == 3


def test_events_are_yielded_while_sending() -> None:
    seen = threading.Event()

    def send(put: Put, report: Report) -> None:
        report(BytesSent(put.address, 1))
        assert seen.wait(PATIENCE), "the caller got no event"

    events = []
    for event in transfer(puts(1), send, 1):
        events.append(type(event))
        if isinstance(event, BytesSent):
            seen.set()
    assert events == [ChangeStarted, BytesSent, ChangeDone]


@pytest.mark.parametrize("parallelism", [1, 3])
def test_a_failure_does_not_stop_the_others(parallelism: int) -> None:
    error = RequestRefused("too large")

    def send(put: Put, report: Report) -> None:
        if put.path == "3.png":
            raise error

    events = Recorder()
    some = puts(20)
    assert events.take(some, send, parallelism) is error
    assert changes(events, ChangeFailed) == [some[3]]
    assert len(changes(events, ChangeDone)) == 19


def test_every_failure_is_reported_with_file_and_cause() -> None:
    def send(put: Put, report: Report) -> None:
        if int(put.path.removesuffix(".png")) % 5 == 0:
            raise RequestRefused(f"no {put.path}", hint="a way round")

    events = Recorder()
    error = events.take(puts(20), send, 1)
    assert isinstance(error, TransfersFailed)
    assert error.message == "4 uploads failed; completed uploads are kept"
    problems = [(p.location.file, p.message, p.hint) for p in error.problems]
    assert problems == [(f"{n}.png", f"no {n}.png", "a way round") for n in (0, 5, 10, 15)]
    assert len(changes(events, ChangeDone)) == 16
    assert error.mutation_state == "none"


@pytest.mark.parametrize(
    ("states", "expected"),
    [(("none", "none"), "none"), (("none", "unknown"), "unknown"), (("unknown", "partial"), "partial")],
)
def test_what_failed_files_changed_adds_up(states, expected) -> None:
    def send(put: Put, report: Report) -> None:
        raise RequestRefused("no", mutation_state=states[int(put.path.removesuffix(".png"))])

    assert Recorder().take(puts(2), send, 1).mutation_state == expected


@pytest.mark.parametrize("error", [Unauthorized("old key"), LockLost("asleep"), OperationUnknown("none")])
def test_nothing_is_started_after_a_fatal_error(error: MosaicError) -> None:
    """One worker: the second put waits until the failure of the first has been yielded."""
    heard = threading.Event()
    order = count()

    def send(put: Put, report: Report) -> None:
        if next(order) == 0:
            raise error
        assert heard.wait(PATIENCE)

    events = Recorder()
    some = puts(50)
    with pytest.raises(type(error)) as caught:
        for event in transfer(some, send, 1):
            events.append(event)
            if isinstance(event, ChangeFailed):
                heard.set()
    assert caught.value is error
    # The second may have started before the failure was seen; no other has.
    assert len(changes(events, ChangeStarted)) <= 2


def test_consecutive_platform_failures_stop_the_transfer() -> None:
    begun = threading.Semaphore(0)
    heard = threading.Semaphore(11)

    def send(put: Put, report: Report) -> None:
        assert heard.acquire(timeout=PATIENCE)
        begun.release()
        raise ServerFailed("down")

    events: list[Event] = []
    with pytest.raises(TransfersFailed, match=r", 4.. were not tried") as caught:
        for event in transfer(puts(500), send, 1):
            events.append(event)
            if isinstance(event, ChangeFailed):
                heard.release()
    assert len(caught.value.problems) == len(changes(events, ChangeFailed)) < 30


def test_a_success_resets_the_failure_count() -> None:
    def send(put: Put, report: Report) -> None:
        if int(put.path.removesuffix(".png")) % 5:
            raise ServerFailed("down")

    events = Recorder()
    error = events.take(puts(100), send, 1)
    assert isinstance(error, TransfersFailed)
    assert len(changes(events, ChangeDone)) == 20
    assert len(error.problems) == 80


@pytest.mark.parametrize(
    ("trouble", "kind", "words"),
    [
        (
            PermissionError(13, "Permission denied"),
            SourceUnreadable,
            "0.png can't be read: Permission denied",
        ),
        (ServerFailed("no"), ServerFailed, "no"),
        (ZeroDivisionError("a defect"), MosaicError, "0.png: ZeroDivisionError: a defect"),
        (SystemExit(3), MosaicError, "0.png: SystemExit: 3"),
    ],
)
def test_any_exception_of_a_sender_is_reported(trouble: BaseException, kind: type, words: str) -> None:
    def send(put: Put, report: Report) -> None:
        raise trouble

    events = Recorder()
    error = events.take(puts(1), send, 1)
    assert type(error) is kind
    assert error.message == words
    assert [type(e) for e in events] == [ChangeStarted, ChangeFailed]


@pytest.mark.parametrize(("interruption", "told"), [(KeyboardInterrupt(), 2), (GeneratorExit(), 0)])
def test_an_interrupted_caller_leaves_no_thread_behind(
    interruption: BaseException, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C the caller hears how the running transfers ended."""
    release = threading.Event()
    begun: list[str] = []

    class Pool(ThreadPoolExecutor):
        """Blocks the workers until the interruption has reached the pool."""

        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            assert given_up.is_set(), "waits end before the pool is waited for"
            release.set()
            super().shutdown(wait, cancel_futures=cancel_futures)

    def send(put: Put, report: Report) -> None:
        begun.append(put.path)
        report(BytesSent(put.address, 1))
        assert release.wait(PATIENCE)

    monkeypatch.setattr(transfers, "ThreadPoolExecutor", Pool)
    given_up = threading.Event()
    generator = transfer(puts(50), send, 2, given_up.set)
    heard: set[str] = set()
    while len(heard) < 2:
        event = next(generator)
        if isinstance(event, BytesSent):
            heard.add(event.address)
    left: list[Event] = []
    with pytest.raises(type(interruption)):
        left = [generator.throw(interruption)]
        for event in generator:
            left.append(event)
    assert len(changes(left, ChangeDone)) == told
    assert sorted(begun) == ["0.png", "1.png"]
    assert not [t for t in threading.enumerate() if t.name.startswith("transfer")]
    assert list(generator) == []


def test_closing_the_generator_stops_the_transfer() -> None:
    generator = transfer(puts(5), sent, 1)
    next(generator)
    generator.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("transfer")]
