"""Objects in the store that no record refers to: not yet, or not any more.

Before bytes are written their key is announced here, with what they will count against the quota. The transaction
that writes the record takes the key away again. A replaced object's key comes back here in that transaction. So
whatever process dies at whatever moment, every object is referred to by a record or known here, and is swept away.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.control_database import Connection, Pool
from mosaic_deploy.platform.storage.object_store import Store

# A reader may have read the record just before it changed; it still finds the bytes.
DELETE_GRACE_PERIOD = timedelta(seconds=60)
# An upload says that it lives every TOUCH_SECONDS; after this long in silence its process is dead.
UPLOAD_TIMEOUT = timedelta(seconds=300)
HEARTBEAT_SECONDS = 30.0
_SWEEP_BATCH_SIZE = 200

log = logging.getLogger(__name__)


async def reserve_object(connection: Connection, key: str, project_id: str, size: int) -> None:
    """`size` bytes are reserved until the record is written, or until `abort_upload`.

    The commit isn't waited for: a row lost with a crash of PostgreSQL makes the upload fail, and costs no more than
    an orphan.
    """
    await control_database.rows(
        connection,
        "WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))"
        " INSERT INTO loose_object (object, project_id, size, state)"
        " SELECT %(key)s, %(project)s, %(size)s, 'arriving' FROM quick",
        {"key": key, "project": project_id, "size": size},
    )


async def reserve_static_object(pool: Pool, key: str, project_id: str, account_id: int) -> bool:
    """The same for what counts against no quota, and in one go with finding the project: False where the account
    has none such."""
    row = await control_database.fetch_one(
        pool,
        "WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))"
        " INSERT INTO loose_object (object, project_id, size, state)"
        " SELECT %(key)s, project.id, 0, 'arriving' FROM quick, project"
        " WHERE project.id = %(project)s AND account_id = %(account)s AND status <> 'deleting' RETURNING 1",
        {"key": key, "project": project_id, "account": account_id},
    )
    return row is not None


async def send_heartbeat(pool: Pool, key: str) -> bool:
    """Say that the upload lives; False where it was taken for dead."""
    query = (
        "UPDATE loose_object SET touched_at = now() WHERE object = %(key)s AND state = 'arriving' RETURNING 1"
    )
    return await control_database.fetch_one(pool, query, {"key": key}) is not None


async def abort_upload(pool: Pool, store: Store, key: str) -> None:
    """After a failed upload: nothing is left under its key, unless the record was written after all, which a lost
    answer to its commit leaves open. Taking the key out of `arriving` first settles it: then it can't be any more."""
    claimed = await control_database.fetch_one(
        pool,
        "UPDATE loose_object SET state = 'leaving', touched_at = now() WHERE object = %(key)s"
        " AND state = 'arriving' RETURNING object",
        {"key": key},
    )
    if claimed is not None or not await _is_referenced(pool, key):
        await _delete(pool, store, key)


async def _is_referenced(pool: Pool, key: str) -> bool:
    """Whether a record refers to the object."""
    query = (
        "SELECT 1 FROM static_file WHERE project_id = %(project)s AND object = %(key)s"
        " UNION ALL SELECT 1 FROM stored_file WHERE project_id = %(project)s AND object = %(key)s"
    )
    return (
        await control_database.fetch_one(pool, query, {"project": key.partition("/")[0], "key": key})
        is not None
    )


async def sweep(pool: Pool, store: Store) -> int:
    """Delete what is due; returns how many. Several workers may sweep at once: each takes others' leavings."""
    claimed = await control_database.fetch(
        pool,
        "UPDATE loose_object SET state = 'leaving', touched_at = now() WHERE object IN ("
        "SELECT object FROM loose_object WHERE touched_at < now() - CASE state WHEN 'leaving' THEN %(grace)s"
        " ELSE %(silence)s END ORDER BY touched_at LIMIT %(count)s FOR UPDATE SKIP LOCKED) RETURNING object",
        {"grace": DELETE_GRACE_PERIOD, "silence": UPLOAD_TIMEOUT, "count": _SWEEP_BATCH_SIZE},
    )
    for row in claimed:
        await _delete(pool, store, row["object"])
    return len(claimed)


async def _delete(pool: Pool, store: Store, key: str) -> None:
    await store.delete(key)
    query = "DELETE FROM loose_object WHERE object = %(key)s AND state = 'leaving'"
    await control_database.fetch(pool, query, {"key": key})
