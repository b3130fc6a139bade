"""Limits of SQL calls (time, memory, connections), and cancellation when the client disconnects."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import time
from collections.abc import Iterator

import psycopg
import pytest

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.sql import execute as sql
from mosaic_deploy.platform.sql.modes import SqlModes
from mosaic_deploy.platform.sql.rows import Rows

MIB = 1024 * 1024


def _credentials(api, project_id: str) -> str:
    url: str = api.get(f"/{project_id}/credentials").json()["database_url"]
    return url


async def _run(url: str, query: str, limits: sql.CallLimits, modes: SqlModes | None = None) -> Rows:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as session:
        return (await sql.run(session, query.encode(), None, modes or SqlModes(), limits)).rows


@contextlib.contextmanager
def _refused(status: int, code: str) -> Iterator[pytest.ExceptionInfo[Fault]]:
    with pytest.raises(Fault) as caught:
        yield caught
    assert (caught.value.status, caught.value.code) == (status, code), caught.value


@pytest.mark.parametrize(
    "query",
    [
        "SELECT generate_series(1, 1000000000)",
        "SELECT repeat('x', 100000) FROM (SELECT generate_series(1, 1000000)) g",
        "SELECT repeat('x', 100000000) AS one",
        "SELECT '[1]'::vector, generate_series(1, 100000000)",
        "SELECT 1; SELECT generate_series(1, 1000000000); SELECT 2",
    ],
)
def test_too_large_results_are_cancelled(api, untouched, query) -> None:
    started = time.monotonic()
    response = api.post(f"/{untouched}/sql", json={"query": query})
    assert response.json()["error"]["code"] == "result_too_large", response.text[:500]
    assert response.status_code == 413
    assert "32 MiB" in response.json()["error"]["message"]
    assert time.monotonic() - started < 60
    assert api.sql(untouched, "SELECT 1 AS a") == [{"a": 1}]


def test_results_within_the_limit_are_complete(api, untouched) -> None:
    (row,) = api.sql(untouched, "SELECT repeat('x', 20000000) AS one")
    assert len(row["one"]) == 20_000_000
    rows = api.sql(untouched, "SELECT g FROM generate_series(1, 200000) g")
    assert [row["g"] for row in rows] == list(range(1, 200_001))
    # Results of earlier statements aren't sent and don't count.
    query = "SELECT repeat('x', 20000000); " * 4 + "SELECT 1 AS a"
    assert api.sql(untouched, query) == [{"a": 1}]


def test_the_limit_counts_json_bytes(api, untouched) -> None:
    url = _credentials(api, untouched)
    fits = asyncio.run(_run(url, "SELECT repeat('x', 1000000) AS a", sql.CallLimits(result_bytes=MIB)))
    assert len(fits.chunks[0]) == 1_000_008
    # Each of these takes six bytes in JSON.
    with _refused(413, "result_too_large"):
        asyncio.run(_run(url, "SELECT repeat(E'\\x01', 200000) AS a", sql.CallLimits(result_bytes=MIB)))


@pytest.mark.parametrize("modes", [SqlModes(), SqlModes(wrapped=True), SqlModes(one_statement=True)])
def test_calls_time_out_whatever_the_session_settings(api, project, modes) -> None:
    project_id = project()
    url = _credentials(api, project_id)
    api.sql(project_id, "CREATE TABLE t (a int)")
    query = "DO $$ BEGIN SET statement_timeout = 0; INSERT INTO t VALUES (1); PERFORM pg_sleep(60); END $$"
    with _refused(400, "call_timeout") as caught:
        asyncio.run(_run(url, query, sql.CallLimits(seconds=0.5), modes))
    assert caught.value.details["sqlstate"] == "57014"
    _await_finished(api, project_id, "pg_sleep")
    assert api.sql(project_id, "SELECT * FROM t") == []


def test_statements_are_cancelled_when_the_client_disconnects(api, platform, project) -> None:
    project_id = project()
    api.sql(project_id, "CREATE TABLE t (a int)")
    body = json.dumps({"query": "INSERT INTO t VALUES (1); SELECT pg_sleep(300)"}).encode()
    head = (
        f"POST /v1/project/{project_id}/sql HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {platform.api_key}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", platform.port)) as client:
        client.sendall(head.encode() + body)
        _await(lambda: _running(api, project_id, "pg_sleep(300)") == 1)
    _await_finished(api, project_id, "pg_sleep(300)")
    assert api.sql(project_id, "SELECT * FROM t") == []


# More than the sockets' buffers take: what has arrived whole may run after the call has ended; its pool ends the session then.
@pytest.mark.parametrize("params", [None, ["é" * 8 * MIB]])
def test_a_large_query_that_the_server_does_not_take_holds_up_nobody(api, project, params) -> None:
    project_id = project()
    api.sql(project_id, "CREATE TABLE t (a text)")
    url = _credentials(api, project_id)
    query = "INSERT INTO t SELECT " + ("$1" if params else f"'{'é' * 8 * MIB}'")

    async def send_to_stopped_session() -> int:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as session:
            process = session.info.backend_pid
            os.kill(process, signal.SIGSTOP)
            call = asyncio.ensure_future(
                sql.run(session, query.encode(), params, SqlModes(), sql.CallLimits(seconds=1.0))
            )
            waits = 0
            try:
                while not call.done():
                    await asyncio.sleep(0.01)
                    waits += 1
                with _refused(400, "call_timeout"):
                    await call
            finally:
                os.kill(process, signal.SIGCONT)
            with pytest.raises(psycopg.OperationalError):
                await session.execute("SELECT 1")
            await session.close()
        return waits

    assert asyncio.run(send_to_stopped_session()) > 5
    assert api.sql(project_id, "SELECT * FROM t") == []


@pytest.mark.parametrize("size", [MIB // 2 - 8, MIB // 2, 4 * MIB])
def test_large_queries_arrive_whole(api, untouched, size) -> None:
    text = "aé€😀\\''"[:7] * (size // 7) + "z"
    literal = text.replace("'", "''")
    md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    assert api.sql(untouched, f"SELECT 1; SELECT md5('{literal}') AS m") == [{"m": md5}]
    response = api.post(f"/{untouched}/sql", json={"query": "SELECT md5($1) AS m", "params": [text]})
    assert response.json()["data"] == [{"m": md5}], response.text[:500]
    # The session can be used again.
    assert api.sql(untouched, "SELECT 1 AS a") == [{"a": 1}]


def test_too_many_connections(api, project) -> None:
    project_id = project()
    url = _credentials(api, project_id)
    with contextlib.ExitStack() as held:
        for _ in range(40):
            held.enter_context(psycopg.connect(url))
        response = api.post(f"/{project_id}/sql", json={"query": "SELECT 1"})
        assert response.status_code == 503, response.text
        assert response.json()["error"]["code"] == "too_many_connections"
        assert response.headers["Retry-After"] == "1"
        other = project()
        assert api.sql(other, "SELECT 1 AS a") == [{"a": 1}]
    _await(lambda: api.post(f"/{project_id}/sql", json={"query": "SELECT 1"}).status_code == 200)


@pytest.mark.parametrize(
    "lockout",
    [
        "ALTER ROLE CURRENT_USER PASSWORD 'mine'",
        "ALTER DATABASE {0} WITH CONNECTION LIMIT 0",
        "REVOKE ALL ON DATABASE {0} FROM {0}",
    ],
)
def test_a_role_that_locks_itself_out_is_restored(api, project, lockout) -> None:
    project_id = project()
    name = "tenant_" + project_id.replace("-", "_")
    api.sql(project_id, lockout.format(name))
    # The current session would still work.
    api.post(f"/{project_id}/sql", json={"query": "SELECT pg_terminate_backend(pg_backend_pid())"})
    assert api.sql(project_id, "SELECT 1 AS a") == [{"a": 1}]
    with psycopg.connect(_credentials(api, project_id)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_listeners_and_settings_are_reset(api, project) -> None:
    project_id = project()
    api.sql(project_id, "LISTEN news; SET work_mem = '1GB'; SET ROLE NONE; SET statement_timeout = 1")
    rows = api.sql(
        project_id,
        "SELECT current_setting('work_mem') AS w, current_setting('statement_timeout') AS t,"
        " (SELECT count(*) FROM pg_listening_channels()) AS l",
    )
    assert rows == [{"w": "4MB", "t": "5min", "l": 0}]


def test_errors_have_the_number_of_the_failed_statement(api, project) -> None:
    project_id = project()
    assert api.sql_error(project_id, "SELECT 1; SELECT 1/0; SELECT 2")["statement"] == 2
    assert api.sql_error(project_id, "SELECT 1; SELEC 2")["statement"] is None
    api.sql(project_id, "CREATE TABLE t (a int CONSTRAINT positive CHECK (a > 0))")
    error = api.sql_error(project_id, ";; SELECT 1;; INSERT INTO t VALUES (-1)")
    wanted = {"statement": 2, "sqlstate": "23514", "schema": "public", "table": "t", "constraint": "positive"}
    assert {name: error[name] for name in wanted} == wanted


def _running(api, project_id: str, words: str) -> int:
    query = "SELECT count(*) AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE $1 AND pid <> pg_backend_pid()"
    count: int = api.sql(project_id, query, params=[f"%{words}%"])[0]["n"]
    return count


def _await_finished(api, project_id: str, words: str) -> None:
    _await(lambda: _running(api, project_id, words) == 0)


def _await(holds) -> None:
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("size", [1000, 65_000, 87_000, 262_100, 300_000, 2_000_000])
def test_postgresql_gets_every_character_that_was_sent(api, untouched, size) -> None:
    """Small requests are parsed in place, large ones in another process; long texts come back from it as bytes."""
    chance = random.Random(size)
    codes = (
        *range(1, 0x250),
        *range(0x2000, 0x2100),
        *range(0xD7F0, 0xD800),
        *range(0xFFF0, 0x10010),
        0x10FFFF,
    )
    text = "".join(map(chr, chance.choices(codes, k=size)))
    expected = [{"length": size, "md5": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}]
    shown = "SELECT length(v), md5(v) FROM (SELECT {}::text) AS sent (v)"
    assert api.sql(untouched, shown.format("$1"), params=[text]) == expected
    assert api.sql(untouched, shown.format(f"$sent${text}$sent$")) == expected
