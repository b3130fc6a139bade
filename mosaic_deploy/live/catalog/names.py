"""Pieces of the catalog queries: which objects count, and how they are called.

Every query yields rows of kind, name, parent, place in the parent, and definition. The aliases are the same everywhere: `n` is
a schema, `c` a relation. Objects of extensions and the tracking tables don't count.
"""

from __future__ import annotations

USER_SCHEMAS = "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'mosaic_deploy')"
SCHEMA_PREFIX = "CASE WHEN n.nspname = 'public' THEN '' ELSE pg_catalog.quote_ident(n.nspname) || '.' END || "
QUALIFIED_RELATION = SCHEMA_PREFIX + "pg_catalog.quote_ident(c.relname)"
RELATION = "c.relation"
"""Of the rows of RELATION_ROWS."""
ROUTINE = (
    f"{SCHEMA_PREFIX}pg_catalog.quote_ident(f.proname) || '(' || "
    "pg_catalog.pg_get_function_identity_arguments(f.oid) || ')'"
)
TYPE = SCHEMA_PREFIX + "pg_catalog.quote_ident(y.typname)"
FIRST_USER_OID = 16384
"""Objects with a smaller OID were made with the database cluster."""
RELATIONS = "'r', 'p', 'f'"
"""The kinds of relations with columns and constraints: tables, partitioned tables and foreign tables."""
SET_SEARCH_PATH = """COALESCE(
  (SELECT pg_catalog.substr(c.setting, pg_catalog.length('search_path=') + 1)
    FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c(setting)
    WHERE c.setting LIKE 'search\\_path=%' AND s.setrole IN (0, current_user::pg_catalog.regrole)
      AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
    ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1), '')"""
"""An SQL expression: the search_path that the role or the database has for new sessions; '' if neither sets it."""


def not_in_extension(catalog: str, oid: str) -> str:
    return (
        f"NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass "
        f"AND d.objid = {oid} AND d.deptype = 'e')"
    )


RELATION_ROWS = (
    f"SELECT c.*, {QUALIFIED_RELATION} AS relation FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    f"WHERE {USER_SCHEMAS} AND {not_in_extension('pg_class', 'c.oid')}"
)
"""All relations, read once under the name `relations`: planning the same joins for each kind of object takes longer than they do."""


def from_relations(joined: str = "", relations: str = "relations") -> str:
    """FROM and WHERE for all rows of `relations`, with further joins."""
    return f"FROM {relations} c {joined}\nWHERE true"


FROM_ROUTINES = (
    "FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace\n"
    f"WHERE {USER_SCHEMAS} AND {not_in_extension('pg_proc', 'f.oid')} AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend i "
    "WHERE i.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND i.objid = f.oid AND i.deptype = 'i')"
)
"""Without functions that PostgreSQL makes itself, such as constructors of ranges."""
FROM_TYPES = (
    "FROM pg_catalog.pg_type y JOIN pg_catalog.pg_namespace n ON n.oid = y.typnamespace\n"
    f"WHERE {USER_SCHEMAS} AND {not_in_extension('pg_type', 'y.oid')} AND (y.typtype IN ('e', 'd', 'r') OR (y.typtype = 'c' "
    "AND EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = y.typrelid AND c.relkind = 'c')) OR (y.typtype IN ('b', 'p') "
    "AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = y.oid)))"
)
"""Enums, domains, ranges, composite, base and shell types; not the row types of tables, arrays and multiranges."""


def owner_text(oid: str) -> str:
    """`OWNER name`; null for the database's owner, so it isn't said of every object."""
    return (
        f"CASE WHEN {oid} <> (SELECT b.datdba FROM pg_catalog.pg_database b WHERE b.datname = pg_catalog.current_database()) "
        f"THEN 'OWNER ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid({oid})) END"
    )
