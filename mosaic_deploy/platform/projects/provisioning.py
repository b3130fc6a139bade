"""Creates and drops project databases, and finishes what a crashed worker left unfinished.

A project's status is the to-do list: `provisioning` projects get a database; `deleting` projects lose theirs, then
their row. Any worker may finish them while it holds the project's lock, because every step can be repeated.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import psycopg
from obstore.exceptions import BaseError
from psycopg.rows import DictRow

from mosaic_deploy.platform.postgres import control_database, databases, removal
from mosaic_deploy.platform.services import Platform

_ATTEMPTS = 3
_DELETE_WAIT_SECONDS = 5.0
# The worker that received the request is probably still working on younger projects.
_MIN_AGE = timedelta(seconds=5)
# Of PostgreSQL or of the object store. Any worker tries again later.
_FAILURES = (psycopg.Error, BaseError, OSError)

log = logging.getLogger(__name__)


def provision_in_background(platform: Platform, project_id: str) -> None:
    task = asyncio.create_task(_provision(platform, project_id))
    platform.tasks.add(task)
    task.add_done_callback(platform.tasks.discard)


async def delete(platform: Platform, project_id: str) -> None:
    """Delete a project's database and files, and at last its row: until then, any worker can finish the deletion.

    The project is gone for its users when this returns. PostgreSQL drops a database only after a checkpoint, which may
    take minutes on a busy server, so the rest may take longer.
    """
    await control_database.fetch(
        platform.pool,
        "WITH static AS (DELETE FROM static_file WHERE project_id = %(id)s),"
        " stored AS (DELETE FROM stored_file WHERE project_id = %(id)s)"
        " UPDATE project SET status = 'deleting' WHERE id = %(id)s",
        {"id": project_id},
    )
    await platform.sessions.close_project(project_id)
    try:
        await databases.allow_login(platform.server, project_id, allowed=False)
    except psycopg.errors.UndefinedObject:
        # Still being created.
        pass
    except psycopg.Error as error:
        # Removing the role tries it again.
        log.warning("can't end the sessions of project %s yet: %s", project_id, str(error).strip())
    task = asyncio.create_task(_finish_deletion(platform, project_id))
    platform.tasks.add(task)
    task.add_done_callback(platform.tasks.discard)
    await asyncio.wait({task}, timeout=_DELETE_WAIT_SECONDS)


async def _finish_deletion(platform: Platform, project_id: str) -> None:
    try:
        async with _turn(platform), databases.locked_project(platform.server, project_id, wait=True):
            await _delete_all(platform, project_id)
    except _FAILURES as error:
        log.warning("can't finish the deletion of project %s yet: %s", project_id, str(error).strip())


async def resume_unfinished(platform: Platform, *, older_than: timedelta = _MIN_AGE) -> None:
    """Finish the provisioning and deletion of projects that another worker left unfinished."""
    unfinished = await control_database.fetch(
        platform.pool,
        "SELECT id FROM project WHERE status <> 'running' AND created_at <= now() - %(age)s"
        " ORDER BY status = 'deleting', created_at LIMIT 20",
        {"age": older_than},
    )
    await removal.remove_set_aside_roles(platform.server, platform.pool)
    for row in unfinished:
        try:
            async with databases.locked_project(platform.server, row["id"], wait=False) as acquired:
                if acquired:
                    await _finish_project(platform, row["id"])
        except _FAILURES as error:
            log.warning("can't finish project %s yet: %s", row["id"], str(error).strip())
    await control_database.fetch(
        platform.pool,
        "DELETE FROM account WHERE deleted_at IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM project WHERE account_id = account.id)",
    )


def _turn(platform: Platform) -> asyncio.Semaphore:
    """Of an account's projects one is created or deleted at a time, so other accounts' don't queue behind them."""
    return platform.turns.setdefault(platform.account_id, asyncio.Semaphore(1))


async def _provision(platform: Platform, project_id: str) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            async with _turn(platform), databases.locked_project(platform.server, project_id, wait=True):
                await _finish_project(platform, project_id)
        except _FAILURES:
            log.exception("attempt %d to provision project %s failed", attempt, project_id)
            await asyncio.sleep(attempt)
        else:
            return


async def provision_now(platform: Platform, project_id: str) -> None:
    """Create the project's database, or wait until another one has. Does nothing if the project is running."""
    async with databases.locked_project(platform.server, project_id, wait=True):
        await _finish_project(platform, project_id)


async def _finish_project(platform: Platform, project_id: str) -> None:
    """Do what the project's status asks for. The caller holds the project's lock."""
    row = await _fetch_status(platform, project_id)
    if row is None or row["status"] == "running":
        return
    if row["status"] == "deleting":
        await _delete_all(platform, project_id)
        return
    await databases.create_project_database(platform.server, project_id, row["database_password"])
    query = "UPDATE project SET status = 'running' WHERE id = %(id)s AND status = 'provisioning'"
    await control_database.fetch(platform.pool, query, {"id": project_id})
    log.info("project %s is running", project_id)


async def _delete_all(platform: Platform, project_id: str) -> None:
    if not await platform.may_delete_objects():
        # A later call finishes the deletion.
        return
    await databases.drop_project_database(platform.server, project_id)
    # That may take minutes, in which another installation may have taken the store over.
    if not await platform.may_delete_objects():
        return
    await platform.store.delete_prefix(f"{project_id}/")
    await control_database.fetch(platform.pool, "DELETE FROM project WHERE id = %(id)s", {"id": project_id})


async def _fetch_status(platform: Platform, project_id: str) -> DictRow | None:
    query = "SELECT status, database_password FROM project WHERE id = %(id)s"
    return await control_database.fetch_one(platform.pool, query, {"id": project_id})
