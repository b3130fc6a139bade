"""Clones of a project's database, for drafts of migrations: made, put in each other's place, set aside, dropped.

The project's own database is read by these steps and never renamed, closed or dropped, so whatever dies whenever,
it is as it was. A clone is made under a name of its own and takes the served one's place when it is whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import sql

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.postgres.databases import close_to_public, database_name
from mosaic_deploy.platform.postgres.server import Connection, Server

# How often those are looked for who hold a database that is to stand still. PostgreSQL waits five seconds for them.
_LOOK_SECONDS = 0.02
_MARK = "_draft"
_CLONE = re.compile(rf"tenant_\w+{_MARK}(_next)?")
_ASIDE = re.compile(rf"tenant_\w+{_MARK}_old_[0-9a-f]+")

_IDLE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = ANY(%s) AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND state = 'idle'
"""
_BUSY = """
SELECT coalesce(nullif(application_name, ''), 'a client'), pid, state FROM pg_stat_activity
WHERE datname = %s AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY pid LIMIT 5
"""
_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY(%s) AND pid <> pg_backend_pid()"
# What ALTER DATABASE ... SET has set isn't cloned by PostgreSQL.
_SETTINGS = """
INSERT INTO pg_db_role_setting (setdatabase, setrole, setconfig)
SELECT made.oid, kept.setrole, kept.setconfig FROM pg_db_role_setting kept
JOIN pg_database base ON base.oid = kept.setdatabase, pg_database made
WHERE base.datname = %s AND made.datname = %s
"""


def served_name(project_id: str) -> str:
    """The clone that is served; the same name for every draft, so that an app can be told once."""
    return f"{database_name(project_id)}{_MARK}"


def next_name(project_id: str) -> str:
    """The clone that is being made."""
    return f"{served_name(project_id)}_next"


async def make(server: Server, project_id: str) -> None:
    """A fresh clone of the project's database, under the name of the next one. Idle connections to the database are
    ended; where one that works doesn't end in time, a Fault with 409 names it."""
    base, made = database_name(project_id), next_name(project_id)
    async with await server.connect(server.maintenance) as connection:
        await _put_away(server, connection, (made,))
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} ALLOW_CONNECTIONS false").format(
            sql.Identifier(made), sql.Identifier(base), sql.Identifier(base)
        )
        try:
            # While it waits for the others to end, it lets no new ones in.
            async with _ending(server, (base,), _IDLE):
                await connection.execute(statement)
        except psycopg.errors.ObjectInUse as error:
            busy = await (await connection.execute(_BUSY, [base])).fetchall()
            named = ", ".join(f"{name} (process {pid}, {state})" for name, pid, state in busy)
            message = (
                f"the database is in use, so it can't be cloned: {named or 'a connection has ended just now'}"
            )
            raise Fault(409, "database_in_use", message) from error
        await connection.execute(_SETTINGS, [base, made])
        await close_to_public(connection, made)
        await _let_in(connection, made, allowed=True)


async def put_in_place(server: Server, project_id: str) -> None:
    """The next clone takes the served one's place, at one moment. Who is connected to either is cut off."""
    served, made = served_name(project_id), next_name(project_id)
    async with await server.connect(server.maintenance) as connection:
        for name in await _present(connection, (served, made)):
            await _let_in(connection, name, allowed=False)
        async with _ending(server, (served, made), _ALL), connection.transaction():
            await _set_aside(connection, served)
            await _rename(connection, made, served)
        await _let_in(connection, served, allowed=True)


async def put_away(server: Server, project_id: str) -> None:
    """Neither clone is there any more under its name. Nothing happens where there are none."""
    async with await server.connect(server.maintenance) as connection:
        await _put_away(server, connection, (served_name(project_id), next_name(project_id)))


async def put_left_away(server: Server) -> None:
    """Every clone there is: of drafts that an earlier run of this platform served."""
    async with await server.connect(server.maintenance) as connection:
        names = await (await connection.execute("SELECT datname FROM pg_database")).fetchall()
        await _put_away(server, connection, [name for (name,) in names if _CLONE.fullmatch(name)])


async def drop_aside(server: Server) -> None:
    """Drop what was set aside. PostgreSQL writes a checkpoint for each, which nobody should wait for."""
    async with await server.connect(server.maintenance) as connection:
        names = await (await connection.execute("SELECT datname FROM pg_database")).fetchall()
        for (name,) in names:
            if _ASIDE.fullmatch(name):
                statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
                await connection.execute(statement.format(sql.Identifier(name)))


async def _put_away(server: Server, connection: Connection, names: Sequence[str]) -> None:
    present = await _present(connection, names)
    for name in present:
        await _let_in(connection, name, allowed=False)
    async with _ending(server, present, _ALL):
        for name in present:
            await _set_aside(connection, name)


async def _set_aside(connection: Connection, name: str) -> None:
    """Nobody must be connected. Nothing happens where there is no such database."""
    if await _present(connection, (name,)):
        own, _, _ = name.partition(_MARK)
        await _rename(connection, name, f"{own}{_MARK}_old_{secrets.token_hex(4)}")


async def _rename(connection: Connection, name: str, other: str) -> None:
    statement = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    await connection.execute(statement.format(sql.Identifier(name), sql.Identifier(other)))


async def _present(connection: Connection, names: Sequence[str]) -> list[str]:
    query = "SELECT datname FROM pg_database WHERE datname = ANY(%s)"
    return [name for (name,) in await (await connection.execute(query, [list(names)])).fetchall()]


async def _let_in(connection: Connection, name: str, *, allowed: bool) -> None:
    statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    await connection.execute(statement.format(sql.Identifier(name), sql.SQL(str(allowed).lower())))


@asynccontextmanager
async def _ending(server: Server, names: Sequence[str], whom: str) -> AsyncIterator[None]:
    """In the block connections to the databases `names` are ended as they are found by `whom`."""
    task = asyncio.create_task(_end_again_and_again(server, names, whom))
    try:
        yield
    finally:
        await _cancelled(task)


async def _end_again_and_again(server: Server, names: Sequence[str], whom: str) -> None:
    async with await server.connect(server.maintenance) as connection:
        while True:
            await connection.execute(whom.encode(), [list(names)])
            await asyncio.sleep(_LOOK_SECONDS)


async def _cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, psycopg.Error):
        await task
