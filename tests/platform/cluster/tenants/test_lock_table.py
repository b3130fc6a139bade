"""A full lock table stops all but the connection that ends those who fill it."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import psycopg
import pytest
from served import postgres_server

from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.server import Server
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.tenants import offences, suspension, watch
from mosaic_deploy.platform.tenants.activity import ActivityConnection
from mosaic_deploy.platform.tenants.offences import Role
from mosaic_deploy.platform.tenants.predicate_locks import find_keeping_transactions

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


def test_a_role_that_is_newer_than_the_standing_transaction_is_seen_and_ended(url) -> None:
    """PostgreSQL remembers within it that there is no such role, and which roles the platform's own one is a member of."""
    asyncio.run(_end_new_role(Server.from_url(url)))


async def _end_new_role(server: Server) -> None:
    await _watched_database(server, "late")
    async with await server.connect("late") as setup:
        await setup.execute("INSERT INTO public.project VALUES ('late', 1)")
    looking = await ActivityConnection.open(server, "late")
    await looking.begin()
    for _ in range(10):
        assert await looking.roles() == {}
        await looking.sessions()
    conninfo = await _project(server, "late", "late", account=1)
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as session:
        with pytest.raises(psycopg.errors.OutOfMemory):
            await session.execute(_FILL)
        [role] = (await looking.roles()).values()
        assert role.project_id == "late"
        pid = session.info.backend_pid
        assert pid in [one.pid for one in await looking.sessions() if one.role == role.oid]
        assert await looking.end([pid]) == {pid}
        with pytest.raises(psycopg.OperationalError):
            await session.execute("SELECT 1")
    await looking.close()


def test_a_suspension_that_takes_long_leaves_nobody_else_alone(url, monkeypatch) -> None:
    """Sessions that lock their own role again and again hold one up. Meanwhile another project filled the table."""
    suspended = []

    async def suspend(_platform: object, project_id: str, *_: object) -> None:
        suspended.append(project_id)
        await asyncio.Event().wait()

    monkeypatch.setattr(suspension, "suspend", suspend)
    asyncio.run(_watch_two(Server.from_url(url)))
    assert suspended == ["one", "two"]


async def _watch_two(server: Server) -> None:
    await _watched_database(server, "watched")
    sessions = [await _project(server, "watched", name, account=1) for name in ("one", "two")]
    looking = await ActivityConnection.open(server, "watched")
    # Only suspending, which the test replaces, uses more of the platform.
    watching = asyncio.create_task(watch._watch(cast(Platform, SimpleNamespace(server=server)), looking))
    for conninfo in sessions:
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


async def _project(server: Server, control: str, name: str, *, account: int) -> str:
    """Its role, database and row. Returns how its role connects."""
    async with await server.connect("postgres") as setup:
        await setup.execute(f"CREATE ROLE tenant_{name} LOGIN PASSWORD 'secret'".encode())
        await setup.execute(f"GRANT tenant_{name} TO CURRENT_USER".encode())
        await setup.execute(f"CREATE DATABASE tenant_{name} OWNER tenant_{name}".encode())
    async with await server.connect(control) as setup:
        await setup.execute(
            "INSERT INTO public.project VALUES (%s, %s) ON CONFLICT DO NOTHING", [name, account]
        )
    return server.project_conninfo(f"tenant_{name}", "secret")


@pytest.mark.parametrize(("short", "expected"), [(0.0, []), (3600.0, ["leaving"])])
def test_predicate_locks_that_outlive_their_sessions_do_not_fill_their_table(
    url, monkeypatch, short: float, expected: list[str]
) -> None:
    """A transaction in another database keeps them; nobody else could use SERIALIZABLE. If it was open for long already,
    it only ends. If not, the project that left too many meanwhile is suspended."""
    suspended = []

    async def suspend(_platform: object, project_id: str, *_: object) -> None:
        suspended.append(project_id)

    monkeypatch.setattr(suspension, "suspend", suspend)
    monkeypatch.setattr(offences, "SHORT_SECONDS", short)
    asyncio.run(_leave_predicate_locks(Server.from_url(url), suspended, len(expected)))
    assert set(suspended) == set(expected)


