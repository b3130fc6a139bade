"""Suspending, resuming and deleting accounts, and new database passwords: what an operator does when something leaked.

The commands only need the database. Deleting databases and objects is left to the workers.
"""

from __future__ import annotations

from typing import Any

import psycopg

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
    query = (
        "WITH gone AS (UPDATE account SET deleted_at = coalesce(deleted_at, now()) WHERE id = %(id)s RETURNING id, name),"
        " keys AS (DELETE FROM api_key WHERE account_id = %(id)s),"
        " static AS (DELETE FROM static_file WHERE project_id IN (SELECT id FROM project WHERE account_id = %(id)s)),"
        " stored AS (DELETE FROM stored_file WHERE project_id IN (SELECT id FROM project WHERE account_id = %(id)s)),"
        " projects AS (UPDATE project SET status = 'deleting' WHERE account_id = %(id)s)"
        " SELECT id, name FROM gone"
    )
    return await _change_access(pool, server, account_id, query, allowed=False, status="deleting")


async def rotate_password(pool: Pool, server: Server, project_id: str) -> dict[str, Any]:
    """A new password for the project's database role; connections made with the old one end."""
    await passwords.rotate(pool, server, project_id)
    await databases.end_connections(server, project_id)
    return {"project_id": project_id, "status": "password_rotated"}


async def _change_access(
    pool: Pool, server: Server, account_id: int, query: str, *, allowed: bool, status: str
) -> dict[str, Any]:
    """Runs `query`, then allows or forbids logins of the account's database roles."""
    account = await control_database.fetch_one(pool, query, {"id": account_id})
    if account is None:
        raise LookupError(account_id)
    query = "SELECT id FROM project WHERE account_id = %(id)s"
    projects = [row["id"] for row in await control_database.fetch(pool, query, {"id": account_id})]
    for project_id in projects:
        try:
            await databases.allow_login(server, project_id, allowed=allowed)
        except psycopg.errors.UndefinedObject:
            # Still being created, or deleted already.
            continue
    return {
        "account_id": account_id, "name": account["name"], "status": status, "projects": len(projects),
    }  # fmt: skip
