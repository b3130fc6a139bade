"""Suspended databases: of projects that took what belongs to all. The rest of the project keeps working."""

from __future__ import annotations

import contextlib
import logging
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import sql
from psycopg.rows import DictRow

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.databases import database_name
from mosaic_deploy.platform.services import Platform

LOCKS_PENALTY = timedelta(minutes=1)
# Python has no infinity for times.
_FOR_GOOD = datetime(9999, 1, 1, tzinfo=UTC)

log = logging.getLogger(__name__)


def check_not_suspended(project: DictRow) -> None:
    """Raises Fault (429, or 413 if the database is too large) while the project's database is suspended."""
    until: datetime | None = project["suspended_until"]
    if until is None or until <= datetime.now(UTC):
        return
    if until >= _FOR_GOOD:
        raise Fault(
            413, "database_quota_exceeded", f"the project's database is suspended: {project['suspended_for']}"
        )
    seconds = max(1, round((until - datetime.now(UTC)).total_seconds()))
    message = f"the project's database is suspended for {seconds} more seconds: {project['suspended_for']}"
    raise Fault(429, "database_suspended", message, headers={"Retry-After": str(seconds)})


async def record(platform: Platform, project_id: str, reason: str, period: timedelta | None) -> None:
    """Refuse calls for this period, or until `lift`. The caller also forbids the role to log in."""
    until = _FOR_GOOD if period is None else datetime.now(UTC) + period
    await control_database.fetch(
        platform.pool,
        "UPDATE project SET suspended_until = %(until)s, suspended_for = %(reason)s WHERE id = %(id)s",
        {"id": project_id, "until": until, "reason": reason},
    )


async def suspend(platform: Platform, project_id: str, reason: str, period: timedelta) -> None:
    """`record`, and forbid the role to log in. The caller ends its sessions.

    Makes no new connection, as `databases.allow_login` does: while the lock table is full, none can be made.
    """
    await record(platform, project_id, reason, period)
    async with platform.pool.connection() as connection:
        # An open transaction of the role may hold a lock on it.
        await connection.execute("SET lock_timeout = '2s'")
        try:
            await connection.execute(_login(project_id, allowed=False))
        except psycopg.errors.UndefinedObject:
            # The project was deleted meanwhile.
            return
        finally:
            await connection.execute("RESET lock_timeout")


async def lift(platform: Platform, project_id: str) -> None:
    """The role may log in again, unless its account is suspended: then `account resume` lets it."""
    lifted = (
        "UPDATE project SET suspended_until = NULL, suspended_for = NULL WHERE id = %(id)s AND status = 'running'"
        " RETURNING account_id"
    )
    active = "SELECT 1 FROM account WHERE id = %(account_id)s AND suspended_at IS NULL FOR SHARE"
    with contextlib.suppress(psycopg.errors.UndefinedObject):
        async with platform.pool.connection() as connection, connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = '2s'")
            for row in await control_database.fetch_rows(connection, lifted, {"id": project_id}):
                if await control_database.fetch_rows(connection, active, row):
                    await connection.execute(_login(project_id, allowed=True))


async def lift_expired(platform: Platform) -> None:
    query = "SELECT id FROM project WHERE suspended_until <= now() AND status = 'running'"
    for row in await control_database.fetch(platform.pool, query):
        try:
            await lift(platform, row["id"])
        except psycopg.Error as error:
            # One project doesn't hold up the others.
            log.warning("can't let project %s use its database yet: %s", row["id"], str(error).strip())


def _login(project_id: str, *, allowed: bool) -> sql.Composed:
    statement = sql.SQL("ALTER ROLE {} LOGIN") if allowed else sql.SQL("ALTER ROLE {} NOLOGIN")
    return statement.format(sql.Identifier(database_name(project_id)))
