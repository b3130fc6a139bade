"""Request bodies are limited in size, values, memory and time before they are read."""

from __future__ import annotations

import asyncio
import json
import re
import tracemalloc
from typing import Any

import pytest
from starlette.requests import Request

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http import json_process, json_text, request_body
from mosaic_deploy.platform.http.body_memory import ACCOUNT_RATE, ACCOUNT_SCOPE_KEY, BodyMemory
from mosaic_deploy.platform.http.pace import paced_chunks
from mosaic_deploy.platform.storage import uploads

MIB = 1 << 20


def request(pieces: list[bytes], headers: dict[str, str] | None = None, *, ends: bool = True) -> Request:
    """A request whose body arrives in these pieces; without `ends` it never comes to its end."""
    left = list(pieces)

    async def receive() -> dict[str, Any]:
        if left:
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left) or not ends}
        await asyncio.sleep(3600)
        raise AssertionError

    named = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": named}, receive)


def read(body: bytes, limit: int, headers: dict[str, str] | None = None) -> Any:
    sent = request([body[at : at + MIB // 3] for at in range(0, len(body), MIB // 3)], headers)

    async def run() -> Any:
        try:
            return await request_body.read_json(sent, limit)
        finally:
            request_body.MEMORY.release(sent.scope)
            await json_process.stop()

    return asyncio.run(run())


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_beyond_its_endpoints_limit_is_refused(declared) -> None:
    body = json.dumps({"token": "x" * request_body.TOKEN_LIMIT}).encode()
    headers = {"Content-Length": str(len(body))} if declared else {}
    with pytest.raises(Fault, match="larger than 16 KiB") as caught:
        read(body, request_body.TOKEN_LIMIT, headers)
    assert caught.value.code == "body_too_large"


def test_a_declared_size_is_refused_before_the_first_byte() -> None:
    stuck = request([], {"Content-Length": str(10**12)}, ends=False)
    with pytest.raises(Fault, match="larger than 40 MiB"):
        asyncio.run(request_body.read_json(stuck, request_body.JSON_LIMIT))


HEAVY = {
    "numbers": b'{"token":[' + b"1," * (8 * MIB) + b"1]}",
    "strings": b'{"token":[' + b'"",' * (5 * MIB) + b"1]}",
    "objects": b'{"token":[' + b"{}," * (5 * MIB) + b"1]}",
    "keys": b"{" + b",".join(b'"%d":1' % number for number in range(300_000)) + b"}",
    "escaped quotes": b'{"token":["' + b'\\"' * MIB + b'",' + b"[]," * MIB + b"1]}",
}


@pytest.mark.parametrize("case", HEAVY)
def test_too_many_values_are_refused_without_parsing_them(case) -> None:
    """16 MB of numbers would become 500 MB of a list."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="more than 250,000 values"):
            json_text.parse(HEAVY[case])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(HEAVY[case]) + 32 * MIB


def test_separators_in_strings_are_no_values() -> None:
    text = 'INSERT INTO t VALUES (1, \'[{"a": 1}, "\\"]\'),\n' * 100_000
    document = {"query": text, "params": [text[:100], "\\", '"', "\\\\"]}
    assert json_text.parse(json.dumps(document).encode()) == document


def test_large_documents_are_parsed_in_another_process_with_the_same_result() -> None:
    document = {"query": "SELECT 'ü'; " * 200_000, "params": [1, None, {"a": [1.5, "\U0001f600"]}]}
    assert read(json.dumps(document).encode(), request_body.JSON_LIMIT) == document
    for harm, reason in ((b'"\\ud800"', "UTF-8"), (b"NaN", "NaN"), (b"[" * 101 + b"]" * 101, "100 levels")):
        body = b'{"a":"' + b"x" * MIB + b'","b":' + harm + b"}"
        with pytest.raises(Fault, match=reason) as caught:
            read(body, request_body.JSON_LIMIT)
        assert caught.value.code == "json_invalid"


def test_a_killed_parser_is_replaced() -> None:
    async def run() -> None:
        body = json.dumps({"a": "x" * MIB}).encode()
        await json_process.parse_in_process([body])
        json_process._Parser.current.process.kill()
        assert (await json_process.parse_in_process([body]))["a"].encoded == b"x" * MIB
        await json_process.stop()

    asyncio.run(run())


def test_a_request_that_is_cancelled_leaves_nothing_for_the_next() -> None:
    async def run() -> None:
        bodies = [json.dumps({"a": letter * 20 * MIB}).encode() for letter in "xy"]
        parsing = asyncio.create_task(json_process.parse_in_process([bodies[0]]))
        await asyncio.sleep(0.05)
        parsing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await parsing
        assert (await json_process.parse_in_process([bodies[1]]))["a"].encoded[:1] == b"y"
        await json_process.stop()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("pieces", "options", "fact"),
    [
        ([], {"idle": 0.01}, "no data arrived for 0.01 seconds"),
        ([b"x"], {"idle": 0.01}, "no data arrived for 0.01 seconds"),
        ([b"x" * 10] * 3, {"grace": 0.01, "least_rate": 2048.0}, "less than 2 KiB per second"),
        ([b"x" * 10] * 3, {"grace": 0.01, "least_rate": 0.1, "longest": 0.02}, "arrive within 0.03 seconds"),
    ],
)
def test_a_body_must_arrive(pieces, options, fact) -> None:
    async def run() -> None:
        async for _ in paced_chunks(request(pieces, ends=False), **options):
            pass

    with pytest.raises(Fault, match=re.escape(fact)) as caught:
        asyncio.run(run())
    assert (caught.value.status, caught.value.code) == (408, "request_timeout")


def test_an_account_has_its_part_of_the_memory(monkeypatch) -> None:
    monkeypatch.setattr("mosaic_deploy.platform.http.body_memory.WAIT_SECONDS", 0.01)

    one, two, three = ({ACCOUNT_SCOPE_KEY: account} for account in (1, 2, 3))

    async def run() -> None:
        memory = BodyMemory(account_bytes=2 * MIB, total_bytes=3 * MIB)
        await memory.reserve(one, 2 * MIB)
        with pytest.raises(Fault, match="too many large requests"):
            await memory.reserve({ACCOUNT_SCOPE_KEY: 1}, MIB)
        await memory.reserve({ACCOUNT_SCOPE_KEY: 1}, 1000)
        await memory.reserve(two, MIB)
        with pytest.raises(Fault):
            await memory.reserve(three, MIB)
        memory.release(three)
        memory.release(two)
        await memory.reserve(three, MIB)
        monkeypatch.setattr("mosaic_deploy.platform.http.body_memory.WAIT_SECONDS", 60)
        waiting = asyncio.create_task(memory.reserve({ACCOUNT_SCOPE_KEY: 1}, MIB))
        await asyncio.sleep(0)
        assert not waiting.done()
        # Its body was smaller than it might have been.
        memory.release(one, keep=1000)
        await waiting
        memory.release(one, keep=1000)
        memory.release(one)
        assert memory._by_account == {1: MIB + 2000, 3: MIB} or memory._by_account == {1: MIB, 3: MIB}

    asyncio.run(run())


def test_an_accounts_large_bodies_have_a_rate(monkeypatch) -> None:
    """The first ones come at once; then it is 4 MiB per second, and what would wait for a minute is refused."""
    paused: list[int] = []

    async def pause(seconds: float) -> None:
        paused.append(round(seconds))

    monkeypatch.setattr("mosaic_deploy.platform.http.body_memory.asyncio.sleep", pause)

    async def run() -> None:
        memory = BodyMemory(account_rate=ACCOUNT_RATE)
        for _ in range(32 + 60):
            sent = {ACCOUNT_SCOPE_KEY: 1}
            await memory.reserve(sent, 4 * MIB)
            memory.release(sent)
        with pytest.raises(Fault, match="4 MiB"):
            await memory.reserve({ACCOUNT_SCOPE_KEY: 1}, 4 * MIB)
        assert paused == list(range(1, 61))
        # Others don't wait, and a body that turned out small takes only what it was.
        for _ in range(100):
            small = {ACCOUNT_SCOPE_KEY: 2}
            await memory.reserve(small, 4 * MIB)
            memory.release(small, keep=1)
            memory.release(small)
        assert len(paused) == 60

    asyncio.run(run())


def test_a_large_upload_may_not_hold_its_quota_for_days(monkeypatch) -> None:
    """It reserves its whole size, as a body does of its account's memory. 20 GB at the least rate would take a month."""
    rates: list[float] = []

    async def record(_request: Request, *, least_rate: float, **_more: Any) -> Any:
        rates.append(least_rate)
        return
        yield b""

    for module in (uploads, request_body):
        monkeypatch.setattr(module, "paced_chunks", record)

    async def run() -> None:
        for size in (1000, 20 * 10**9):
            async for _ in uploads._request_chunks(request([]), size):
                pass
        for size in (1000, 40 * MIB):
            await request_body.read_limited(request([], {"Content-Length": str(size)}), 40 * MIB)

    asyncio.run(run())
    assert rates[0] == rates[2] == 8 * 1024
    assert 20 * 10**9 / rates[1] == 12 * 3600
    assert 40 * MIB / rates[3] == 600
