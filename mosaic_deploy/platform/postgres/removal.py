"""Removes a project's databases and role. Whatever the role has done, this comes to its end.

A role can hold locks, prepare transactions, mark its database as a template, own objects in databases that let everybody
in, and be named in other projects' grants: each stops a plain DROP.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence

import psycopg
from psycopg import sql

from mosaic_deploy.platform.postgres.control_database import Pool, fetch
from mosaic_deploy.platform.postgres.server import Connection, Server

ROLE_LOCKED = (psycopg.errors.LockNotAvailable, psycopg.errors.InternalError_)
"""Errors of changing a role while another transaction does: no lock in time, or "tuple concurrently updated"."""
_ATTEMPTS = 5
_LOCK_TIMEOUT_MS = 2_000
_SET_ASIDE_AT_ONCE = 5
_SET_ASIDE_LOCK_TIMEOUT_MS = 200
_DROPPED_PREFIX = "mosaic_dropped_"

_TERMINATE = """
SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity
WHERE (usename = %(role)s OR datname = ANY(%(databases)s)) AND pid <> pg_backend_pid()
"""
_DEPENDENT_DATABASES = """
SELECT DISTINCT datname FROM pg_shdepend JOIN pg_database ON pg_database.oid = dbid
WHERE refclassid = 'pg_authid'::regclass AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = %s)
"""

log = logging.getLogger(__name__)


async def remove_project(server: Server, name: str) -> None:
    """Drop the role `name`, its database of that name, its clones, and databases of rehearsals, if they exist."""
    async with await server.connect(server.maintenance, lock_timeout=_LOCK_TIMEOUT_MS) as connection:
        kinds = [f"{name}_{kind}" for kind in ("draft", "rehearsal_", "base_", "spare_")]
        found = await connection.execute(
            "SELECT datname FROM pg_database WHERE datname = %s"
            " OR EXISTS (SELECT FROM unnest(%s::text[]) AS prefix WHERE starts_with(datname, prefix))",
            [name, kinds],
        )
        databases = [str(row[0]) for row in await found.fetchall()]
        exists = await _role_exists(connection, name)
        if exists:
            await shut_out(connection, name, databases)
        for database in databases:
            await _drop_database(server, connection, database)
        if exists and not await _drop_role(server, connection, name):
            await _set_aside(connection, name)


async def remove_set_aside_roles(server: Server, pool: Pool) -> None:
    """Try again to drop a few of the roles that could only be set aside.

    Only a few, with a short lock timeout: someone who keeps making them, and locks what is in the way, doesn't hold up
    the repairs of others. Connects only if there are any.
    """
    found = await fetch(
        pool,
        "SELECT rolname FROM pg_roles WHERE starts_with(rolname, %(prefix)s) ORDER BY random() LIMIT %(limit)s",
        {"prefix": _DROPPED_PREFIX, "limit": _SET_ASIDE_AT_ONCE},
    )
    if not found:
        return
    async with (
        server.repairs,
        await server.connect(server.maintenance, lock_timeout=_SET_ASIDE_LOCK_TIMEOUT_MS) as connection,
    ):
        for row in found:
            await _drop_role(server, connection, row["rolname"], _SET_ASIDE_LOCK_TIMEOUT_MS)


async def _role_exists(connection: Connection, name: str) -> bool:
    found = await connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
    return await found.fetchone() is not None


async def shut_out(connection: Connection, role: str, databases: Sequence[str] = ()) -> None:
    """No new session, then no session. An open transaction of the role can hold a lock on the role itself.

    `connection` has a lock timeout. Raises UndefinedObject if there is no such role.
    """
    statement = sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(role))
    parameters = {"role": role, "databases": list(databases)}
    for attempt in range(_ATTEMPTS):
        await connection.execute(_TERMINATE, parameters)
        try:
            await connection.execute(statement)
        except ROLE_LOCKED:
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            break
    await connection.execute(_TERMINATE, parameters)


async def _drop_database(server: Server, connection: Connection, database: str) -> None:
    name = sql.Identifier(database)
    await unmark_template(connection, database)
    found = await connection.execute(
        "SELECT gid, owner FROM pg_prepared_xacts WHERE database = %s", [database]
    )
    if prepared := await found.fetchall():
        await _open_to_platform(connection, name)
        async with await server.connect(database) as inside:
            for gid, owner in prepared:
                await inside.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(owner)))
                await inside.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
    await connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


async def unmark_template(connection: Connection, database: str) -> None:
    """Its owner may have made the database a template, which PostgreSQL doesn't drop.

    One whose DROP was interrupted is none, and PostgreSQL refuses to alter it.
    """
    query = "SELECT 1 FROM pg_database WHERE datname = %s AND datistemplate"
    if await (await connection.execute(query, [database])).fetchone():
        statement = sql.SQL("ALTER DATABASE {} WITH IS_TEMPLATE false")
        await connection.execute(statement.format(sql.Identifier(database)))


async def _open_to_platform(connection: Connection, database: sql.Identifier) -> None:
    """Undo what could keep the platform out of a project's database, which it is about to drop."""
    for text in (
        "ALTER DATABASE {} RESET ALL",
        "ALTER DATABASE {} WITH CONNECTION LIMIT -1",
        "ALTER DATABASE {} WITH ALLOW_CONNECTIONS true",
        "GRANT CONNECT ON DATABASE {} TO CURRENT_USER",
    ):
        await connection.execute(sql.SQL(text).format(database))


async def _drop_role(
    server: Server, connection: Connection, name: str, lock_timeout: int = _LOCK_TIMEOUT_MS
) -> bool:
    """Whether the role could be dropped. What it owns or was granted in other databases goes first."""
    role = sql.Identifier(name)
    found = await connection.execute(_DEPENDENT_DATABASES, [name])
    owned = sql.SQL("DROP OWNED BY {} CASCADE").format(role)
    try:
        # The first one also takes back what the role was granted on databases.
        for database in (server.maintenance, *(str(row[0]) for row in await found.fetchall())):
            async with await server.connect(database, lock_timeout=lock_timeout) as inside:
                await inside.execute(owned)
        await connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(role))
    except psycopg.Error as error:
        log.warning("can't drop the role %s yet: %s", name, " ".join(str(error).split()))
        return False
    return True


async def _set_aside(connection: Connection, name: str) -> None:
    """Free the name. The role can't log in, and `remove_set_aside_roles` tries again."""
    new_name = sql.Identifier(_DROPPED_PREFIX + secrets.token_hex(8))
    await connection.execute(sql.SQL("ALTER ROLE {} RENAME TO {}").format(sql.Identifier(name), new_name))
