"""Databases count against a limit: beyond it they become read-only, and far beyond it they are suspended.

PostgreSQL has no such limit. A role can undo the first, which it needs to delete rows; it can't undo the second.
"""

from __future__ import annotations

import contextlib
import logging
from datetime import timedelta

import psycopg
from psycopg import sql
from psycopg.rows import DictRow

from mosaic_deploy.platform.postgres import control_database, databases
from mosaic_deploy.platform.postgres.databases import database_name
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.tenants import suspension

_TOLERANCE = 1.2
"""A database that is this much larger than its limit is suspended: nobody is making room in it."""
_READ_ONLY = "default_transaction_read_only"
# Comments on a database and settings of its role are in tables that all databases share.
_SHARED = """
coalesce((SELECT sum(pg_column_size(description)) FROM pg_shdescription
          WHERE objoid = pg_database.oid AND classoid = 'pg_database'::regclass), 0)::bigint
+ coalesce((SELECT sum(pg_column_size(setconfig)) FROM pg_db_role_setting
            WHERE setrole = pg_database.datdba OR setdatabase = pg_database.oid), 0)::bigint
"""
_SIZES = f"""
SELECT project.id, account.tier, coalesce(project.suspended_until > now() + interval '1 year', false) AS suspended,
       CASE WHEN has_database_privilege(pg_database.oid, 'CONNECT') THEN pg_database_size(pg_database.oid) + {_SHARED} END
         AS size,
       -- A setting can have any size.
       EXISTS (SELECT 1 FROM pg_db_role_setting WHERE setrole = pg_database.datdba
               AND setdatabase = 0 AND CASE WHEN pg_column_size(setconfig) < 100000
                   THEN 'default_transaction_read_only=on' = ANY(setconfig) END) AS read_only,
       (SELECT rolcanlogin FROM pg_roles WHERE oid = pg_database.datdba) AS can_login
FROM project JOIN account ON account.id = account_id
JOIN pg_database ON datname = 'tenant_' || replace(project.id, '-', '_') WHERE project.status = 'running'
"""
_SIZE = f"SELECT pg_database_size(oid) + {_SHARED} AS size FROM pg_database WHERE datname = %(name)s"

log = logging.getLogger(__name__)


async def check_sizes(platform: Platform) -> None:
    """Of all projects; an error with one doesn't concern the others."""
    for row in await control_database.fetch(platform.pool, _SIZES):
        limit = platform.limits.database(row["tier"])
        if limit is None:
            continue
        try:
            await _check_size(platform, row, limit)
        except psycopg.Error as error:
            log.warning("can't limit the database of project %s yet: %s", row["id"], str(error).strip())


async def _check_size(platform: Platform, row: DictRow, limit: int) -> None:
    size = await _measure(platform, row) if row["size"] is None else row["size"]
    if size is None:
        return
    if size > limit * _TOLERANCE:
        # Also if an earlier attempt came only half way.
        if row["can_login"] or not row["suspended"]:
            reason = f"it has {size:,} bytes; its limit is {limit:,}"
            await _shut_out(platform, row["id"], reason, None)
            log.warning("suspended the database of project %s: %s", row["id"], reason)
    elif row["suspended"]:
        await suspension.lift(platform, row["id"])
    if (size > limit) != row["read_only"]:
        await _set_read_only(platform, row["id"], read_only=size > limit)


async def _measure(platform: Platform, row: DictRow) -> int | None:
    """The size of a database whose role took away the right to measure it; None if it is being deleted.

    The role is shut out meanwhile, so it can't do it again. If this process ends before it lets the role in, that ends with
    the suspension.
    """
    if row["can_login"]:
        reason = "its role took away the platform's right to measure it"
        await _shut_out(platform, row["id"], reason, suspension.LOCKS_PENALTY)
        log.warning("suspended the database of project %s: %s", row["id"], reason)
    await databases.restore_access(platform.server, row["id"])
    found = await control_database.fetch_one(platform.pool, _SIZE, {"name": database_name(row["id"])})
    if row["can_login"]:
        await suspension.lift(platform, row["id"])
    return found["size"] if found else None


async def _shut_out(platform: Platform, project_id: str, reason: str, period: timedelta | None) -> None:
    await suspension.record(platform, project_id, reason, period)
    with contextlib.suppress(psycopg.errors.UndefinedObject):
        await databases.allow_login(platform.server, project_id, allowed=False)


async def _set_read_only(platform: Platform, project_id: str, *, read_only: bool) -> None:
    """For new sessions; so the present ones end. They may also hold a lock on the setting."""
    text = "ALTER ROLE {} SET {} = on" if read_only else "ALTER ROLE {} RESET {}"
    statement = sql.SQL(text).format(sql.Identifier(database_name(project_id)), sql.SQL(_READ_ONLY))

    async def alter() -> None:
        async with platform.pool.connection() as connection, connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = '2s'")
            await connection.execute(statement)

    try:
        await databases.retry_without_sessions(platform.server, project_id, alter)
    except psycopg.errors.UndefinedObject:
        return
    if read_only:
        await databases.end_connections(platform.server, project_id)
        log.warning("the database of project %s exceeds its limit and is read-only now", project_id)
