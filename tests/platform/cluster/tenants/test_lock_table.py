"""A full lock table stops all but the connection that ends those who fill it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import psycopg
import pytest
from served import postgres_server

from mosaic_deploy.platform.postgres.role_activity import ActivityConnection, Role
from mosaic_deploy.platform.postgres.server import Connection, Server
from mosaic_deploy.platform.projects import watch
from mosaic_deploy.platform.services import Platform

pytestmark = pytest.mark.timeout(240)

# PostgreSQL keeps some 4,000 changes for a connection to catch up with. One that missed more drops all its caches.
_MANY_CHANGES = """
DO $$BEGIN
    FOR n IN 1..100 LOOP
        CREATE TABLE public.changes (a int PRIMARY KEY, b text UNIQUE);
        DROP TABLE public.changes;
    END LOOP;
END$$
"""
_FILL = "SELECT count(pg_advisory_lock(n)) FROM generate_series(1, 1000000) AS n"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    # Not below pytest's own folder: PostgreSQL's user must be able to enter it.
    with tempfile.TemporaryDirectory(prefix="mosaic locks ") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with postgres_server(folder / "postgres") as url:
            yield url


_SERIALIZABLE = "BEGIN ISOLATION LEVEL SERIALIZABLE"


def test_a_connection_without_caches_still_ends_who_fills_the_table(url) -> None:
    asyncio.run(_fill_and_end(Server.from_url(url)))


async def _fill_and_end(server: Server) -> None:
    async with await server.connect("postgres") as setup:
        await setup.execute("CREATE ROLE tenant_a_b")
    await _watched_database(server, "control")
    async with await server.connect("control") as filling:
        await filling.execute("INSERT INTO public.project VALUES ('a-b', 1)")
        looking = await ActivityConnection.open(server, "control")
        await looking.begin()
        await filling.execute(_MANY_CHANGES)
        with pytest.raises(psycopg.errors.OutOfMemory):
            await filling.execute(_FILL)
        with pytest.raises(psycopg.OperationalError):
            await server.connect("control")
        [role] = (await looking.roles()).values()
        assert role == Role(role.oid, "a-b", 1, frozenset())
        pid = filling.info.backend_pid
        assert [session.pid for session in await looking.sessions() if session.locks > 1000] == [pid]
        await looking.end([pid])
        await (await server.connect("control")).close()
        await looking.close()


def test_a_suspension_that_takes_long_leaves_nobody_else_alone(url, monkeypatch) -> None:
    """Sessions that lock their own role again and again hold one up. Meanwhile another project filled the table."""
    suspended = []

    async def suspend(_platform: object, project_id: str, *_: object) -> None:
        suspended.append(project_id)
        await asyncio.Event().wait()

    monkeypatch.setattr(watch.suspension, "suspend", suspend)
    asyncio.run(_watch_two(Server.from_url(url)))
    assert suspended == ["one", "two"]


async def _watch_two(server: Server) -> None:
    await _watched_database(server, "watched")
    for name in ("one", "two"):
        async with await server.connect("postgres") as setup:
            await setup.execute(f"CREATE ROLE tenant_{name} LOGIN PASSWORD 'secret'".encode())
            await setup.execute(f"GRANT tenant_{name} TO CURRENT_USER".encode())
            await setup.execute(f"CREATE DATABASE tenant_{name} OWNER tenant_{name}".encode())
        async with await server.connect("watched") as setup:
            await setup.execute("INSERT INTO public.project VALUES (%s, 1)", [name])
    looking = await ActivityConnection.open(server, "watched")
    # Only suspending, which the test replaces, uses the platform.
    watching = asyncio.create_task(watch._watch(cast(Platform, None), looking))
    for name in ("one", "two"):
        conninfo = server.project_conninfo(f"tenant_{name}", "secret")
        async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as session:
            await session.execute("SELECT count(pg_advisory_lock(n)) FROM generate_series(1, 5000) AS n")
            with pytest.raises(psycopg.OperationalError):
                await session.execute("SELECT pg_sleep(60)")
    watching.cancel()
    await asyncio.wait([watching])
    await looking.close()


async def _watched_database(server: Server, name: str) -> None:
    async with await server.connect("postgres") as setup:
        await setup.execute(f"CREATE DATABASE {name}".encode())
    async with await server.connect(name) as setup:
        await setup.execute("CREATE TABLE public.project (id text PRIMARY KEY, account_id bigint)")


def test_predicate_locks_that_outlive_their_session_count(url) -> None:
    """An older transaction keeps them. Nobody else can use SERIALIZABLE once their table is full."""
    asyncio.run(_leave_predicate_locks(Server.from_url(url)))


async def _leave_predicate_locks(server: Server) -> None:
    async with await server.connect("postgres") as setup:
        await setup.execute("CREATE DATABASE leaving")
    await _watched_database(server, "looked_from")
    looking = await ActivityConnection.open(server, "looked_from")
    await looking.begin()
    async with await server.connect("leaving") as keeping, await server.connect("leaving"):
        await keeping.execute("CREATE SCHEMA many; CREATE TABLE many.a1 (n int)")
        for number in range(2, 101):
            await keeping.execute(f"CREATE TABLE many.a{number} (LIKE many.a1)")
        await keeping.execute(_SERIALIZABLE)
        await keeping.execute("INSERT INTO many.a1 VALUES (1)")
        before = await _locks_in(looking, keeping)
        async with await server.connect("leaving") as ended:
            await ended.execute(_SERIALIZABLE)
            await ended.execute("INSERT INTO many.a1 VALUES (1)")
            for number in range(2, 101):
                await ended.execute(f"SELECT FROM many.a{number}")
            await ended.execute("COMMIT")
        assert await _locks_in(looking, keeping) >= before + 99
    await looking.close()


async def _locks_in(looking: ActivityConnection, keeping: Connection) -> int:
    """Of all sessions in the database of `keeping`."""
    sessions = await looking.sessions()
    database = next(one.database for one in sessions if one.pid == keeping.info.backend_pid)
    return sum(session.locks for session in sessions if session.database == database)
