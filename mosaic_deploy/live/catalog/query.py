"""The query that reads the whole schema, whatever the session's settings are."""

from __future__ import annotations

from mosaic_deploy.live.catalog import access, others, routines, rules, tables
from mosaic_deploy.live.catalog.names import RELATION_ROWS

OF_RELATIONS = (
    tables.TABLES,
    tables.COLUMNS,
    tables.VIEWS,
    tables.SEQUENCES,
    tables.CONSTRAINTS,
    tables.INDEXES,
    rules.TRIGGERS,
    rules.POLICIES,
    rules.RULES,
)
"""Queries for relations and what belongs to them."""
_PARTS = (
    routines.SCHEMAS,
    routines.EXTENSIONS,
    *OF_RELATIONS,
    rules.EVENT_TRIGGERS,
    rules.PUBLICATIONS,
    rules.STATISTICS,
    routines.routines(),
    routines.types(),
    others.OTHERS,
    others.USER_MAPPINGS,
    others.SUBSCRIPTIONS,
    access.GRANTS,
    access.DEFAULT_PRIVILEGES,
    access.COMMENTS,
)
SETTINGS = {
    "search_path": "public",
    "quote_all_identifiers": "off",
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "xmlbinary": "base64",
    "lock_timeout": "2s",
}
"""Definitions depend on these settings of the session: names on the search_path aren't qualified, for example.

Reading a view's definition waits for a transaction that changes one of its tables; that must not take long.
"""
_SET = ", ".join(
    f"pg_catalog.set_config('{name}', '{value}', true) AS s{number}"
    for number, (name, value) in enumerate(SETTINGS.items())
)

# OFFSET 0 keeps both subqueries apart, and the condition makes the second need the first: so the settings come first.
_COLUMNS = ", ".join(
    f'part.{name}::text COLLATE "C" AS {name}' for name in ("kind", "name", "parent", "definition")
)
CATALOG_OBJECTS = (
    f"SELECT {_COLUMNS}, part.place "
    f"FROM (SELECT {_SET} OFFSET 0) AS fixed CROSS JOIN LATERAL (WITH relations AS MATERIALIZED ({RELATION_ROWS})\n"
    "SELECT u.* FROM (\n"
    + "\nUNION ALL\n".join(_PARTS)
    + "\n) AS u (kind, name, parent, place, definition) WHERE fixed.s0 = 'public' OFFSET 0) AS part"
)
"""Rows of `kind`, `name`, `parent`, `place` and `definition`: see `names.py`. The settings end with the transaction.

`kind`, `name` and `parent` together are unique.
"""
ALL_OBJECTS = (
    f"WITH relations AS MATERIALIZED ({RELATION_ROWS})\n"
    "SELECT u.kind::text AS kind, u.name::text AS name, COALESCE(u.parent, '')::text AS parent, "
    "COALESCE(u.definition, '')::text AS definition FROM (\n"
    + "\nUNION ALL\n".join(_PARTS)
    + "\n) AS u (kind, name, parent, place, definition)"
)
"""The same rows without `place`, for a session that has CATALOG_SETTINGS already."""
NOT_COMPARED = (
    "rows, and the current values of sequences",
    "roles and their settings, and settings of the database",
    "the database's own owner, privileges and comment",
    "tablespaces, CLUSTER marks, the order of columns, and whether inherited columns and constraints are also the table's own",
    "who granted a privilege, and the names of NOT NULL constraints",
    "options of user mappings; of those of foreign-data wrappers and servers, only names and a short digest of the values",
    "connections of subscriptions, large objects, and security labels",
    "objects that belong to extensions, of which only the version and the schema are compared",
)
"""What a comparison of two catalogs doesn't see."""
