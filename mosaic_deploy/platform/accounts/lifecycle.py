"""Suspending, resuming and deleting accounts, and new database passwords: what an operator does when something leaked.

The commands only need the database. Deleting databases and objects is left to the workers.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import psycopg
from psycopg.rows import DictRow

from mosaic_deploy.platform.postgres import control_database, databases, passwords
from mosaic_deploy.platform.postgres.control_database import Pool
from mosaic_deploy.platform.postgres.server import Server


async def suspend(pool: Pool, server: Server, account_id: int) -> dict[str, Any]:
    """Nothing of the account is served any more; its data is kept. Ends its database connections.

    Raises LookupError, as all functions here, if there is no such account.
    """
    query = (
        "UPDATE account SET suspended_at = coalesce(suspended_at, now())"
        " WHERE id = %(id)s AND deleted_at IS NULL RETURNING id, name"
    )
    return await _change_access(pool, server, account_id, query, allowed=False, status="suspended")


async def resume(pool: Pool, server: Server, account_id: int) -> dict[str, Any]:
    query = (
        "UPDATE account SET suspended_at = NULL WHERE id = %(id)s AND deleted_at IS NULL RETURNING id, name"
    )
    return await _change_access(pool, server, account_id, query, allowed=True, status="active")


async def delete(pool: Pool, server: Server, account_id: int) -> dict[str, Any]:
    """Its keys and database connections end now. Workers delete its projects, then the account itself."""
    async with pool.connection() as connection, connection.transaction():
        for query in (_MARK_DELETED, _DELETE_CONTENTS):
            await control_database.fetch_rows(connection, query, {"id": account_id})
    query = "SELECT id, name FROM account WHERE id = %(id)s"
    return await _change_access(pool, server, account_id, query, allowed=False, status="deleting")


# A statement of its own: it waits for projects that are just being created, and the next statement sees them.
_MARK_DELETED = "UPDATE account SET deleted_at = coalesce(deleted_at, now()) WHERE id = %(id)s"
_DELETE_CONTENTS = """
WITH keys AS (DELETE FROM api_key WHERE account_id = %(id)s),
     static AS (DELETE FROM static_file WHERE project_id IN (SELECT id FROM project WHERE account_id = %(id)s)),
     stored AS (DELETE FROM stored_file WHERE project_id IN (SELECT id FROM project WHERE account_id = %(id)s))
UPDATE project SET status = 'deleting' WHERE account_id = %(id)s
"""


async def rotate_password(pool: Pool, server: Server, project_id: str) -> dict[str, Any]:
    """A new password for the project's database role; connections made with the old one end."""
    change = partial(passwords.rotate, pool, server, project_id)
    await databases.retry_without_sessions(server, project_id, change)
    await databases.end_connections(server, project_id)
    return {"project_id": project_id, "status": "password_rotated"}


async def _change_access(
    pool: Pool, server: Server, account_id: int, query: str, *, allowed: bool, status: str
) -> dict[str, Any]:
    """Runs `query`, then allows or forbids logins of the account's database roles.

    A database that is suspended itself, because of what it held, or is being deleted, stays closed.
    """
    account = await control_database.fetch_one(pool, query, {"id": account_id})
    if account is None:
        raise LookupError(account_id)
    projects = await control_database.fetch(pool, _PROJECTS, {"id": account_id})
    await _set_logins(server, [one for one in projects if one["usable"] or not allowed], allowed=allowed)
    if allowed:
        # The watch may have suspended one meanwhile.
        again = await control_database.fetch(pool, _PROJECTS, {"id": account_id})
        await _set_logins(server, [one for one in again if not one["usable"]], allowed=False)
    return {
        "account_id": account_id, "name": account["name"], "status": status, "projects": len(projects),
    }  # fmt: skip


_PROJECTS = """
SELECT id, status <> 'deleting' AND coalesce(suspended_until <= now(), true) AS usable
FROM project WHERE account_id = %(id)s
"""


async def _set_logins(server: Server, projects: Iterable[DictRow], *, allowed: bool) -> None:
    """Of all projects, also if one fails; then raises the last psycopg.Error."""
    failure: psycopg.Error | None = None
    for project in projects:
        try:
            await databases.allow_login(server, project["id"], allowed=allowed)
        except psycopg.errors.UndefinedObject:
            # Still being created, or deleted already.
            continue
        except psycopg.Error as error:
            failure = error
    if failure is not None:
        raise failure
