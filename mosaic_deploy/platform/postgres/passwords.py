"""The passwords of projects' database roles. The platform connects with them, too, so it has to know them."""

from __future__ import annotations

import logging
import secrets

import psycopg
from psycopg import sql

from mosaic_deploy.platform.postgres import control_database, databases
from mosaic_deploy.platform.postgres.control_database import Pool
from mosaic_deploy.platform.postgres.server import Server

log = logging.getLogger(__name__)


def new_password() -> str:
    return secrets.token_hex(16)


async def working_password(pool: Pool, server: Server, project_id: str) -> str:
    """The stored password, or a new one if the role has another by now.

    A project that changed its role's password may have done so because the stored one had leaked. So the platform never
    sets the stored one again. Raises LookupError if the project isn't running any more.
    """
    stored = await _stored(pool, project_id)
    if not await _is_refused(server, project_id, stored):
        return stored
    log.warning("project %s changed the password of its database role; it gets a new one", project_id)
    return await rotate(pool, server, project_id, only_if=stored)


async def rotate(pool: Pool, server: Server, project_id: str, *, only_if: str | None = None) -> str:
    """A new password for the project's role, set and stored. Open connections stay open.

    If the stored one isn't `only_if`, another worker was first, and its password is returned. Raises LookupError if there
    is no such running project, and psycopg.Error.
    """
    async with server.repairs, pool.connection() as connection, connection.transaction():
        query = "SELECT database_password FROM project WHERE id = %(id)s AND status = 'running' FOR UPDATE"
        rows = await control_database.fetch_rows(connection, query, {"id": project_id})
        if not rows:
            raise LookupError(project_id)
        if only_if is not None and rows[0]["database_password"] != only_if:
            return str(rows[0]["database_password"])
        password = new_password()
        query = "UPDATE project SET database_password = %(password)s WHERE id = %(id)s"
        await control_database.fetch_rows(connection, query, {"id": project_id, "password": password})
        # If the commit fails afterwards, the next connection finds that the stored password doesn't work.
        await _set(server, project_id, password)
    return password


async def _set(server: Server, project_id: str, password: str) -> None:
    """Raises psycopg.Error if an open transaction of the role is in the way for too long."""
    role, secret = sql.Identifier(databases.database_name(project_id)), sql.Literal(password)
    timeout = databases.REPAIR_LOCK_TIMEOUT_MS
    async with await server.connect(server.maintenance, lock_timeout=timeout) as connection:
        await connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, secret))


async def _stored(pool: Pool, project_id: str) -> str:
    query = "SELECT database_password FROM project WHERE id = %(id)s"
    row = await control_database.fetch_one(pool, query, {"id": project_id})
    return str(row["database_password"]) if row else ""


async def _is_refused(server: Server, project_id: str, password: str) -> bool:
    """Whether the server refuses `password` because it is wrong, and for no other reason.

    libpq reports no SQLSTATE for it, and messages may be translated. A password that is certainly wrong shows how this
    server says so.
    """
    error = await _connection_error(server, project_id, password)
    if error is None or error.pgconn is None or not error.pgconn.used_password:
        return False
    return str(error) == str(await _connection_error(server, project_id, new_password()))


async def _connection_error(
    server: Server, project_id: str, password: str
) -> psycopg.OperationalError | None:
    conninfo = server.project_conninfo(databases.database_name(project_id), password)
    try:
        connection = await psycopg.AsyncConnection.connect(conninfo)
    except psycopg.OperationalError as error:
        return error
    await connection.close()
    return None
