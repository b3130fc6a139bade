"""Large requests go through another process: what arrives is what was sent, whatever happens to that process."""

from __future__ import annotations

import asyncio
import io
import json
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http import json_process, json_text, json_worker, request_body

MIB = 1 << 20
WORKER = (sys.executable, "-P", "-m", json_worker.__name__)


def read_all(bodies: Sequence[bytes], *, piece_bytes: int = 1000) -> list[dict[str, Any] | Fault]:
    """What each request's body is for its endpoint, or the Fault that it gets."""

    async def read(body: bytes) -> dict[str, Any] | Fault:
        sending = io.BytesIO(body)

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(0)
            piece = sending.read(piece_bytes)
            return {"type": "http.request", "body": piece, "more_body": sending.tell() < len(body)}

        sent = Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)
        try:
            return await request_body.read_json(sent, request_body.JSON_LIMIT)
        except Fault as fault:
            return fault
        finally:
            request_body.MEMORY.release(sent.scope)

    async def run() -> list[dict[str, Any] | Fault]:
        try:
            return [await read(body) for body in bodies]
        finally:
            await json_process.stop()

    return asyncio.run(run())


def texts() -> Iterator[str]:
    """At the lengths that make a difference, with characters of each length in UTF-8 across the ends of the pieces."""
    edge = 256 * 1024
    for character, size in (("a", 1), ("é", 2), ("€", 3), ("\U0001f600", 4)):
        for shift in (-1, 0, 1):
            yield character * (edge + shift)
            yield "a" * (edge - 30 + shift) + character * 4
            yield "a" * (shift + 1) + character * (edge // size)
    chance = random.Random(1)
    alphabet = [
        chr(code) for code in (*range(1, 300), *range(0xD7F0, 0xD800), *range(0xFFF0, 0x10010), 0x10FFFF)
    ]
    for count in (edge // 4, edge, 2 * edge):
        yield "".join(chance.choices(alphabet, k=count))


@pytest.mark.parametrize("as_ascii", [False, True])
def test_every_character_arrives(as_ascii) -> None:
    documents = [{"query": text, "params": [text[:50]]} for text in texts()]
    bodies = [json.dumps(document, ensure_ascii=as_ascii).encode() for document in documents]
    for document, found in zip(documents, read_all(bodies, piece_bytes=65_537), strict=True):
        assert found == document


HARMS = {
    "not JSON": b"query=1",
    "a list": b'["query"]',
    "cut off": b'{"query": "SELECT',
    "a comma too many": b'{"query": "x",}',
    "two documents": b'{"query": "x"} {"query": "y"}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "number beyond a double": b'{"a": 1e400}',
    "too many digits": b'{"a": ' + b"9" * 5000 + b"}",
    "too deep": b'{"a": ' + b"[" * 101 + b"]" * 101 + b"}",
    "much too deep": b"[" * 200_000,
    "not UTF-8": b'{"a": "\xff"}',
    "a surrogate in UTF-8": b'{"a": "\xed\xa0\x80"}',
    "a lone surrogate": b'{"a": "\\udc00"}',
    "a lone surrogate in a key": b'{"\\ud800": 1}',
    "a raw line break in a text": b'{"a": "\n"}',
    "an invalid escape": b'{"a": "\\x"}',
    "two byte order marks": b'\xef\xbb\xbf\xef\xbb\xbf{"a": 1}',
}
HARMLESS = {
    "a byte order mark": b'\xef\xbb\xbf{"query": "x"}',
    "a key twice": b'{"query": "x", "query": "y"}',
    "NUL": b'{"query": "a\\u0000b"}',
    "a surrogate pair": b'{"query": "\\ud83d\\ude00"}',
    "no fields": b"{}",
}


@pytest.mark.parametrize("case", [*HARMS, *HARMLESS])
def test_large_bodies_are_judged_as_small_ones_are(case) -> None:
    body = (HARMS | HARMLESS)[case]
    small, large = read_all([body, body + b" " * json_process.INLINE_BYTES], piece_bytes=100_000)
    if case in HARMLESS:
        assert isinstance(small, dict) and small == large
    else:
        assert isinstance(small, Fault) and isinstance(large, Fault)
        assert (small.status, small.code, small.message) == (large.status, large.code, large.message)
        assert (small.status, small.code) == (400, "json_invalid")


def test_a_number_with_too_many_digits_is_explained_without_python() -> None:
    with pytest.raises(ValueError, match=r"^a whole number has more than 4,300 digits$"):
        json_text.parse(HARMS["too many digits"])


LOST = {
    "ends at once": (sys.executable, "-c", ""),
    "ends in its answer": (sys.executable, "-c", "import sys; sys.stdout.write('abcdefgh')"),
    "can't be started": ("/nowhere/python",),
    "never answers": (sys.executable, "-c", "import time; time.sleep(3600)"),
}


@pytest.mark.parametrize("case", LOST)
def test_a_lost_parser_is_no_fault_of_the_request(monkeypatch, caplog, case) -> None:
    """The document may be valid: the client must try again, and not correct it."""
    monkeypatch.setattr(json_process, "_COMMAND", LOST[case])
    if case == "never answers":
        monkeypatch.setattr(json_process, "PARSE_SECONDS", 0.1)
    body = json.dumps({"query": "x" * MIB}).encode()
    (fault,) = read_all([body])
    assert isinstance(fault, Fault)
    assert (fault.status, fault.code) == (503, "request_not_parsed")
    assert int((fault.headers or {})["Retry-After"]) > 0
    logged = [record.fields["message"] for record in caplog.records if hasattr(record, "fields")]
    reason = "it didn't answer" if case == "never answers" else "it ended"
    assert len(logged) == 2 and all(reason in message for message in logged)


def message(document: Any) -> bytes:
    return b"".join(json_worker.pieces_of(json.dumps(document).encode()))


def test_a_platform_that_ends_leaves_no_traceback_of_the_parser() -> None:
    """Its stderr is the platform's log."""
    worker = subprocess.Popen(WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert worker.stdin and worker.stdout and worker.stderr
    worker.stdout.close()
    worker.stdin.write(message({"query": "x" * MIB}))
    worker.stdin.close()
    assert worker.stderr.read() == b""
    worker.wait(30)
    worker.stderr.close()


def test_an_idle_parser_keeps_no_document(monkeypatch) -> None:
    waiting: list[int] = []

    class Source(io.BytesIO):
        """Of one document. When it is asked for the next, it notes how much memory is in use, and ends."""

        def read(self, size: int | None = -1) -> bytes:
            read = super().read(size)
            if not read:
                waiting.append(tracemalloc.get_traced_memory()[0])
            return read

    class Target:
        def writelines(self, pieces: Iterator[bytes]) -> None:
            assert sum(map(len, pieces)) > 0

        def flush(self) -> None:
            pass

    source = Source(message({"query": "x" * (8 * MIB)}))
    streams = SimpleNamespace(stdin=SimpleNamespace(buffer=source), stdout=SimpleNamespace(buffer=Target()))
    monkeypatch.setattr(json_worker, "sys", streams)
    monkeypatch.setattr(json_worker.os, "nice", lambda _by: None)
    monkeypatch.setattr(json_worker.signal, "signal", lambda _number, _handler: None)
    tracemalloc.start()
    try:
        json_worker.main()
    finally:
        tracemalloc.stop()
    assert waiting[0] < MIB


def test_a_body_in_bytes_takes_no_more_memory_than_is_reserved() -> None:
    """As objects, two bytes each, it would be 30 times as large."""
    body = json.dumps({"query": "x" * 30_000}).encode()
    tracemalloc.start()
    try:
        (document,) = read_all([body], piece_bytes=2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert document == json.loads(body)
    assert peak < 1_000_000
