"""Databases and roles: the template database, and one database with one role per project."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import LiteralString

import psycopg
from psycopg import sql

from mosaic_deploy.platform.postgres import control_database, removal
from mosaic_deploy.platform.postgres.extensions import add_extensions, give_extensions
from mosaic_deploy.platform.postgres.installation import (
    Installation,
    has_sql_uuid_ossp,
    install_sql_uuid_ossp,
    mark_vector_trusted,
)
from mosaic_deploy.platform.postgres.server import Connection, Server

ROLE_CONNECTION_LIMIT = 40
_ROLE_SETTINGS = {
    "statement_timeout": "15min",
    "idle_in_transaction_session_timeout": "10min",
    "idle_session_timeout": "4h",
    # Cancels statements whose client has disconnected.
    "client_connection_check_interval": "10s",
    "temp_file_limit": "4GB",
    # RAISE LOG could fill the server's log.
    "log_min_messages": "fatal",
}

log = logging.getLogger(__name__)


def database_name(project_id: str) -> str:
    """The name of the project's database and of its role: `pod-16f` -> `tenant_pod_16f`."""
    return "tenant_" + project_id.replace("-", "_")


async def prepare_server(server: Server, installation: Installation | None) -> None:
    """Create the control and template databases if they don't exist.

    May be interrupted and repeated; of several processes one works and the others wait. `installation` is None for
    a server that isn't embedded.
    """
    await _ensure_control_database(server, installation)
    async with (
        await server.connect(control_database.DATABASE) as lock,
        await server.connect(server.maintenance) as connection,
    ):
        await lock.execute("SELECT pg_advisory_lock(%s)", [control_database.PREPARE_LOCK])
        present = await _database_names(connection)
        if installation is not None:
            await _ensure_uuid_ossp(connection, installation)
            mark_vector_trusted(installation)
        if control_database.TEMPLATE not in present:
            await _create_template(server, connection)
        elif installation is None:
            await add_extensions(server, control_database.TEMPLATE)


async def _ensure_control_database(server: Server, installation: Installation | None) -> None:
    """Create the control database, closed to everybody but the platform.

    Locks can't order the processes that do this: an advisory lock belongs to a database, and projects' roles may be able
    to connect to every other one. So each step can be repeated, and at most one of several succeeds.
    """
    async with await server.connect(server.maintenance) as connection:
        if control_database.DATABASE not in await _database_names(connection):
            # On a server of the user's, other programs may use these databases.
            for shared in ("postgres", "template1") if installation else ():
                await revoke_public_access(connection, shared)
        for attempt in range(_RACE_ATTEMPTS):
            found = await connection.execute(_IS_CLOSED_QUERY, [control_database.DATABASE])
            state = await found.fetchone()
            if state == (True,):
                break
            try:
                if state is None:
                    await _create_database(connection, control_database.DATABASE, "template0")
                else:
                    await _allow_connections(connection, control_database.DATABASE)
            except _RACE_ERRORS:
                if attempt == _RACE_ATTEMPTS - 1:
                    raise
            await asyncio.sleep(_RACE_SECONDS)
        if installation is None:
            await _warn_of_open_databases(connection)


_RACE_ATTEMPTS, _RACE_SECONDS = 50, 0.1
_RACE_ERRORS = (
    psycopg.errors.DuplicateDatabase,
    psycopg.errors.UniqueViolation,
    psycopg.errors.ObjectInUse,
    # "tuple concurrently updated"
    psycopg.errors.InternalError_,
)
_PUBLIC_ACCESS = """EXISTS (
  SELECT 1 FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) AS entry
  WHERE entry.grantee = 0 AND entry.privilege_type = 'CONNECT'
)"""
_IS_CLOSED_QUERY = f"SELECT datallowconn AND NOT {_PUBLIC_ACCESS} FROM pg_database WHERE datname = %s"
_OPEN_QUERY = f"SELECT datname FROM pg_database WHERE datallowconn AND {_PUBLIC_ACCESS} ORDER BY datname"


async def _warn_of_open_databases(connection: Connection) -> None:
    names = [str(row[0]) for row in await (await connection.execute(_OPEN_QUERY)).fetchall()]
    if names:
        log.warning(
            "projects' roles may connect to %s; if no other program relies on it, run"
            " REVOKE CONNECT ON DATABASE %s FROM PUBLIC",
            ", ".join(names),
            ", ".join(names),
        )


async def extension_versions(server: Server) -> dict[str, str]:
    async with await server.connect(control_database.TEMPLATE) as connection:
        cursor = await connection.execute(
            "SELECT extname, extversion FROM pg_extension WHERE extname <> 'plpgsql'"
        )
        return dict(await cursor.fetchall())


@asynccontextmanager
async def locked_project(server: Server, project_id: str, *, wait: bool) -> AsyncIterator[bool]:
    """Hold the lock for creating and dropping the project's database, across workers.

    Yields False if another one holds it and `wait` is false. The lock ends with its connection, so it is never stale.
    It is in the control database, where no project's role can take it.
    """
    kind = "pg_advisory_lock" if wait else "pg_try_advisory_lock"
    async with server.project_operations, await server.connect(control_database.DATABASE) as connection:
        query = sql.SQL("SELECT {}(%s, hashtext(%s))").format(sql.Identifier(kind))
        row = await (await connection.execute(query, [control_database.PROJECT_LOCK, project_id])).fetchone()
        # The waiting variant returns void.
        yield wait or bool(row and row[0])


