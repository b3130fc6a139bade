"""Making and dropping projects' databases, also those that another worker left half done.

The project's row says what is to be: `provisioning` rows get a database, `deleting` rows lose theirs and then
themselves. Whoever finds such a row may finish it, under the project's lock; every step may be taken twice.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import psycopg
from psycopg.rows import DictRow

from mosaic_deploy.platform.postgres import control_database, databases
from mosaic_deploy.platform.services import Platform

_ATTEMPTS = 3
# Younger ones are in the hands of the worker that was asked for them.
_MIN_AGE = timedelta(seconds=5)

log = logging.getLogger(__name__)


def provision_in_background(platform: Platform, project_id: str) -> None:
    """In the background: the answer to the request doesn't wait for it."""
    task = asyncio.create_task(_provision(platform, project_id))
    platform.tasks.add(task)
    task.add_done_callback(platform.tasks.discard)


async def delete(platform: Platform, project_id: str) -> None:
    """Database, bytes and, last of all, the row: as long as it stands, somebody will finish this."""
    await control_database.fetch(
        platform.pool,
        "WITH static AS (DELETE FROM static_file WHERE project_id = %(id)s),"
        " stored AS (DELETE FROM stored_file WHERE project_id = %(id)s)"
        " UPDATE project SET status = 'deleting' WHERE id = %(id)s",
        {"id": project_id},
    )
    await platform.sessions.close_project(project_id)
    async with databases.locked_project(platform.server, project_id, wait=True):
        await _delete_all(platform, project_id)


async def resume_unfinished(platform: Platform, *, older_than: timedelta = _MIN_AGE) -> None:
    """Finish what a worker that is gone has begun."""
    unfinished = await control_database.fetch(
        platform.pool,
        "SELECT id FROM project WHERE status <> 'running' AND created_at <= now() - %(age)s ORDER BY created_at LIMIT 20",
        {"age": older_than},
    )
    for row in unfinished:
        try:
            async with databases.locked_project(platform.server, row["id"], wait=False) as acquired:
                if acquired:
                    await _finish_project(platform, row["id"])
        except psycopg.Error as error:
            log.warning("%s can't be finished yet: %s", row["id"], str(error).strip())


async def _provision(platform: Platform, project_id: str) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            async with databases.locked_project(platform.server, project_id, wait=True):
                await _finish_project(platform, project_id)
        except psycopg.Error:
            log.exception("provisioning %s failed, attempt %d", project_id, attempt)
            await asyncio.sleep(attempt)
        else:
            return


async def _finish_project(platform: Platform, project_id: str) -> None:
    """What the row says is still to be done. The caller holds the project's lock."""
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
    await databases.drop_project_database(platform.server, project_id)
    await platform.store.delete_prefix(f"{project_id}/")
    await control_database.fetch(platform.pool, "DELETE FROM project WHERE id = %(id)s", {"id": project_id})


async def _fetch_status(platform: Platform, project_id: str) -> DictRow | None:
    query = "SELECT status, database_password FROM project WHERE id = %(id)s"
    return await control_database.fetch_one(platform.pool, query, {"id": project_id})
