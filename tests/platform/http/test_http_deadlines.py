"""A connection that sends no request is closed, however it goes about it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from mosaic_deploy.platform.app import http_protocol
from mosaic_deploy.platform.app.http_protocol import HttpProtocol

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers without reading the body."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def talk(monkeypatch: pytest.MonkeyPatch, conversation: Talk, *, keep_alive: float = 75) -> bytes:
    """The result of a conversation with a server whose deadlines are short."""
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(http_protocol, "_LINGER_SECONDS", 0.2)

    async def run() -> bytes:
        config = uvicorn.Config(
            application, http=HttpProtocol, ws="none", lifespan="off", port=0, log_config=None,
            timeout_keep_alive=keep_alive,  # type: ignore[arg-type]
        )  # fmt: skip
        server = uvicorn.Server(config)
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        try:
            port = server.servers[0].sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                async with asyncio.timeout(20):
                    return await conversation(reader, writer)
            finally:
                writer.close()
        finally:
            server.should_exit = True
            await server.shutdown()

    return asyncio.run(run())


def test_a_connection_without_a_request(monkeypatch) -> None:
    async def silent(reader, _writer) -> bytes:
        return await reader.read()

    assert talk(monkeypatch, silent) == b""


HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize("first", [False, True])
def test_a_head_that_never_ends(monkeypatch, first) -> None:
    """As the first request of a connection, and after another one. Each byte comes in time, the head doesn't."""

    async def dripping(reader, writer) -> bytes:
        if not first:
            writer.write(HEAD + b"\r\n")
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        task = asyncio.create_task(reader.read())
        writer.write(HEAD + b"X: ")
        while not task.done():
            writer.write(b"a")
            await asyncio.sleep(0.02)
        return await task

    response = talk(monkeypatch, dripping)
    assert response.startswith(b"HTTP/1.1 408 ")
    assert b'"code": "request_timeout"' in response
    assert b"Connection: close" in response


def test_a_body_that_nobody_reads(monkeypatch) -> None:
    """Otherwise its sender would hold the connection for as long as the body lasts."""

    async def endless(reader, writer) -> bytes:
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        answer = await reader.readuntil(b"ok")
        while not reader.at_eof():
            writer.write(b"x")
            await asyncio.sleep(0.02)
            if writer.is_closing():
                break
            if reader._buffer or reader.exception():  # type: ignore[attr-defined]
                break
        return answer

    assert talk(monkeypatch, endless).startswith(b"HTTP/1.1 200")


def test_an_unread_body_that_ends_leaves_an_idle_connection(monkeypatch) -> None:
    async def complete(reader, writer) -> bytes:
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nx")
        await reader.readuntil(b"ok")
        writer.write(b"xxxx" + HEAD + b"\r\n")
        await reader.readuntil(b"ok")
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx")
        await reader.readuntil(b"ok")
        writer.write(b"x")
        return await reader.read()

    assert talk(monkeypatch, complete, keep_alive=0.3) == b""


def test_a_malformed_body_is_answered_once_and_leaves_no_traceback(monkeypatch, caplog) -> None:
    """The application was about to answer it, too."""

    async def malformed(reader, writer) -> bytes:
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")
        return await reader.read()

    answer = talk(monkeypatch, malformed)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"http_invalid" in answer
    assert [record for record in caplog.records if record.exc_info] == []


UNREAD = b"x" * (8 << 20)
LAST_HEADS = {
    "the client closes": b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n",
    "HTTP/1.0, as proxies send": b"POST / HTTP/1.0\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
    "malformed": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz %d\r\n",
}


@pytest.mark.parametrize("case", LAST_HEADS)
def test_the_last_response_of_a_connection_arrives_though_its_body_was_not_read(monkeypatch, case) -> None:
    """Closing the connection with unread data resets it: the sender fails, and may not get the response."""
    discarded: list[int] = []
    monkeypatch.setattr(HttpProtocol, "_pause_for", lambda _connection, size: discarded.append(size))

    async def sending(reader, writer) -> bytes:
        writer.write(LAST_HEADS[case] % len(UNREAD) + UNREAD)
        await writer.drain()
        return await reader.read()

    answer = talk(monkeypatch, sending)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.endswith(b"ok") == (case != "malformed")
    # At the rate that is for bodies that nobody reads.
    assert discarded


def test_a_connection_whose_last_body_does_not_end_is_closed(monkeypatch) -> None:
    async def endless(reader, writer) -> bytes:
        writer.write(LAST_HEADS["the client closes"] % 10**9)
        answer = await reader.read()
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)
        return answer

    assert talk(monkeypatch, endless).endswith(b"ok")


def test_a_server_stops_while_a_last_body_arrives(monkeypatch) -> None:
    async def unfinished(reader, writer) -> bytes:
        writer.write(LAST_HEADS["the client closes"] % 10**9)
        return await reader.read()

    assert talk(monkeypatch, unfinished).endswith(b"ok")
