"""A full lock table stops all but the connection that ends those who fill it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from served import postgres_server

from mosaic_deploy.platform.postgres.role_activity import ActivityConnection, Role
from mosaic_deploy.platform.postgres.server import Server

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
        await setup.execute("CREATE DATABASE control")
        await setup.execute("CREATE ROLE tenant_a_b")
    async with await server.connect("control") as filling:
        await filling.execute("CREATE TABLE public.project (id text PRIMARY KEY, account_id bigint)")
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
