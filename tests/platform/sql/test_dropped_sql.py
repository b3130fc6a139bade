"""Calls whose client leaves: their sessions end, and until then they keep their places in the limits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mosaic_deploy.platform.copying import in_thread
from mosaic_deploy.platform.postgres import connections
from mosaic_deploy.platform.postgres.connections import PROJECT_LIMIT, SessionPool
from mosaic_deploy.platform.sql import execute, row_stream
from mosaic_deploy.platform.sql.modes import SqlModes

MIB = 1 << 20
# More than the sockets' buffers take, so part of it isn't sent while PostgreSQL waits; PROJECT_LIMIT of them fit the memory for
# an account's bodies.
LARGE = 6 * MIB
WAITS_FOR_LOCK = "SELECT length($1), a FROM t"


@pytest.fixture
def send(platform) -> Iterator[Callable[..., socket.socket]]:
    """Sends a call of `/sql` without reading its response. All connections are closed after the test."""
    with contextlib.ExitStack() as opened:

        def send(project_id: str, query: str, *params: Any) -> socket.socket:
            body = json.dumps({"query": query, "params": list(params)}).encode()
            head = (
                f"POST /v1/project/{project_id}/sql HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"X-API-Key: {platform.api_key}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            client = opened.enter_context(socket.create_connection(("127.0.0.1", platform.port)))
            client.sendall(head.encode() + body)
            return client

        yield send


@pytest.fixture
def observer(api, project) -> Iterator[tuple[str, psycopg.Connection[Any]]]:
    """A project with a table `t`, and a direct session of its role."""
    project_id = project()
    api.sql(project_id, "CREATE TABLE t (a int)")
    url = api.get(f"/{project_id}/credentials").json()["database_url"]
    with psycopg.connect(url, autocommit=True) as session:
        yield project_id, session


@contextlib.contextmanager
def locked(observer: psycopg.Connection[Any]) -> Iterator[None]:
    """`t` is locked, by a session of its own: in a transaction, PostgreSQL shows the same activity again and again."""
    info = observer.info
    with psycopg.connect(info.dsn, password=info.password) as session:
        session.execute("LOCK TABLE t")
        yield


def sessions(observer: psycopg.Connection[Any], where: str = "true") -> int:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid() AND "
    )
    row = observer.execute((query + where).encode()).fetchone()
    assert row is not None
    return int(row[0])


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_dropped_large_calls_that_wait_for_a_lock_end(platform, send, observer) -> None:
    """PostgreSQL reads the parameters after it has the lock, so most of them aren't sent yet."""
    project_id, session = observer
    log = Path(platform.home, "platform.log")
    before = log.stat().st_size
    most = 0

    def all_wait() -> bool:
        nonlocal most
        most = max(most, sessions(session, "state = 'active'"))
        return sessions(session, "wait_event_type = 'Lock'") == PROJECT_LIMIT

    with locked(session):
        for _ in range(3):
            clients = [send(project_id, WAITS_FOR_LOCK, "x" * LARGE) for _ in range(PROJECT_LIMIT)]
            # Those of the round before have ended: otherwise these have no place.
            until(all_wait)
            for client in clients:
                client.close()
        until(lambda: sessions(session, "state = 'active'") == 0)
    assert most == PROJECT_LIMIT
    written = log.read_bytes()[before:].decode()
    assert "never retrieved" not in written
    assert "Traceback" not in written


def test_a_call_that_ignores_cancel_requests_ends_when_it_is_dropped(send, observer) -> None:
    project_id, session = observer
    # Nor does PostgreSQL look whether its client is gone.
    stubborn = "SET client_connection_check_interval = 0; DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(300); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$"
    client = send(project_id, stubborn)
    until(lambda: sessions(session, "wait_event = 'PgSleep'") == 1)
    client.close()
    until(lambda: sessions(session, "wait_event = 'PgSleep'") == 0)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_a_dropped_statement_that_has_arrived_but_not_begun_does_not_run(api, send, observer) -> None:
    """The cancel request is lost: PostgreSQL ignores it between statements."""
    project_id, session = observer
    backend = api.sql(project_id, "SELECT pg_backend_pid() AS pid")[0]["pid"]
    os.kill(backend, signal.SIGSTOP)
    try:
        # It gets the idle session of the call before.
        send(project_id, "INSERT INTO t SELECT length($1)", "x" * MIB).close()
        until(lambda: _is_pending(backend, signal.SIGTERM))
    finally:
        os.kill(backend, signal.SIGCONT)
    until(lambda: sessions(session, f"pid = {backend}") == 0)
    assert api.sql(project_id, "SELECT a FROM t") == []


