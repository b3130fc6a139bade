"""How many requests are under way, with a clock of our own: nothing here waits for time to pass."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.live.api.rate_limit import Pace, Room


class Time:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def paced(most: int) -> tuple[Pace, Time]:
    time = Time()
    pace = Pace(sleep=time.sleep, clock=lambda: time.now)
    pace.allow(most)
    return pace, time


def refuse(pace: Pace, wait: float = 0.0) -> None:
    with pace.turn() as began:
        pass
    pace.refused(began, wait)


def test_a_refusal_halves_and_successes_bring_it_back_one_by_one() -> None:
    pace, time = paced(16)
    limits = []
    for _ in range(6):
        refuse(pace)
        time.now += 1
        limits.append(pace.limit)
    assert limits == [8, 4, 2, 1, 1, 1]
    for _ in range(3):
        pace.went_well()
    assert pace.limit == 2
    for _ in range(200):
        pace.went_well()
    assert pace.limit == 16


def test_what_was_refused_together_counts_once() -> None:
    pace, time = paced(16)
    began = [0.0] * 10
    time.now = 1.0
    for one in began:
        pace.refused(one, 0.0)
    assert pace.limit == 8


def test_a_wait_is_everybodys() -> None:
    pace, time = paced(4)
    refuse(pace, wait=7.0)
    with pace.turn():
        assert time.slept == [7.0]
    with pace.turn():
        assert time.slept == [7.0]


def test_the_longest_of_several_waits_counts() -> None:
    pace, time = paced(4)
    pace.refused(0.0, 7.0)
    pace.refused(0.0, 3.0)
    with pace.turn():
        pass
    assert time.now == 7.0


@given(st.integers(1, 64), st.lists(st.sampled_from(["refused", "well", "later"]), max_size=200))
def test_there_is_always_a_turn_and_never_more_than_allowed(most: int, story: list[str]) -> None:
    pace, time = paced(most)
    for word in story:
        if word == "refused":
            pace.refused(time.now, 1.0)
        elif word == "well":
            pace.went_well()
        else:
            time.now += 1
        assert 1 <= pace.limit <= most


def test_no_more_are_under_way_than_the_limit_says() -> None:
    pace, _ = paced(2)
    inside, most = 0, 0
    lock = threading.Lock()
    both = threading.Barrier(2, timeout=20)

    def work() -> None:
        nonlocal inside, most
        with pace.turn():
            with lock:
                inside += 1
                most = max(most, inside)
            both.wait()
            with lock:
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (inside, most) == (0, 2)


def test_files_are_held_as_room_allows_and_one_larger_than_the_room_alone() -> None:
    room = Room(10)
    entered: list[int] = []
    go_on = threading.Event()

    def hold(size: int) -> None:
        with room.held(size):
            entered.append(size)
            assert go_on.wait(20)

    first = threading.Thread(target=hold, args=(8,))
    first.start()
    while not entered:
        go_on.wait(0.001)
    second = threading.Thread(target=hold, args=(99,))
    second.start()
    with room.held(2):
        assert entered == [8]
    go_on.set()
    first.join(20)
    second.join(20)
    assert entered == [8, 99]


def test_giving_up_ends_every_wait() -> None:
    pace = Pace()
    pace.allow(1)
    pace.refused(0.0, wait=3600.0)
    ended = threading.Event()

    def work() -> None:
        with pace.turn():
            ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    pace.give_up()
    thread.join(20)
    assert ended.is_set()