async def _leave_predicate_locks(server: Server, suspended: list[str], expected: int) -> None:
    async with _leaving_and_keeping(server) as (_, keeping):
        await _keep_until_ended(keeping)
        # Nobody is suspended if the keeper took over a second to end, as it may on a busy machine.
        while len(suspended) < expected:
            await _keep_until_ended(keeping)
        await _await_no_predicate_locks(server)


async def _keep_until_ended(conninfo: str) -> None:
    async with await psycopg.AsyncConnection.connect(conninfo) as keeper:
        await keeper.set_isolation_level(psycopg.IsolationLevel.SERIALIZABLE)
        # It has no predicate lock itself.
        await keeper.execute("SELECT 1")
        await _await_end(keeper)


@contextlib.asynccontextmanager
async def _leaving_and_keeping(server: Server) -> AsyncIterator[tuple[str, str]]:
    """Two watched projects; the first leaves many predicate locks if anybody's transaction keeps them."""
    await _watched_database(server, control_database.DATABASE)
    leaving = await _project(server, control_database.DATABASE, "leaving", account=1)
    keeping = await _project(server, control_database.DATABASE, "keeping", account=2)
    async with await psycopg.AsyncConnection.connect(leaving, autocommit=True) as setup:
        await setup.execute(_MANY_TABLES)
    looking = await ActivityConnection.open(server, control_database.DATABASE)
    watching = asyncio.create_task(watch._watch(cast(Platform, SimpleNamespace(server=server)), looking))
    leaves = asyncio.create_task(_leave(leaving))
    yield leaving, keeping
    leaves.cancel()
    watching.cancel()
    await asyncio.wait([leaves, watching])
    await looking.close()
    async with await server.connect("postgres") as teardown:
        for name in ("tenant_leaving", "tenant_keeping", control_database.DATABASE):
            await teardown.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        await teardown.execute("DROP ROLE tenant_leaving, tenant_keeping")


async def _await_end(session: psycopg.AsyncConnection) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"terminating|closed"):
        for _ in range(1000):
            await session.execute("SELECT pg_sleep(0.05)")


async def _await_no_predicate_locks(server: Server) -> None:
    """Those of the transactions that are running are few."""
    async with await server.connect(control_database.DATABASE) as other:
        for _ in range(200):
            cursor = await other.execute("SELECT count(*) FROM pg_locks WHERE mode = 'SIReadLock'")
            if (await cursor.fetchone() or (None,))[0] < 500:
                return
            await asyncio.sleep(0.05)
    pytest.fail("the predicate locks stay")


def test_a_transaction_that_cant_be_seen_to_keep_predicate_locks_ends(url, monkeypatch) -> None:
    """It only reads, has read no table, and no writer's end makes it safe. The third time, its project is suspended; never
    the one whose locks it keeps. Nor does another session end that has a snapshot, later than the first one's."""
    suspended = []

    async def suspend(_platform: object, project_id: str, *_: object) -> None:
        suspended.append(project_id)

    monkeypatch.setattr(suspension, "suspend", suspend)
    asyncio.run(_keep_hidden(Server.from_url(url), suspended))


