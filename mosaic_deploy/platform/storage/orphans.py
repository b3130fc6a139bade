"""Orphans: objects in the store that no file record refers to, either not yet or no longer.

An upload first reserves its key in the table `loose_object` (state `arriving`), with the bytes that it counts against
the quota. The transaction that writes the file record removes the reservation and adds the object it replaced (state
`leaving`). So at any crash, every object has a file record or a row in this table, from which it is swept.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.control_database import Connection, Pool
from mosaic_deploy.platform.storage.object_store import Store

# For readers that read the record just before it changed and still need the object.
DELETE_GRACE_PERIOD = timedelta(seconds=60)
# An upload without a heartbeat for this long is considered dead.
UPLOAD_TIMEOUT = timedelta(seconds=300)
HEARTBEAT_SECONDS = 30.0
_SWEEP_BATCH_SIZE = 200

log = logging.getLogger(__name__)


async def reserve_object(connection: Connection, key: str, project_id: str, size: int) -> None:
    """Reserve `key` and `size` bytes until the record is written, or until `abort_upload`.

    The commit is asynchronous: if a crash of PostgreSQL loses the row, the upload fails and leaves one untracked
    object.
    """
    await control_database.fetch_rows(
        connection,
        "WITH no_wait AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))"
        " INSERT INTO loose_object (object, project_id, size, state)"
        " SELECT %(key)s, %(project)s, %(size)s, 'arriving' FROM no_wait",
        {"key": key, "project": project_id, "size": size},
    )


async def reserve_static_object(pool: Pool, key: str, project_id: str, account_id: int) -> bool:
    """The same for static files, which count against no quota. False if the account has no such project."""
    row = await control_database.fetch_one(
        pool,
        "WITH no_wait AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))"
        " INSERT INTO loose_object (object, project_id, size, state)"
        " SELECT %(key)s, project.id, 0, 'arriving' FROM no_wait, project"
        " WHERE project.id = %(project)s AND account_id = %(account)s AND status <> 'deleting' RETURNING 1",
        {"key": key, "project": project_id, "account": account_id},
    )
    return row is not None


async def send_heartbeat(pool: Pool, key: str) -> bool:
    """Keep the upload's reservation alive; False if the upload has already been considered dead."""
    query = (
        "UPDATE loose_object SET touched_at = now() WHERE object = %(key)s AND state = 'arriving' RETURNING 1"
    )
    return await control_database.fetch_one(pool, query, {"key": key}) is not None


async def abort_upload(pool: Pool, store: Store, key: str) -> None:
    """Delete the object of a failed upload, unless its record was written after all.

    That is unknown if the connection broke during the commit. Changing the state from `arriving` first makes sure that
    the record can't be written any more.
    """
    claimed = await control_database.fetch_one(
        pool,
        "UPDATE loose_object SET state = 'leaving', touched_at = now() WHERE object = %(key)s"
        " AND state = 'arriving' RETURNING object",
        {"key": key},
    )
    if claimed is not None or not await _is_referenced(pool, key):
        await _delete(pool, store, key)


async def _is_referenced(pool: Pool, key: str) -> bool:
    """Whether a file record refers to the object."""
    query = (
        "SELECT 1 FROM static_file WHERE project_id = %(project)s AND object = %(key)s"
        " UNION ALL SELECT 1 FROM stored_file WHERE project_id = %(project)s AND object = %(key)s"
    )
    return (
        await control_database.fetch_one(pool, query, {"project": key.partition("/")[0], "key": key})
        is not None
    )


async def sweep(pool: Pool, store: Store) -> int:
    """Delete orphans whose time is up; returns how many. Several workers may sweep at the same time."""
    claimed = await control_database.fetch(
        pool,
        "UPDATE loose_object SET state = 'leaving', touched_at = now() WHERE object IN ("
        "SELECT object FROM loose_object WHERE touched_at < now() - CASE state WHEN 'leaving' THEN %(grace)s"
        " ELSE %(timeout)s END ORDER BY touched_at LIMIT %(count)s FOR UPDATE SKIP LOCKED) RETURNING object",
        {"grace": DELETE_GRACE_PERIOD, "timeout": UPLOAD_TIMEOUT, "count": _SWEEP_BATCH_SIZE},
    )
    for row in claimed:
        await _delete(pool, store, row["object"])
    return len(claimed)


async def _delete(pool: Pool, store: Store, key: str) -> None:
    await store.delete(key)
    query = "DELETE FROM loose_object WHERE object = %(key)s AND state = 'leaving'"
    await control_database.fetch(pool, query, {"key": key})
