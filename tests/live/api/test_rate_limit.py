"""The rate limiter, with a fake clock."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from mosaic_deploy.live.api.rate_limit import MemoryBudget, RateLimiter


class Time:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def paced(most: int) -> tuple[RateLimiter, Time]:
    time = Time()
    rate_limiter = RateLimiter(sleep=time.sleep, clock=lambda: time.now)
    rate_limiter.set_limit(most)
    return rate_limiter, time


def refuse(rate_limiter: RateLimiter, wait: float = 0.0) -> None:
    with rate_limiter.slot() as began:
        pass
    rate_limiter.record_rate_limited(began, wait)


def test_rate_limiting_halves_the_limit_and_successes_raise_it() -> None:
    rate_limiter, time = paced(16)
    limits = []
    for _ in range(6):
        refuse(rate_limiter)
        time.now += 1
        limits.append(rate_limiter.limit)
    assert limits == [8, 4, 2, 1, 1, 1]
    for _ in range(3):
        rate_limiter.record_success()
    assert rate_limiter.limit == 2
    for _ in range(200):
        rate_limiter.record_success()
    assert rate_limiter.limit == 16


def test_concurrent_rejections_count_once() -> None:
    rate_limiter, time = paced(16)
    began = [0.0] * 10
    time.now = 1.0
    for one in began:
        rate_limiter.record_rate_limited(one, 0.0)
    assert rate_limiter.limit == 8


def test_a_wait_applies_to_all_requests() -> None:
    rate_limiter, time = paced(4)
    refuse(rate_limiter, wait=7.0)
    with rate_limiter.slot():
        assert time.slept == [7.0]
    with rate_limiter.slot():
        assert time.slept == [7.0]


def test_the_longest_wait_counts() -> None:
    rate_limiter, time = paced(4)
    rate_limiter.record_rate_limited(0.0, 7.0)
    rate_limiter.record_rate_limited(0.0, 3.0)
    with rate_limiter.slot():
        pass
    assert time.now == 7.0


@given(st.integers(1, 64), st.lists(st.sampled_from(["refused", "well", "later"]), max_size=200))
def test_the_limit_is_at_least_one_and_at_most_the_maximum(most: int, story: list[str]) -> None:
    rate_limiter, time = paced(most)
    for word in story:
        if word == "refused":
            rate_limiter.record_rate_limited(time.now, 1.0)
        elif word == "well":
            rate_limiter.record_success()
        else:
            time.now += 1
        assert 1 <= rate_limiter.limit <= most


def test_no_more_requests_run_than_the_limit() -> None:
    rate_limiter, _ = paced(2)
    inside, most = 0, 0
    lock = threading.Lock()
    both = threading.Barrier(2, timeout=20)

    def work() -> None:
        nonlocal inside, most
        with rate_limiter.slot():
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


def test_the_memory_budget_admits_a_larger_file_alone() -> None:
    room = MemoryBudget(10)
    entered: list[int] = []
    go_on = threading.Event()

    def hold(size: int) -> None:
        with room.reserve(size):
            entered.append(size)
            assert go_on.wait(20)

    first = threading.Thread(target=hold, args=(8,))
    first.start()
    while not entered:
        go_on.wait(0.001)
    second = threading.Thread(target=hold, args=(99,))
    second.start()
    with room.reserve(2):
        assert entered == [8]
    go_on.set()
    first.join(20)
    second.join(20)
    assert entered == [8, 99]


def test_cancel_ends_every_wait() -> None:
    rate_limiter = RateLimiter()
    rate_limiter.set_limit(1)
    rate_limiter.record_rate_limited(0.0, wait=3600.0)
    ended = threading.Event()

    def work() -> None:
        with rate_limiter.slot():
            ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    rate_limiter.cancel()
    thread.join(20)
    assert ended.is_set()