async def create_project_database(server: Server, project_id: str, password: str) -> None:
    """Create a project's role and database. Skips what exists, so it can be repeated after a crash."""
    name = database_name(project_id)
    async with await server.connect(server.maintenance) as connection:
        await _ensure_role(connection, name, password)
        if name not in await _database_names(connection):
            how: LiteralString = "STRATEGY FILE_COPY" if server.copies_files else ""
            await _create_database(connection, name, control_database.TEMPLATE, owner=name, strategy=how)
        else:
            await _allow_connections(connection, name)
    await give_extensions(server, name, name)


async def restore_access(server: Server, project_id: str) -> None:
    """Undo how a role can lock itself out of its database: by closing it, or by having it load a library that is missing.

    Creates nothing. Raises psycopg.Error if an open transaction of the role is in the way for too long.
    """
    name = database_name(project_id)
    role = sql.Identifier(name)
    async with (
        server.repairs,
        await server.connect(server.maintenance, lock_timeout=REPAIR_LOCK_TIMEOUT_MS) as connection,
    ):
        if name not in await _database_names(connection):
            return
        for text in _ACCESS_STATEMENTS:
            await connection.execute(sql.SQL(text).format(role=role))


REPAIR_LOCK_TIMEOUT_MS = 3_000
_ACCESS_STATEMENTS = (
    "ALTER DATABASE {role} WITH CONNECTION LIMIT -1",
    "ALTER DATABASE {role} WITH ALLOW_CONNECTIONS true",
    "GRANT ALL ON DATABASE {role} TO {role}",
    # A session whose library is missing can't begin.
    "ALTER ROLE {role} RESET local_preload_libraries",
    "ALTER ROLE {role} IN DATABASE {role} RESET local_preload_libraries",
    "ALTER DATABASE {role} RESET local_preload_libraries",
)


async def allow_login(server: Server, project_id: str, *, allowed: bool) -> None:
    """If not `allowed`, the role's connections end. Raises UndefinedObject if there is no such role."""
    name = database_name(project_id)
    async with (
        server.repairs,
        await server.connect(server.maintenance, lock_timeout=REPAIR_LOCK_TIMEOUT_MS) as connection,
    ):
        if allowed:
            await connection.execute(sql.SQL("ALTER ROLE {} LOGIN").format(sql.Identifier(name)))
        else:
            await removal.shut_out(connection, name)


async def retry_without_sessions(
    server: Server, project_id: str, change: Callable[[], Awaitable[object]]
) -> None:
    """Await `change()`, a change of the role. While a transaction of the role is in the way, end its sessions and try again.

    Raises psycopg.Error if that doesn't help.
    """
    for _ in range(4):
        with contextlib.suppress(*removal.ROLE_LOCKED):
            await change()
            return
        await end_connections(server, project_id)
    await change()


async def end_connections(server: Server, project_id: str) -> None:
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
    async with await server.connect(server.maintenance) as connection:
        await connection.execute(query, [database_name(project_id)])


async def drop_project_database(server: Server, project_id: str) -> None:
    """Drop a project's database, clones and role, if they exist. Their connections are terminated."""
    await removal.remove_project(server, database_name(project_id))


async def _create_template(server: Server, connection: Connection) -> None:
    """Built under a temporary name, so an interrupted run leaves no incomplete template."""
    temporary = control_database.TEMPLATE + "_new"
    await connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(temporary)))
    await _create_database(connection, temporary, "template0")
    await add_extensions(server, temporary)
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    await connection.execute(
        rename.format(sql.Identifier(temporary), sql.Identifier(control_database.TEMPLATE))
    )


async def _ensure_uuid_ossp(connection: Connection, installation: Installation) -> None:
    if has_sql_uuid_ossp(installation):
        return
    try:
        await connection.execute("LOAD 'uuid-ossp'")
    except psycopg.Error:
        install_sql_uuid_ossp(installation)


async def _ensure_role(connection: Connection, name: str, password: str) -> None:
    role, secret, limit = sql.Identifier(name), sql.Literal(password), sql.Literal(ROLE_CONNECTION_LIMIT)
    cursor = await connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
    if await cursor.fetchone():
        # Only a superuser may set the other attributes, and the role can't have changed them.
        statement = sql.SQL("ALTER ROLE {} CONNECTION LIMIT {} PASSWORD {}")
    else:
        statement = sql.SQL(
            "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT {} PASSWORD {}"
        )
    await connection.execute(statement.format(role, limit, secret))
    await limit_role(connection, role)
    cursor = await connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    row = await cursor.fetchone()
    if row and not row[0]:
        # Only members of a role may create a database owned by it.
        await connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))


async def limit_role(connection: Connection, role: sql.Identifier) -> None:
    """Set the role's defaults. The role itself can override all but the last two."""
    for name, value in _ROLE_SETTINGS.items():
        statement = sql.SQL("ALTER ROLE {} SET {} = {}").format(
            role, sql.Identifier(name), sql.Literal(value)
        )
        try:
            await connection.execute(statement)
        except psycopg.errors.InsufficientPrivilege:
            log.warning("this PostgreSQL server doesn't allow the platform to set %s for projects", name)


async def _create_database(
    connection: Connection, name: str, template: str, owner: str | None = None, strategy: LiteralString = ""
) -> None:
    """Connections are allowed only after PUBLIC's CONNECT privilege has been revoked. `strategy` needs PostgreSQL 15."""
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} ALLOW_CONNECTIONS false " + strategy)
    owner_name = sql.Identifier(owner) if owner else sql.SQL("DEFAULT")
    await connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template), owner_name))
    await _allow_connections(connection, name)


async def _allow_connections(connection: Connection, name: str) -> None:
    await revoke_public_access(connection, name)
    await connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(name)))


async def revoke_public_access(connection: Connection, name: str) -> None:
    await connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))


async def _database_names(connection: Connection) -> set[str]:
    cursor = await connection.execute("SELECT datname FROM pg_database")
    return {row[0] for row in await cursor.fetchall()}
