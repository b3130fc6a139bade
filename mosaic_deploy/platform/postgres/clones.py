"""Clones of a project's database, for drafts of migrations.

A clone is created under the `_draft_next` name and promoted to `_draft`, the served one, when it is ready. Replaced
clones are retired (renamed) first and dropped later. The project's own database is only ever read, so a crash at any
point leaves it unchanged.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import sql

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.postgres.control_database import Pool, fetch
from mosaic_deploy.platform.postgres.databases import database_name, revoke_public_access
from mosaic_deploy.platform.postgres.removal import unmark_template
from mosaic_deploy.platform.postgres.server import Connection, Server

# PostgreSQL waits five seconds for a database's connections to end before it refuses to clone it.
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
# CREATE DATABASE ... TEMPLATE doesn't copy the settings of ALTER DATABASE ... SET.
_COPY_SETTINGS = """
INSERT INTO pg_db_role_setting (setdatabase, setrole, setconfig)
SELECT clone.oid, setting.setrole, setting.setconfig FROM pg_db_role_setting setting
JOIN pg_database base ON base.oid = setting.setdatabase, pg_database clone
WHERE base.datname = %s AND clone.datname = %s
"""

log = logging.getLogger(__name__)


def served_clone_name(project_id: str) -> str:
    """The clone that apps use. Every draft has the same name, so apps need to be configured only once."""
    return f"{database_name(project_id)}{_CLONE_SUFFIX}"


def next_clone_name(project_id: str) -> str:
    """The clone that is being prepared."""
    return f"{served_clone_name(project_id)}_next"


async def create_clone(server: Server, project_id: str) -> None:
    """Create the next clone of the project's database. Raises Fault (409) as `copy_database`."""
    base, clone = database_name(project_id), next_clone_name(project_id)
    async with await server.connect(server.maintenance) as connection:
        await _retire(server, connection, (clone,))
        await copy_database(server, connection, base, clone, owner=base)


async def copy_database(
    server: Server, connection: Connection, source: str, copy: str, *, owner: str
) -> None:
    """Create `copy` with the settings of `source`. Idle connections to `source` are terminated.

    Raises Fault (409) with the names of connections that stay active for too long.
    """
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} ALLOW_CONNECTIONS false").format(
        sql.Identifier(copy), sql.Identifier(source), sql.Identifier(owner)
    )
    try:
        # While it waits, PostgreSQL lets no new connections in.
        async with _terminating_connections(server, (source,), _TERMINATE_IDLE):
            await connection.execute(statement)
    except psycopg.errors.ObjectInUse as error:
        busy = await (await connection.execute(_LIST_CONNECTIONS, [source])).fetchall()
        users = ", ".join(f"{name} (process {pid}, {state})" for name, pid, state in busy)
        message = f"the database is in use and can't be copied: {users or 'a connection that just ended'}"
        raise Fault(409, "database_in_use", message) from error
    await _open_copy(connection, source, copy)


async def use_copy(connection: Connection, source: str, made: str, copy: str, *, owner: str) -> None:
    """As `copy_database`, from `made`: a copy of `source` without its settings, which nobody may connect to."""
    async with connection.transaction():
        await _rename(connection, made, copy)
        statement = sql.SQL("ALTER DATABASE {} OWNER TO {}")
        await connection.execute(statement.format(sql.Identifier(copy), sql.Identifier(owner)))
    await _open_copy(connection, source, copy)


async def _open_copy(connection: Connection, source: str, copy: str) -> None:
    await connection.execute(_COPY_SETTINGS, [source, copy])
    await revoke_public_access(connection, copy)
    await _allow_connections(connection, copy, allowed=True)


async def promote_clone(server: Server, project_id: str) -> None:
    """Replace the served clone by the next one, atomically. Connections to both are terminated."""
    served, clone = served_clone_name(project_id), next_clone_name(project_id)
    async with await server.connect(server.maintenance) as connection:
        for name in await existing_databases(connection, (served, clone)):
            await _allow_connections(connection, name, allowed=False)
        async with (
            _terminating_connections(server, (served, clone), _TERMINATE_ALL),
            connection.transaction(),
        ):
            await _rename_to_retired(connection, served)
            await _rename(connection, clone, served)
        await _allow_connections(connection, served, allowed=True)