def _is_pending(process: int, number: int) -> bool:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    pending = next(line.split()[1] for line in lines if line.startswith("ShdPnd:"))
    return bool(int(pending, 16) >> (number - 1) & 1)


def test_others_go_on_while_all_large_calls_of_a_project_wait(api, project, send, observer) -> None:
    project_id, session = observer
    other = project()
    with locked(session):
        clients = [send(project_id, WAITS_FOR_LOCK, "x" * LARGE) for _ in range(PROJECT_LIMIT)]
        until(lambda: sessions(session, "wait_event_type = 'Lock'") == PROJECT_LIMIT)
        text = "x" * 2 * MIB
        for _ in range(3):
            assert api.sql(other, "SELECT length($1) AS n", params=[text]) == [{"n": len(text)}]
            assert api.sql(other, f"SELECT 1 AS a -- {text}") == [{"a": 1}]
            assert api.upload(other, "a.bin", b"x" * MIB).is_success
        assert sessions(session, "wait_event_type = 'Lock'") == PROJECT_LIMIT
    for client in clients:
        # What waited was complete.
        assert client.recv(12) == b"HTTP/1.1 200"


def test_a_place_is_taken_until_the_session_has_ended(monkeypatch, observer) -> None:
    """The control database can't be reached at first."""
    _, session = observer
    attempts: list[dict[str, Any]] = []

    async def fetch(_pool: Any, query: str, parameters: dict[str, Any]) -> list[Any]:
        attempts.append(parameters)
        if len(attempts) < 3:
            raise psycopg.OperationalError("not now")
        return session.execute(query.encode(), parameters).fetchall()

    async def connect(*_arguments: Any) -> Any:
        return await psycopg.AsyncConnection.connect(session.info.dsn, password=session.info.password)

    monkeypatch.setattr(connections, "fetch", fetch)
    monkeypatch.setattr(connections, "database_name", lambda _project: session.info.user)
    monkeypatch.setattr(SessionPool, "_connect", connect)
    nowhere: Any = None

    async def run() -> None:
        pool = SessionPool(nowhere, nowhere, limit=1)
        with pytest.raises(asyncio.CancelledError):
            async with pool.session("pod-16f", 1, "secret") as used:
                used.pgconn.send_query(b"SELECT pg_sleep(300)")
                raise asyncio.CancelledError
        assert pool.counts() == {"busy": 1, "idle": 0}
        async with pool.session("pod-16f", 1, "secret"):
            assert len(attempts) >= 4
            assert sessions(session, "wait_event = 'PgSleep'") == 0
        await pool.close()
        assert pool.counts() == {"busy": 0, "idle": 0}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("query", "params"),
    [
        ("SELECT 1 AS a -- " + "x" * MIB, None),
        ("SELECT length($1) AS a", ["x" * MIB]),
        ("SELECT $1::int[] AS a -- " + "x" * MIB, [[1]]),
    ],
    ids=["text", "parameter", "types"],
)
def test_large_texts_are_copied_in_the_thread(monkeypatch, observer, query, params) -> None:
    _, session = observer
    threads: list[str] = []

    async def recorded(copy: Callable[[], Any]) -> Any:
        def run() -> Any:
            threads.append(threading.current_thread().name)
            return copy()

        return await in_thread(run)

    monkeypatch.setattr(row_stream, "in_thread", recorded)

    async def call() -> None:
        dsn, password = session.info.dsn, session.info.password
        async with await psycopg.AsyncConnection.connect(dsn, password=password, autocommit=True) as used:
            await execute.run(used, query.encode(), params, SqlModes())

    asyncio.run(call())
    # Of a statement whose parameters' types are asked for, twice.
    assert threads == ["copying_0"] * (2 if params == [[1]] else 1)


def test_a_cancelled_copy_is_waited_for_and_its_error_looked_at() -> None:
    reported: list[Any] = []
    begun, end, ended = threading.Event(), threading.Event(), threading.Event()

    def copy() -> None:
        begun.set()
        end.wait(30)
        ended.set()
        raise MemoryError

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: reported.append(context))
        copying = asyncio.create_task(in_thread(copy))
        while not begun.is_set():
            await asyncio.sleep(0)
        for _ in range(2):
            copying.cancel()
            await asyncio.sleep(0)
            assert not copying.done()
        end.set()
        with pytest.raises(asyncio.CancelledError):
            await copying
        assert ended.is_set()

    asyncio.run(run())
    assert reported == []
