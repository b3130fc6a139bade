"""The Schema tab: a picture of a project's tables and how they refer to each other."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.dashboard.projects.project_page import render_project_page
from mosaic_deploy.platform.dashboard.schema_picture import HEAD, ROW, Column, Reference, TableKey, draw
from mosaic_deploy.platform.postgres.connections import Session
from mosaic_deploy.platform.projects import drafts
from mosaic_deploy.platform.projects.projects import find_running_project
from mosaic_deploy.platform.services import Platform

MAX_TABLES = 120
_TABLES = """
SELECT n.nspname, c.relname, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
       EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p' AND a.attnum = ANY (k.conkey)),
       EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f' AND a.attnum = ANY (k.conkey))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_'
    AND n.nspname NOT IN ('information_schema', 'mosaic_deploy') AND (%s = '' OR n.nspname = %s)
ORDER BY 1, 2, a.attnum
"""
_REFERENCES = """
SELECT sn.nspname, s.relname, sa.attname, tn.nspname, t.relname, ta.attname
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class s ON s.oid = k.conrelid JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace
JOIN pg_catalog.pg_class t ON t.oid = k.confrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
JOIN pg_catalog.pg_attribute sa ON sa.attrelid = s.oid AND sa.attnum = k.conkey[1]
JOIN pg_catalog.pg_attribute ta ON ta.attrelid = t.oid AND ta.attnum = k.confkey[1]
WHERE k.contype = 'f' AND k.conparentid = 0 ORDER BY k.oid
"""


async def show_schema(platform: Platform, request: Request) -> Response:
    """All schemas, or the one that the URL names with `schema`."""
    project = await find_running_project(platform, request)
    chosen = request.query_params.get("schema", "").replace("\0", "")
    database = await drafts.target_database(platform, project, request)
    account, password = project["account_id"], project["database_password"]
    async with platform.sessions.session(project["id"], account, password, database) as session:
        await session.execute("BEGIN READ ONLY")
        await session.execute("SET LOCAL statement_timeout = '5s'")
        tables = await _read_tables(session, chosen)
        references = await _read_references(session)
    shown = dict(list(tables.items())[:MAX_TABLES])
    return render_project_page(
        platform,
        project,
        "schema",
        "schema.html",
        picture=draw(shown, references),
        row=ROW,
        head=HEAD,
        schemas=sorted({schema for schema, _ in tables}),
        chosen=chosen,
        omitted=len(tables) - len(shown),
    )


async def _read_tables(session: Session, schema: str) -> dict[TableKey, list[Column]]:
    """A table without columns has an empty list."""
    tables: dict[TableKey, list[Column]] = {}
    cursor = await session.execute(_TABLES, [schema, schema])
    for schema_name, table, column, kind, primary, foreign in await cursor.fetchall():
        columns = tables.setdefault((schema_name, table), [])
        if column is not None:
            mark = " ".join(text for text, is_marked in (("PK", primary), ("FK", foreign)) if is_marked)
            columns.append(Column(column, kind, mark))
    return tables


async def _read_references(session: Session) -> list[Reference]:
    rows = await (await session.execute(_REFERENCES)).fetchall()
    return [Reference((row[0], row[1]), row[2], (row[3], row[4]), row[5]) for row in rows]