async def retire_clones(server: Server, project_id: str) -> None:
    """Retire both clones of the project, if they exist."""
    async with await server.connect(server.maintenance) as connection:
        await _retire(server, connection, (served_clone_name(project_id), next_clone_name(project_id)))


async def retire_all_clones(server: Server) -> None:
    """Retire the clones that an earlier run of this platform left behind."""
    async with await server.connect(server.maintenance) as connection:
        names = await (await connection.execute("SELECT datname FROM pg_database")).fetchall()
        await _retire(server, connection, [name for (name,) in names if _CLONE_NAME.fullmatch(name)])


async def drop_retired_clones(server: Server, pool: Pool) -> None:
    """Drop retired clones. Done in the background, because each drop makes PostgreSQL write a checkpoint."""
    await drop_copies(server, [name for name in await database_names(pool) if _RETIRED_NAME.fullmatch(name)])


async def database_names(pool: Pool) -> list[str]:
    """All databases of the server. The pool is asked every few seconds; a new connection would cost much more."""
    return [row["datname"] for row in await fetch(pool, "SELECT datname FROM pg_database")]


async def drop_copies(server: Server, names: Sequence[str]) -> None:
    """Drop databases that a project's role owns, as `drop_copy`. Connects only if there are any."""
    if names:
        async with await server.connect(server.maintenance, lock_timeout=_DROP_LOCK_TIMEOUT_MS) as connection:
            for name in names:
                await drop_copy(connection, name)


_DROP_LOCK_TIMEOUT_MS = 5_000


async def drop_copy(connection: Connection, name: str) -> None:
    """Drop a database that a project's role owns. If its connections or its locks prevent that, the next call has to.

    `connection` has a lock timeout.
    """
    try:
        await unmark_template(connection, name)
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        await connection.execute(statement.format(sql.Identifier(name)))
    except _NOT_DROPPED as error:
        log.info("can't drop the database %s yet: %s", name, " ".join(str(error).split()))


_NOT_DROPPED = (
    psycopg.errors.ObjectInUse,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.InvalidCatalogName,
    psycopg.errors.InternalError_,
)
"""The last two: it was dropped meanwhile, and "tuple concurrently updated"."""


async def close_and_rename(server: Server, connection: Connection, name: str, new_name: str) -> None:
    """Terminate the database's connections, allow no new ones, and rename it. Does nothing if it doesn't exist."""
    if await existing_databases(connection, (name,)):
        await _allow_connections(connection, name, allowed=False)
        async with _terminating_connections(server, (name,), _TERMINATE_ALL):
            await _rename(connection, name, new_name)


async def _retire(server: Server, connection: Connection, names: Sequence[str]) -> None:
    existing = await existing_databases(connection, names)
    for name in existing:
        await _allow_connections(connection, name, allowed=False)
    async with _terminating_connections(server, existing, _TERMINATE_ALL):
        for name in existing:
            await _rename_to_retired(connection, name)


async def _rename_to_retired(connection: Connection, name: str) -> None:
    """Does nothing if the database doesn't exist. It must have no connections."""
    if await existing_databases(connection, (name,)):
        base, _, _ = name.partition(_CLONE_SUFFIX)
        await _rename(connection, name, f"{base}{_CLONE_SUFFIX}_old_{secrets.token_hex(4)}")


async def _rename(connection: Connection, name: str, new_name: str) -> None:
    statement = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    await connection.execute(statement.format(sql.Identifier(name), sql.Identifier(new_name)))


async def existing_databases(connection: Connection, names: Sequence[str]) -> list[str]:
    """Those of `names` that exist."""
    query = "SELECT datname FROM pg_database WHERE datname = ANY(%s)"
    return [name for (name,) in await (await connection.execute(query, [list(names)])).fetchall()]


async def _allow_connections(connection: Connection, name: str, *, allowed: bool) -> None:
    statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    await connection.execute(statement.format(sql.Identifier(name), sql.SQL(str(allowed).lower())))


@asynccontextmanager
async def _terminating_connections(server: Server, names: Sequence[str], query: str) -> AsyncIterator[None]:
    """Run `query`, which terminates connections to the databases `names`, repeatedly until the block ends."""
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
