"""The names of a database's tables and columns, for completion in the SQL tab."""

from __future__ import annotations

from mosaic_deploy.platform.postgres.connections import Session

_MAX_COLUMNS = 20_000
_COLUMNS = """
SELECT n.nspname, c.relname, pg_catalog.array_agg(a.attname ORDER BY a.attnum)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_toast'
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
GROUP BY 1, 2 ORDER BY n.nspname <> 'public', 1, 2
"""
Names = dict[str, dict[str, list[str]]]
"""Columns by table by schema."""


async def read_names(session: Session) -> Names:
    """At most some 20,000 columns, those of `public` first."""
    names: Names = {}
    count = 0
    cursor = await session.execute(_COLUMNS)
    for schema, table, columns in await cursor.fetchall():
        count += len(columns)
        if count > _MAX_COLUMNS:
            break
        names.setdefault(schema, {})[table] = columns
    return names
