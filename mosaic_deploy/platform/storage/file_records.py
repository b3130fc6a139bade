"""Records of files in the control database: which object in the store holds which file's bytes.

A file's bytes lie under a key of their own, made anew at every upload. Replacing a file swings one row from
the old key to the new, so a reader sees the old file or the new one, whole.
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
    """Ordered by filename, byte by byte."""
    query = _query("SELECT * FROM {} WHERE project_id = %(project)s ORDER BY filename", table)
    return await control_database.fetch(pool, query, {"project": project_id})


async def find_records(
    pool: Pool, table: FileTable, project_id: str, filenames: list[str]
) -> dict[str, DictRow]:
    """Those of the filenames that exist."""
    usable = [name for name in filenames if "\x00" not in name]
    query = _query("SELECT * FROM {} WHERE project_id = %(project)s AND filename = ANY(%(names)s)", table)
    rows = await control_database.fetch(pool, query, {"project": project_id, "names": usable})
    return {row["filename"]: row for row in rows}


async def put(connection: Connection, table: FileTable, record: dict[str, Any]) -> None:
    """Insert or replace, with an object that was announced to `loose`; the object replaced is given to `loose`.

    Raises Fault where the announced object was swept away meanwhile.
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
    if not await control_database.rows(connection, query, record):
        raise Fault(503, "upload_lost", "the upload stood still for too long; send it again")


async def remove(pool: Pool, table: FileTable, project_id: str, filename: str) -> bool:
    """Delete the record and give its object to `loose`; False where there was no such file."""
    query = _query(
        "WITH gone AS (DELETE FROM {} WHERE project_id = %(project)s AND filename = %(name)s"
        " RETURNING project_id, object)"
        " INSERT INTO loose_object (object, project_id, size, state)"
        " SELECT object, project_id, 0, 'leaving' FROM gone RETURNING object",
        table,
    )
    if "\x00" in filename:
        return False
    return (
        await control_database.fetch_one(pool, query, {"project": project_id, "name": filename}) is not None
    )


async def used_bytes(connection: Connection, project_id: str, *, excluding: str) -> int:
    """Bytes of the project's stored files, `excluding` one that is about to be replaced, and of those on their way.

    One statement, so that an upload which is just becoming a file is seen as one of the two.
    """
    query = (
        "SELECT (SELECT coalesce(sum(size), 0) FROM stored_file"
        " WHERE project_id = %(project)s AND filename <> %(without)s)::bigint"
        " + (SELECT coalesce(sum(size), 0) FROM loose_object"
        " WHERE project_id = %(project)s AND state = 'arriving' AND size > 0)::bigint AS taken"
    )
    rows = await control_database.rows(connection, query, {"project": project_id, "without": excluding})
    taken: int = rows[0]["taken"]
    return taken


def _query(text: str, table: FileTable) -> sql.Composed:
    return sql.SQL(text).format(sql.Identifier(table))
