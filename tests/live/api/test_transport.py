"""Connections to a test server that counts them, closes them early, or drops responses."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from h11 import LocalProtocolError

from mosaic_deploy.errors import ResponseInvalid, ResponseLost, Unreachable
from mosaic_deploy.live.api.transport import Transport

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Closes each connection after `each` requests, with or without the last response."""

    def __init__(self, each: int | None = None, *, lose: bool = False) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._each = each
        self._lose = lose
        self.connections = 0
        self.requests = 0
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/x"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reading:
            served = 0
            while self._each is None or served < self._each:
                if not self._read(reading):
                    return
                self.requests += 1
                served += 1
                if self._lose and served == self._each:
                    return
                connection.sendall(ANSWER)

    @staticmethod
    def _read(reading: object) -> bool:
        length = 0
        while (line := reading.readline()) not in (b"\r\n", b""):  # type: ignore[attr-defined]
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        reading.read(length)  # type: ignore[attr-defined]
        return bool(line)


@contextmanager
def serving(each: int | None = None, *, lose: bool = False) -> Iterator[tuple[Server, Transport]]:
    server, wire = Server(each, lose=lose), Transport(loopback=True)
    try:
        yield server, wire
    finally:
        wire.close()
        server.close()


def test_sequential_requests_use_one_connection() -> None:
    with serving() as (server, wire):
        for _ in range(30):
            assert wire.request("POST", server.url, timeout=20, json={"a": 1}).json() == {}
        assert (server.connections, server.requests) == (1, 30)
        assert wire.traffic.requests == 30


def test_threads_have_a_connection_each_that_is_reused() -> None:
    with serving() as (server, wire):
        for _ in range(3):  # a pool of threads for each group of files
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda _: wire.request("GET", server.url, timeout=20), range(100)))
        assert server.requests == 300
        assert server.connections <= 8


def test_a_closed_connection_is_reopened() -> None:
    with serving(each=1) as (server, wire):
        for number in range(1, 6):
            assert wire.request("GET", server.url, timeout=20).status_code == 200
            while server.requests < number:
                threading.Event().wait(0.001)
            wait_for_close(wire)
        assert server.connections == 5


def idle(wire: Transport) -> list[Any]:
    return [lane for lanes in wire._idle_connections.values() for lane in lanes]


def wait_for_close(wire: Transport) -> None:
    """Waits until the client side has received the end of the connection."""
    for _ in range(2000):
        if all("IDLE" not in repr(lane._pool.connections) for lane in idle(wire)):  # type: ignore[attr-defined]
            return
        if all(c.has_expired() for lane in idle(wire) for c in lane._pool.connections):  # type: ignore[attr-defined]
            return
        threading.Event().wait(0.001)


def test_a_connection_with_a_lost_response_is_not_reused() -> None:
    with serving(each=2, lose=True) as (server, wire):
        assert wire.request("POST", server.url, timeout=20, json={}).status_code == 200
        with pytest.raises(ResponseLost):
            wire.request("POST", server.url, timeout=20, json={})
        assert not idle(wire)
        assert wire.request("POST", server.url, timeout=20, json={}).status_code == 200
        assert server.requests == 3, "nothing was sent twice behind our back"


def test_two_hosts_have_a_connection_each() -> None:
    """As for an upload URL from the API and the PUT to storage."""
    with serving() as (api, wire), serving() as (storage, _):
        for _ in range(10):
            wire.request("POST", api.url, timeout=20, json={})
            wire.request(
                "PUT", storage.url, timeout=20, content=iter([b"ab", b"c"]), headers={"Content-Length": "3"}
            )
        assert (api.connections, storage.connections) == (1, 1)


def test_no_server_is_unreachable() -> None:
    with serving() as (server, wire):
        server.close()
        with pytest.raises(Unreachable):
            wire.request("GET", "http://127.0.0.1:1/x", timeout=20)


def test_an_unknown_host_is_named() -> None:
    with serving() as (_, wire), pytest.raises(Unreachable, match=r"^can't find the host nowhere\.invalid$"):
        wire.request("GET", "http://nowhere.invalid/x", timeout=20)


def test_the_digest_of_a_body() -> None:
    import hashlib

    with serving() as (server, wire):
        found = wire.fetch_digest(server.url, timeout=20)
        assert (found.status, found.size, found.sha256) == (200, 2, hashlib.sha256(b"{}").hexdigest())


# --- misbehaving servers ---


