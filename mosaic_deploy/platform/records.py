"""Records of files in the control database: which object in the store holds which file's bytes.

A file's bytes lie under a key of their own, made anew at every upload. Replacing a file swings one row from
the old key to the new, so a reader sees the old file or the new one, whole.
"""

from __future__ import annotations

import secrets
from typing import Any, Literal

from psycopg import sql
from psycopg.rows import DictRow

from mosaic_deploy.platform import control
from mosaic_deploy.platform.control import Connection, Pool

Table = Literal["static_file", "stored_file"]


def new_key(project_id: str, table: Table) -> str:
    return f"{project_id}/{table}/{secrets.token_hex(16)}"


async def listed(pool: Pool, table: Table, project_id: str) -> list[DictRow]:
    """Ordered by filename, byte by byte."""
    query = _query("SELECT * FROM {} WHERE project_id = %(project)s ORDER BY filename", table)
    return await control.fetch(pool, query, {"project": project_id})


async def found(pool: Pool, table: Table, project_id: str, filenames: list[str]) -> dict[str, DictRow]:
    """Those of the filenames that exist."""
    usable = [name for name in filenames if "\x00" not in name]
    query = _query("SELECT * FROM {} WHERE project_id = %(project)s AND filename = ANY(%(names)s)", table)
    rows = await control.fetch(pool, query, {"project": project_id, "names": usable})
    return {row["filename"]: row for row in rows}


async def put(connection: Connection, table: Table, record: dict[str, Any]) -> str | None:
    """Insert or replace; returns the key of the object that nothing refers to any more."""
    query = _query(
        "WITH old AS (SELECT object FROM {0} WHERE project_id = %(project_id)s AND filename = %(filename)s"
        " FOR UPDATE),"
        " new AS (INSERT INTO {0} (project_id, filename, size, content_type, etag, object)"
        " VALUES (%(project_id)s, %(filename)s, %(size)s, %(content_type)s, %(etag)s, %(object)s)"
        " ON CONFLICT (project_id, filename) DO UPDATE SET size = EXCLUDED.size,"
        " content_type = EXCLUDED.content_type, etag = EXCLUDED.etag, object = EXCLUDED.object,"
        " updated_at = now() RETURNING 1)"
        " SELECT (SELECT object FROM old) AS old FROM new",
        table,
    )
    rows = await control.rows(connection, query, record)
    old: str | None = rows[0]["old"]
    return old


async def removed(pool: Pool, table: Table, project_id: str, filename: str) -> str | None:
    """Delete the record; returns its object's key, or None where there was no such file."""
    query = _query(
        "DELETE FROM {} WHERE project_id = %(project)s AND filename = %(name)s RETURNING object", table
    )
    if "\x00" in filename:
        return None
    row = await control.fetch_one(pool, query, {"project": project_id, "name": filename})
    return None if row is None else row["object"]


async def total_size(connection: Connection, table: Table, project_id: str, *, without: str = "") -> int:
    """Bytes of all files, `without` one filename that is about to be replaced."""
    query = _query(
        "SELECT coalesce(sum(size), 0)::bigint AS total FROM {}"
        " WHERE project_id = %(project)s AND filename <> %(without)s",
        table,
    )
    total: int = (await control.rows(connection, query, {"project": project_id, "without": without}))[0][
        "total"
    ]
    return total


def _query(text: str, table: Table) -> sql.Composed:
    return sql.SQL(text).format(sql.Identifier(table))
