"""Databases count against a limit: beyond it they become read-only, and far beyond it they are suspended.

PostgreSQL has no such limit. A role can undo the first, which it needs to delete rows; it can't undo the second.
"""

from __future__ import annotations

import logging

import psycopg
from psycopg import sql

from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.databases import database_name
from mosaic_deploy.platform.projects import suspension
from mosaic_deploy.platform.services import Platform

_TOLERANCE = 1.2
"""A database that is this much larger than its limit is suspended: nobody is making room in it."""
_READ_ONLY = "default_transaction_read_only"
_SIZES = """
SELECT project.id, account.tier, coalesce(project.suspended_until > now() + interval '1 year', false) AS suspended,
       CASE WHEN has_database_privilege(pg_database.oid, 'CONNECT') THEN pg_database_size(pg_database.oid) END AS size,
       EXISTS (SELECT 1 FROM pg_db_role_setting WHERE setrole = pg_database.datdba
               AND 'default_transaction_read_only=on' = ANY(setconfig)) AS read_only
FROM project JOIN account ON account.id = account_id
JOIN pg_database ON datname = 'tenant_' || replace(project.id, '-', '_') WHERE project.status = 'running'
"""
_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %(role)s"

log = logging.getLogger(__name__)


async def check_sizes(platform: Platform) -> None:
    for row in await control_database.fetch(platform.pool, _SIZES):
        limit = platform.limits.database(row["tier"])
        if row["size"] is None or limit is None:
            continue
        size: int = row["size"]
        if size > limit * _TOLERANCE and not row["suspended"]:
            reason = f"it has {size:,} bytes; its limit is {limit:,}"
            await suspension.suspend(platform, row["id"], reason, None)
            await _end_sessions(platform, row["id"])
            log.warning("suspended the database of project %s: %s", row["id"], reason)
        elif size <= limit * _TOLERANCE and row["suspended"]:
            await suspension.lift(platform, row["id"])
        if (size > limit) != row["read_only"]:
            await _set_read_only(platform, row["id"], read_only=size > limit)


async def _set_read_only(platform: Platform, project_id: str, *, read_only: bool) -> None:
    """For new sessions; so the present ones end."""
    text = "ALTER ROLE {} SET {} = on" if read_only else "ALTER ROLE {} RESET {}"
    statement = sql.SQL(text).format(sql.Identifier(database_name(project_id)), sql.SQL(_READ_ONLY))
    try:
        await control_database.fetch(platform.pool, statement)
    except psycopg.errors.UndefinedObject:
        return
    if read_only:
        await _end_sessions(platform, project_id)
        log.warning("the database of project %s exceeds its limit and is read-only now", project_id)


async def _end_sessions(platform: Platform, project_id: str) -> None:
    await control_database.fetch(platform.pool, _SESSIONS, {"role": database_name(project_id)})