class Scripted:
    """Sends given bytes after a request's head. Reads no body, and closes the connection if told to."""

    def __init__(self, says: bytes, *, reads: int = 0, closes: bool = True, pause: float = 0.0) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._says, self._reads, self._closes, self._pause = says, reads, closes, pause
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/x"
        self._done = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reading:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                if not (line := reading.readline()):
                    return
                head += line
            self.heads.append(head)
            self.bodies.append(reading.read(self._reads))
            connection.sendall(self._says)
            if not self._closes:
                self._done.wait(20)


@contextmanager
def wired() -> Iterator[Transport]:
    wire = Transport(loopback=True)
    try:
        yield wire
    finally:
        wire.close()


LOST = {
    "an answer that ends early": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
    "chunks that end early": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}",
    "a head that ends early": b"HTTP/1.1 200 OK\r\nContent-Le",
    "no answer": b"",
    "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
}


@pytest.mark.parametrize("says", LOST.values(), ids=LOST.keys())
def test_an_incomplete_response_is_an_error(says: bytes) -> None:
    with Scripted(says) as server, wired() as wire:
        with pytest.raises(ResponseLost):
            wire.request("POST", server.url, timeout=20, json={})
        with pytest.raises(ResponseLost):
            wire.fetch_digest(server.url, timeout=20)
        assert not idle(wire)


@pytest.mark.parametrize(
    "says",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 22\r\nContent-Encoding: gzip\r\n\r\n"
        + gzip.compress(b"{}", mtime=0),
    ],
)
def test_responses_with_every_framing(says: bytes) -> None:
    # It reads the body, because a socket that is closed with unread bytes may be reset before its response arrives.
    with Scripted(says, reads=len(b"{}")) as server, wired() as wire:
        assert wire.request("POST", server.url, timeout=20, json={}).json() == {}


def test_a_response_without_a_body_keeps_the_connection() -> None:
    with Scripted(b"HTTP/1.1 204 No Content\r\n\r\n", closes=False) as server, wired() as wire:
        assert wire.request("DELETE", server.url, timeout=20).status_code == 204
        [lane] = idle(wire)
        assert "IDLE" in repr(lane._pool.connections)  # type: ignore[attr-defined]


def test_an_error_before_the_body_is_sent_completely() -> None:
    """As for a file that is too large: a mere connection error would be retried."""
    says = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    sent = threading.Event()

    def body() -> Iterator[bytes]:
        yield b"x" * 1_000_000
        sent.set()
        while True:
            yield b"x" * 1_000_000

    with Scripted(says, closes=False) as server, wired() as wire:
        threading.Thread(target=lambda: (sent.wait(1), server.__exit__()), daemon=True).start()
        headers = {"Content-Length": str(10**12)}
        try:
            status = wire.request("PUT", server.url, timeout=20, content=body(), headers=headers).status_code
        except ResponseLost:  # the operating system may drop the response with the connection
            status = 413
        assert status == 413


def test_a_silent_server_times_out() -> None:
    with Scripted(b"", closes=False) as server, wired() as wire, pytest.raises(ResponseLost):
        wire.request("POST", server.url, timeout=0.2, json={})


@pytest.mark.parametrize("length", [2, 4])
def test_a_body_of_the_wrong_length_is_never_complete(length: int) -> None:
    with Scripted(ANSWER, closes=False) as server, wired() as wire:
        with pytest.raises(LocalProtocolError, match="Content-Length"):
            wire.request(
                "PUT", server.url, timeout=20, content=iter([b"abc"]), headers={"Content-Length": str(length)}
            )
        assert not idle(wire)


def test_exceptions_of_the_body_are_raised_unchanged() -> None:
    def body() -> Iterator[bytes]:
        yield b"a"
        raise FileNotFoundError("gone")

    with (
        Scripted(ANSWER, closes=False) as server,
        wired() as wire,
        pytest.raises(FileNotFoundError, match="gone"),
    ):
        wire.request("PUT", server.url, timeout=20, content=body(), headers={"Content-Length": "2"})


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb", "a\0b"])
def test_a_header_cannot_become_two(value: str) -> None:
    with Scripted(ANSWER) as server, wired() as wire:
        with pytest.raises(ResponseInvalid):
            wire.request("GET", server.url, timeout=20, headers={"X-API-Key": value})
        assert server.heads == []


def test_a_request_has_one_host_and_one_length() -> None:
    with Scripted(ANSWER, reads=7) as server, wired() as wire:
        wire.request("POST", server.url, timeout=20, json={"a": 1})
        [head] = server.heads
        lines = head.split(b"\r\n")
        assert lines[0] == b"POST /x HTTP/1.1"
        assert f"host: {server.url.split('/')[2]}".encode() in [line.lower() for line in lines]
        assert head.lower().count(b"content-length:") == head.lower().count(b"host:") == 1
        assert head.lower().count(b"accept-encoding:") == 1
        assert server.bodies == [b'{"a":1}']
