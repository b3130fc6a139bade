"""Parallel sending with a sender of our own: every test waits for events, none for time to pass."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from mosaic_deploy.deploy import transfers
from mosaic_deploy.deploy.transfers import transfer
from mosaic_deploy.errors import MosaicError, ServerFailed, SourceUnreadable
from mosaic_deploy.model.change import Action, Put, PutAsset, PutStatic
from mosaic_deploy.model.event import BytesSent, ChangeDone, ChangeFailed, ChangeStarted, Event

PATIENCE = 20
Report = Callable[[Event], None]


def puts(number: int) -> list[Put]:
    return [PutAsset(f"{n}.png", "a" * 64, n, Action.ADD, "new") for n in range(number)]


def sent(put: Put, report: Report) -> None:
    report(BytesSent(put.address, put.size))


class Recorder(list[Event]):
    """Collects as `list(…)` would, and keeps what came before an error."""

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
    return [e.change for e in events if isinstance(e, kind) and isinstance(e.change, PutAsset | PutStatic)]


def test_nothing_to_send_is_no_event() -> None:
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


def test_events_come_in_the_callers_thread_while_the_sending_is_elsewhere() -> None:
    threads: set[int] = set()
    for _ in transfer(puts(3), lambda *_: threads.add(threading.get_ident()), 2):
        threads.discard(0)
    assert threading.get_ident() not in threads
    assert threads


def test_as_many_as_allowed_run_side_by_side_and_no_more() -> None:
    together = threading.Barrier(3, timeout=PATIENCE)  # breaks unless three are under way at once
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


def test_an_event_is_yielded_before_the_sending_ends() -> None:
    seen = threading.Event()

    def send(put: Put, report: Report) -> None:
        report(BytesSent(put.address, 1))
        assert seen.wait(PATIENCE), "the caller never heard of it"

    events = []
    for event in transfer(puts(1), send, 1):
        events.append(type(event))
        if isinstance(event, BytesSent):
            seen.set()
    assert events == [ChangeStarted, BytesSent, ChangeDone]


def test_after_a_failure_what_is_under_way_is_finished_and_nothing_new_begun() -> None:
    failed_seen = threading.Event()
    both = threading.Barrier(2, timeout=PATIENCE)
    error = ServerFailed("no")

    def send(put: Put, report: Report) -> None:
        both.wait()
        if put.path == "0.png":
            raise error
        assert failed_seen.wait(PATIENCE)

    events: list[Event] = []
    raised: MosaicError | None = None
    some = puts(2)
    try:
        for event in transfer(some, send, 2):
            events.append(event)
            if isinstance(event, ChangeFailed):
                failed_seen.set()
    except MosaicError as caught:
        raised = caught
    assert raised is error
    assert changes(events, ChangeFailed) == [some[0]]
    assert changes(events, ChangeDone) == [some[1]]
    assert isinstance(events[-1], ChangeDone)


def test_nothing_is_begun_after_a_failure_was_heard_of() -> None:
    """One worker: the second put waits until the failure of the first has been yielded."""
    heard = threading.Event()
    order = count()

    def send(put: Put, report: Report) -> None:
        if next(order) == 0:
            raise ServerFailed("no")
        assert heard.wait(PATIENCE)

    events = Recorder()
    some = puts(50)
    generator = transfer(some, send, 1)
    with pytest.raises(ServerFailed):
        for event in generator:
            events.append(event)
            if isinstance(event, ChangeFailed):
                heard.set()
    # The second may have begun before the failure was heard of; no other has.
    assert len(changes(events, ChangeStarted)) <= 2
    assert changes(events, ChangeFailed) == [some[0]]


def test_the_first_of_several_failures_is_raised() -> None:
    turn = threading.Event()
    both = threading.Barrier(2, timeout=PATIENCE)

    def send(put: Put, report: Report) -> None:
        both.wait()
        if put.path == "0.png":
            raise ServerFailed("first")
        assert turn.wait(PATIENCE)
        raise ServerFailed("second")

    events: list[Event] = []
    with pytest.raises(ServerFailed, match="first"):
        for event in transfer(puts(2), send, 2):
            events.append(event)
            if isinstance(event, ChangeFailed):
                turn.set()
    assert len(changes(events, ChangeFailed)) == 2


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
def test_whatever_a_sender_raises_ends_its_put(trouble: BaseException, kind: type, words: str) -> None:
    def send(put: Put, report: Report) -> None:
        raise trouble

    events = Recorder()
    error = events.take(puts(1), send, 1)
    assert type(error) is kind
    assert error.message == words
    assert [type(e) for e in events] == [ChangeStarted, ChangeFailed]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), GeneratorExit()])
def test_an_interrupted_caller_leaves_no_thread_behind(
    interruption: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    begun: list[str] = []

    class Pool(ThreadPoolExecutor):
        """Lets the workers go on only once the interruption has reached the pool."""

        def __exit__(self, *exception: object) -> bool | None:
            release.set()
            return super().__exit__(*exception)

    def send(put: Put, report: Report) -> None:
        begun.append(put.path)
        report(BytesSent(put.address, 1))
        assert release.wait(PATIENCE)

    monkeypatch.setattr(transfers, "ThreadPoolExecutor", Pool)
    generator = transfer(puts(50), send, 2)
    heard: set[str] = set()
    while len(heard) < 2:
        event = next(generator)
        if isinstance(event, BytesSent):
            heard.add(event.address)
    with pytest.raises(type(interruption)):
        generator.throw(interruption)
    assert sorted(begun) == ["0.png", "1.png"]
    assert not [t for t in threading.enumerate() if t.name.startswith("transfer")]
    assert list(generator) == []


def test_a_caller_that_goes_away_ends_it_too() -> None:
    generator = transfer(puts(5), sent, 1)
    next(generator)
    generator.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("transfer")]
