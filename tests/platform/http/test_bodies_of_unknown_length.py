"""A body that doesn't say its length gets the time and the memory of what has arrived, as if it had declared that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.requests import Request

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http import body_memory, pace, request_body
from mosaic_deploy.platform.http.body_memory import ACCOUNT_BYTES, ACCOUNT_SCOPE_KEY, BodyMemory

MIB = 1 << 20
LIMIT = request_body.JSON_LIMIT


class Clock:
    """What `pace` takes for the time."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


@pytest.fixture
def memory(monkeypatch) -> BodyMemory:
    memory = BodyMemory()
    monkeypatch.setattr(request_body, "MEMORY", memory)
    monkeypatch.setattr(body_memory, "WAIT_SECONDS", 0.01)
    return memory


def sender(clock: Clock, size: int, rate: float, *, declared: bool, account: int = 1) -> Request:
    """A body of `size` bytes at `rate` bytes per second, in 1000 pieces."""
    left = size

    async def receive() -> dict[str, Any]:
        nonlocal left
        piece = min(left, size // 1000 + 1)
        clock.now += piece / rate
        # A timeout that is over interrupts this.
        for _ in range(3):
            await asyncio.sleep(0)
        left -= piece
        return {"type": "http.request", "body": bytes(piece), "more_body": left > 0}

    headers = [(b"content-length", b"%d" % size)] if declared else [(b"transfer-encoding", b"chunked")]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, ACCOUNT_SCOPE_KEY: account}
    return Request(scope, receive)


def received(request: Request) -> int:
    return sum(map(len, asyncio.run(request_body.read_limited(request, LIMIT))))


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(("size", "rate"), [(480_000, 12_000), (4 * MIB, 9_000), (30 * MIB, 60_000)])
def test_a_slow_body_arrives_whether_it_declares_its_length_or_not(clock, declared, size, rate) -> None:
    assert received(sender(clock, size, rate, declared=declared)) == size
    assert clock.now > 30


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(("size", "rate"), [(480_000, 4_000), (LIMIT, 9_000), (LIMIT, 60_000)])
def test_a_body_that_is_too_slow_is_refused_whether_it_declares_its_length_or_not(
    clock, declared, size, rate
) -> None:
    with pytest.raises(Fault) as caught:
        received(sender(clock, size, rate, declared=declared))
    assert (caught.value.status, caught.value.code) == (408, "request_timeout")
    # The longest that any body may take, and the pieces that were on their way.
    assert clock.now <= 630 + 3 * size / rate / 1000


@pytest.mark.parametrize(
    ("size", "reserved"),
    [(60_000, 0), (480_000, MIB), (MIB, MIB), (MIB + 1, LIMIT), (5 * MIB, LIMIT), (LIMIT, LIMIT)],
)
def test_memory_is_reserved_as_a_body_grows(clock, memory, size, reserved) -> None:
    request = sender(clock, size, 1e9, declared=False)
    assert received(request) == size
    assert memory._by_account.total() == reserved
    memory.release(request.scope, keep=size)
    assert memory._by_account.total() == min(size, reserved)
    memory.release(request.scope)
    assert not memory._by_account


def test_waiting_bodies_leave_room_for_one_that_is_larger(clock, memory) -> None:
    """None of them holds so much that no other can have its whole."""

    async def run() -> None:
        holding = [{ACCOUNT_SCOPE_KEY: 1} for _ in range(2)]
        for scope in holding:
            await memory.reserve(scope, ACCOUNT_BYTES // 2 - 5 * MIB)
        waiting = [sender(clock, 5 * MIB, 1e9, declared=False) for _ in range(10)]
        results = await asyncio.gather(
            *(request_body.read_limited(each, LIMIT) for each in waiting), return_exceptions=True
        )
        assert {result.code for result in results if isinstance(result, Fault)} == {"too_many_large_requests"}
        assert memory._by_account.total() == ACCOUNT_BYTES
        memory.release(holding[0])
        # They still hold what they had.
        await request_body.read_limited(sender(clock, 5 * MIB, 1e9, declared=True), LIMIT)

    asyncio.run(run())


def test_waiting_for_memory_does_not_count_against_the_sender(clock, memory, monkeypatch) -> None:
    reserve = memory.reserve

    async def late(scope: Any, size: int) -> None:
        clock.now += 59 if size else 0
        await reserve(scope, size)

    monkeypatch.setattr(memory, "reserve", late)
    assert received(sender(clock, 2 * MIB, 100_000, declared=False)) == 2 * MIB


def test_sql_in_chunks_runs(api, untouched) -> None:
    body = json.dumps({"query": "SELECT 1 AS a -- " + "x" * 2 * MIB}).encode()

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(body), 50_000):
            yield body[at : at + 50_000]

    response = api.post(f"/{untouched}/sql", content=pieces())
    assert response.request.headers["Transfer-Encoding"] == "chunked"
    assert response.json()["data"] == [{"a": 1}], response.text
