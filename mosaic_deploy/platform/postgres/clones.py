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
from mosaic_deploy.platform.postgres.databases import database_name, revoke_public_access
from mosaic_deploy.platform.postgres.server import Connection, Server

# How often those are looked for who hold a database that is to stand still. PostgreSQL waits five seconds for them.
_TERMINATE_INTERVAL_SECONDS = 0.02
_CLONE_SUFFIX = "_draft"
_CLONE_NAME = re.compile(rf"tenant_\w+{_CLONE_SUFFIX}(_next)?")
_RETIRED_NAME = re.compile(rf"tenant_\w+{_CLONE_SUFFIX}_old_[0-9a-f]+")

_TERMINATE_IDLE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = ANY(%s) AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND state = 'idle'
"""
_LIST_CONNECTIONS = """
SELECT coalesce(nullif(application_name, ''), 'a client'), pid, state FROM pg_stat_activity
WHERE datname = %s AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY pid LIMIT 5
"""
_TERMINATE_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY(%s) AND pid <> pg_backend_pid()"
# What ALTER DATABASE ... SET has set isn't cloned by PostgreSQL.
_COPY_SETTINGS = """
INSERT INTO pg_db_role_setting (setdatabase, setrole, setconfig)
SELECT made.oid, kept.setrole, kept.setconfig FROM pg_db_role_setting kept
JOIN pg_database base ON base.oid = kept.setdatabase, pg_database made
WHERE base.datname = %s AND made.datname = %s
"""


def served_clone_name(project_id: str) -> str:
    """The clone that is served; the same name for every draft, so that an app can be told once."""
    return f"{database_name(project_id)}{_CLONE_SUFFIX}"


def next_clone_name(project_id: str) -> str:
    """The clone that is being made."""
    return f"{served_clone_name(project_id)}_next"


async def create_clone(server: Server, project_id: str) -> None:
    """A fresh clone of the project's database, under the name of the next one. Idle connections to the database are
    ended; where one that works doesn't end in time, a Fault with 409 names it."""
    base, clone = database_name(project_id), next_clone_name(project_id)
    async with await server.connect(server.maintenance) as connection:
        await _retire(server, connection, (clone,))
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} ALLOW_CONNECTIONS false").format(
            sql.Identifier(clone), sql.Identifier(base), sql.Identifier(base)
        )
        try:
            # While it waits for the others to end, it lets no new ones in.
            async with _terminating_connections(server, (base,), _TERMINATE_IDLE):
                await connection.execute(statement)
        except psycopg.errors.ObjectInUse as error:
            busy = await (await connection.execute(_LIST_CONNECTIONS, [base])).fetchall()
            named = ", ".join(f"{name} (process {pid}, {state})" for name, pid, state in busy)
            message = (
                f"the database is in use, so it can't be cloned: {named or 'a connection has ended just now'}"
            )
            raise Fault(409, "database_in_use", message) from error
        await connection.execute(_COPY_SETTINGS, [base, clone])
        await revoke_public_access(connection, clone)
        await _allow_connections(connection, clone, allowed=True)


async def promote_clone(server: Server, project_id: str) -> None:
    """The next clone takes the served one's place, at one moment. Who is connected to either is cut off."""
    served, clone = served_clone_name(project_id), next_clone_name(project_id)
    async with await server.connect(server.maintenance) as connection:
        for name in await _existing(connection, (served, clone)):
            await _allow_connections(connection, name, allowed=False)
        async with (
            _terminating_connections(server, (served, clone), _TERMINATE_ALL),
            connection.transaction(),
        ):
            await _rename_to_retired(connection, served)
            await _rename(connection, clone, served)
        await _allow_connections(connection, served, allowed=True)


async def retire_clones(server: Server, project_id: str) -> None:
    """Neither clone is there any more under its name. Nothing happens where there are none."""
    async with await server.connect(server.maintenance) as connection:
        await _retire(server, connection, (served_clone_name(project_id), next_clone_name(project_id)))


async def retire_all_clones(server: Server) -> None:
    """Every clone there is: of drafts that an earlier run of this platform served."""
    async with await server.connect(server.maintenance) as connection:
        names = await (await connection.execute("SELECT datname FROM pg_database")).fetchall()
        await _retire(server, connection, [name for (name,) in names if _CLONE_NAME.fullmatch(name)])


async def drop_retired_clones(server: Server) -> None:
    """Drop what was set aside. PostgreSQL writes a checkpoint for each, which nobody should wait for."""
    async with await server.connect(server.maintenance) as connection:
        names = await (await connection.execute("SELECT datname FROM pg_database")).fetchall()
        for (name,) in names:
            if _RETIRED_NAME.fullmatch(name):
                statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
                await connection.execute(statement.format(sql.Identifier(name)))


async def _retire(server: Server, connection: Connection, names: Sequence[str]) -> None:
    existing = await _existing(connection, names)
    for name in existing:
        await _allow_connections(connection, name, allowed=False)
    async with _terminating_connections(server, existing, _TERMINATE_ALL):
        for name in existing:
            await _rename_to_retired(connection, name)


async def _rename_to_retired(connection: Connection, name: str) -> None:
    """Nobody must be connected. Nothing happens where there is no such database."""
    if await _existing(connection, (name,)):
        own, _, _ = name.partition(_CLONE_SUFFIX)
        await _rename(connection, name, f"{own}{_CLONE_SUFFIX}_old_{secrets.token_hex(4)}")


async def _rename(connection: Connection, name: str, other: str) -> None:
    statement = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    await connection.execute(statement.format(sql.Identifier(name), sql.Identifier(other)))


async def _existing(connection: Connection, names: Sequence[str]) -> list[str]:
    query = "SELECT datname FROM pg_database WHERE datname = ANY(%s)"
    return [name for (name,) in await (await connection.execute(query, [list(names)])).fetchall()]


async def _allow_connections(connection: Connection, name: str, *, allowed: bool) -> None:
    statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    await connection.execute(statement.format(sql.Identifier(name), sql.SQL(str(allowed).lower())))


@asynccontextmanager
async def _terminating_connections(server: Server, names: Sequence[str], query: str) -> AsyncIterator[None]:
    """In the block connections to the databases `names` are ended as they are found by `query`."""
    task = asyncio.create_task(_terminate_repeatedly(server, names, query))
    try:
        yield
    finally:
        await _cancel(task)


async def _terminate_repeatedly(server: Server, names: Sequence[str], query: str) -> None:
    async with await server.connect(server.maintenance) as connection:
        while True:
            await connection.execute(query.encode(), [list(names)])
            await asyncio.sleep(_TERMINATE_INTERVAL_SECONDS)


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, psycopg.Error):
        await task