async def _keep_hidden(server: Server, suspended: list[str]) -> None:
    async with _leaving_and_keeping(server) as (leaving, keeping):
        async with await psycopg.AsyncConnection.connect(keeping, autocommit=True) as setup:
            await setup.execute("CREATE TABLE a (n int); CREATE TABLE b (n int)")
        other = await psycopg.AsyncConnection.connect(leaving, autocommit=True)
        for times in (1, 2, 3):
            async with contextlib.AsyncExitStack() as closing:
                writing, writer, hidden = [
                    await closing.enter_async_context(
                        await psycopg.AsyncConnection.connect(keeping, autocommit=True)
                    )
                    for _ in range(3)
                ]
                await writing.execute(f"{_SERIALIZABLE}; SELECT FROM a")
                await writer.execute(f"{_SERIALIZABLE}; INSERT INTO a VALUES (1); COMMIT")
                await hidden.execute(f"{_SERIALIZABLE} READ ONLY; SELECT 1")
                await writing.execute("INSERT INTO b VALUES (1); COMMIT")
                if times == 1:
                    await other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
                await _await_end(hidden)
            await _await_no_predicate_locks(server)
            while times == 3 and not suspended:
                await asyncio.sleep(0.01)
            assert suspended == (["keeping"] if times == 3 else [])
        await other.execute("COMMIT")
        await other.close()


async def _leave(conninfo: str) -> None:
    """Short sessions, until cancelled or refused. Within a second fewer locks than an account may make."""
    reads = "; ".join(f"SELECT FROM read{number}" for number in range(1, 101))
    while True:
        async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as session:
            await session.execute(
                f"{_SERIALIZABLE}; INSERT INTO written VALUES (1); {reads}; COMMIT".encode()
            )
        await asyncio.sleep(0.05)


def test_transactions_that_only_read_keep_predicate_locks_as_well(url) -> None:
    """They are found beside those that write, also if PostgreSQL can't tell who writes. A session's locks of an earlier
    transaction keep nothing."""
    asyncio.run(_find_readers(Server.from_url(url)))


async def _find_readers(server: Server) -> None:
    await _watched_database(server, "read")
    async with await server.connect("read") as setup:
        await setup.execute("CREATE TABLE public.a (n int); CREATE TABLE public.b (n int)")
    looking = await ActivityConnection.open(server, "read")
    await looking.begin()
    async with contextlib.AsyncExitStack() as closing:
        writing, writer, reading, earlier = [
            await closing.enter_async_context(await server.connect("read")) for _ in range(4)
        ]
        await writing.execute(f"{_SERIALIZABLE}; SELECT FROM public.a")
        await writer.execute(f"{_SERIALIZABLE}; INSERT INTO public.a VALUES (1); COMMIT")
        await reading.execute(f"{_SERIALIZABLE} READ ONLY; SELECT FROM public.b")
        await earlier.execute(f"{_SERIALIZABLE}; SELECT FROM public.b; COMMIT; BEGIN; SELECT 1")
        keeping = {writing.info.backend_pid, reading.info.backend_pid}
        found = await find_keeping_transactions(server, "read", looking)
        assert {one.pid for one in found} == keeping
        # As if no connection could be made.
        found = await find_keeping_transactions(server, "nowhere", looking)
        assert {one.pid for one in found} == keeping
    await looking.close()


def test_a_session_that_cant_be_ended_leaves_no_other_alone(url) -> None:
    """PostgreSQL refuses by mistake while a session is ending."""
    asyncio.run(_end_both(Server.from_url(url)))


async def _end_both(server: Server) -> None:
    await _watched_database(server, "refused")
    looking = await ActivityConnection.open(server, "refused")
    await looking.begin()
    async with await server.connect("refused") as one:
        row = await (await one.execute("SELECT pid FROM pg_stat_activity WHERE usename = 'root'")).fetchone()
        assert row is not None
        # Of a superuser: the launcher of logical replication.
        await looking.end([row[0], one.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            await one.execute("SELECT 1")
        assert looking.can_look_again()
    await looking.close()


_SERIALIZABLE = "BEGIN ISOLATION LEVEL SERIALIZABLE"
_MANY_TABLES = """
DO $$BEGIN
    CREATE TABLE written (n int);
    FOR n IN 1..100 LOOP
        EXECUTE format('CREATE TABLE read%s (n int)', n);
    END LOOP;
END$$
"""
