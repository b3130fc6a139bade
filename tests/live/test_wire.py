"""Connections to a server of our own that counts them, closes them early, or loses answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from mosaic_deploy.errors import ResponseLost, Unreachable
from mosaic_deploy.live.wire import Wire

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Answers every request; after `each` requests of a connection closes it, with or without the last answer."""

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
def serving(each: int | None = None, *, lose: bool = False) -> Iterator[tuple[Server, Wire]]:
    server, wire = Server(each, lose=lose), Wire(loopback=True)
    try:
        yield server, wire
    finally:
        wire.close()
        server.close()


def test_one_after_the_other_goes_over_one_connection() -> None:
    with serving() as (server, wire):
        for _ in range(30):
            assert wire.request("POST", server.url, timeout=20, json={"a": 1}).json() == {}
        assert (server.connections, server.requests) == (1, 30)
        assert wire.traffic.requests == 30


def test_side_by_side_there_are_as_many_connections_as_threads_and_they_are_kept() -> None:
    with serving() as (server, wire):
        for _ in range(3):  # a pool of threads for each group of files
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda _: wire.request("GET", server.url, timeout=20), range(100)))
        assert server.requests == 300
        assert server.connections <= 8


def test_a_connection_that_the_server_has_closed_is_opened_anew() -> None:
    with serving(each=1) as (server, wire):
        for number in range(1, 6):
            assert wire.request("GET", server.url, timeout=20).status_code == 200
            while server.requests < number:
                threading.Event().wait(0.001)
            wait_for_close(wire)
        assert server.connections == 5


def wait_for_close(wire: Wire) -> None:
    """Until the end of the connection has reached this side: before that nobody could know."""
    for _ in range(2000):
        if all("IDLE" not in repr(lane._pool.connections) for lane in wire._free):  # type: ignore[attr-defined]
            return
        if all(c.has_expired() for lane in wire._free for c in lane._pool.connections):  # type: ignore[attr-defined]
            return
        threading.Event().wait(0.001)


def test_a_lost_answer_is_told_and_its_connection_used_no_more() -> None:
    with serving(each=2, lose=True) as (server, wire):
        assert wire.request("POST", server.url, timeout=20, json={}).status_code == 200
        with pytest.raises(ResponseLost):
            wire.request("POST", server.url, timeout=20, json={})
        assert not wire._free
        assert wire.request("POST", server.url, timeout=20, json={}).status_code == 200
        assert server.requests == 3, "nothing was sent twice behind our back"


def test_two_hosts_in_turn_keep_a_connection_each() -> None:
    """As with an upload URL from the API and the PUT to storage."""
    with serving() as (api, wire), serving() as (storage, _):
        for _ in range(10):
            wire.request("POST", api.url, timeout=20, json={})
            wire.request(
                "PUT", storage.url, timeout=20, content=iter([b"ab", b"c"]), headers={"Content-Length": "3"}
            )
        assert (api.connections, storage.connections) == (1, 1)


def test_nobody_there_is_unreachable() -> None:
    with serving() as (server, wire):
        server.close()
        with pytest.raises(Unreachable):
            wire.request("GET", "http://127.0.0.1:1/x", timeout=20)


def test_a_body_is_digested_as_it_comes() -> None:
    import hashlib

    with serving() as (server, wire):
        found = wire.digest(server.url, timeout=20)
        assert (found.status, found.size, found.sha256) == (200, 2, hashlib.sha256(b"{}").hexdigest())
