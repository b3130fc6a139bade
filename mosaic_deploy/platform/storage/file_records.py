"""File records in the control database: which object in the store holds which file's contents.

Every upload stores its bytes under a new key. Replacing a file changes the key in one row, so a reader sees either the
complete old file or the complete new one.
"""

from __future__ import annotations

import secrets
from typing import Any, Literal

from psycopg import sql
from psycopg.rows import DictRow

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.control_database import Connection, Pool

FileTable = Literal["static_file", "stored_file"]


def new_object_key(project_id: str, table: FileTable) -> str:
    return f"{project_id}/{table}/{secrets.token_hex(16)}"


async def list_records(pool: Pool, table: FileTable, project_id: str) -> list[DictRow]:
    """Ordered by the bytes of the filename."""
    query = _query("SELECT * FROM {} WHERE project_id = %(project)s ORDER BY filename", table)
    return await control_database.fetch(pool, query, {"project": project_id})


async def find_records(
    pool: Pool, table: FileTable, project_id: str, filenames: list[str]
) -> dict[str, DictRow]:
    """Records by filename, of the files that exist. None while the project's account is suspended."""
    usable = [name for name in filenames if "\x00" not in name]
    query = _query(
        "SELECT * FROM {} WHERE project_id = %(project)s AND filename = ANY(%(names)s) AND NOT EXISTS (SELECT 1"
        " FROM project JOIN account ON account.id = account_id"
        " WHERE project.id = %(project)s AND suspended_at IS NOT NULL)",
        table,
    )
    rows = await control_database.fetch(pool, query, {"project": project_id, "names": usable})
    return {row["filename"]: row for row in rows}


async def put(connection: Connection, table: FileTable, record: dict[str, Any]) -> None:
    """Insert or replace a record. Its object stops being an orphan, and a replaced object becomes one.

    Raises Fault (503) if the object was swept in the meantime.
    """
    query = _query(
        "WITH arrived AS (DELETE FROM loose_object WHERE object = %(object)s AND state = 'arriving' RETURNING 1),"
        " new AS (INSERT INTO {0} AS present (project_id, filename, size, content_type, etag, object, packed)"
        " SELECT %(project_id)s, %(filename)s, %(size)s, %(content_type)s, %(etag)s, %(object)s, %(packed)s FROM arrived"
        " ON CONFLICT (project_id, filename) DO UPDATE SET size = EXCLUDED.size,"
        " content_type = EXCLUDED.content_type, etag = EXCLUDED.etag, object = EXCLUDED.object, packed = EXCLUDED.packed,"
        " previous = present.object, updated_at = now() RETURNING project_id, previous),"
        " replaced AS (INSERT INTO loose_object (object, project_id, size, state)"
        " SELECT previous, project_id, 0, 'leaving' FROM new WHERE previous IS NOT NULL)"
        " SELECT 1 FROM new",
        table,
    )
    if not await control_database.fetch_rows(connection, query, record):
        raise upload_lost()


async def remove(pool: Pool, table: FileTable, project_id: str, filename: str) -> bool:
    """Delete the record; its object becomes an orphan. False if there is no such file."""
    query = _query(
        "WITH deleted AS (DELETE FROM {} WHERE project_id = %(project)s AND filename = %(name)s"
        " RETURNING project_id, object)"
        " INSERT INTO loose_object (object, project_id, size, state)"
        " SELECT object, project_id, 0, 'leaving' FROM deleted RETURNING object",
        table,
    )
    if "\x00" in filename:
        return False
    return (
        await control_database.fetch_one(pool, query, {"project": project_id, "name": filename}) is not None
    )


async def used_space(connection: Connection, project_id: str, *, excluding: str) -> tuple[int, int]:
    """Bytes of the project's storage files and unfinished uploads, and the number of files, without the file `excluding`.

    One statement, so that an upload that is just finishing is counted exactly once.
    """
    query = (
        "SELECT (coalesce(sum(size), 0) + (SELECT coalesce(sum(size), 0) FROM loose_object"
        " WHERE project_id = %(project)s AND state = 'arriving' AND size > 0))::bigint AS bytes, count(*) AS files"
        " FROM stored_file WHERE project_id = %(project)s AND filename <> %(excluding)s"
    )
    rows = await control_database.fetch_rows(
        connection, query, {"project": project_id, "excluding": excluding}
    )
    return rows[0]["bytes"], rows[0]["files"]


def upload_lost() -> Fault:
    """For an upload whose object was swept as an orphan because it had no heartbeat for too long."""
    return Fault(503, "upload_lost", "the upload stalled for too long and was discarded; send the file again")


def _query(text: str, table: FileTable) -> sql.Composed:
    return sql.SQL(text).format(sql.Identifier(table))
