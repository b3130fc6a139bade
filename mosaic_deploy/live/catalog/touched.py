"""The queries that read only some objects: those that a step touches, and those with a name that it mentions."""

from __future__ import annotations

from mosaic_deploy.live.catalog import access, others, routines, rules, tables
from mosaic_deploy.live.catalog.names import (
    FROM_ROUTINES,
    FROM_TYPES,
    RELATION_ROWS,
    RELATIONS,
    SCHEMA_PREFIX,
    SET_SEARCH_PATH,
    USER_SCHEMAS,
)
from mosaic_deploy.live.catalog.query import OF_RELATIONS, SETTINGS

_LOCK_TIMEOUT = "lock_timeout"
_ROUTINE_NAME = """^((?:"(?:[^"]|"")*"|[^"(])*)\\("""
"""A routine's name before its arguments. All routines of one name are touched together: a new one can be called instead."""
SCHEMA_OF_NAME = r"""^((?:"(?:[^"]|"")*"|[^".])*\.)"""
"""The schema of a qualified SQL name, with the dot. This and the next one mean the same to PostgreSQL and Python."""
REFERENCED = (
    r"""^FOREIGN KEY \((?:"(?:[^"]|"")*"|[^")])*\) REFERENCES (?:public\.)?((?:"(?:[^"]|"")*"|[^"(])*)\("""
)
"""The table that the definition of a foreign key references."""
_PG_CLASS = "'pg_catalog.pg_class'::pg_catalog.regclass"


def _named(kind: str, catalog: str, prefix: str) -> str:
    """The OIDs in `catalog` of the names of this kind. The index on names finds each; a join might read the whole schema."""
    schema = "(SELECT m.oid FROM pg_catalog.pg_namespace m WHERE m.nspname = r.schema)"
    return (
        f"SELECT w.oid FROM named r CROSS JOIN LATERAL (SELECT w.oid FROM pg_catalog.{catalog} w "
        f"WHERE w.{prefix}name = r.name AND w.{prefix}namespace = {schema} OFFSET 0) w WHERE r.kind = '{kind}'"
    )


_ROUTINES = f"{FROM_ROUTINES} AND f.oid IN ({_named('routine', 'pg_proc', 'pro')})"
_TYPES = f"{FROM_TYPES} AND y.oid IN ({_named('type', 'pg_type', 'typ')})"
_INDEXES = f" AND x.oid IN ({_named('index', 'pg_class', 'rel')})"
_SCHEMAS = " AND n.nspname IN (SELECT r.name FROM named r WHERE r.kind = 'schema')"
_OF_RELATIONS = (*OF_RELATIONS, access.grants(access.RELATION_ACLS))
_OWNER = "CASE WHEN u.parent <> '' THEN u.parent ELSE u.name END"
_KINDS = {
    "relation": (_OWNER, _OF_RELATIONS),
    "routine": (
        f"pg_catalog.substring({_OWNER}, '{_ROUTINE_NAME}')",
        (routines.routines(_ROUTINES), access.grants(access.routine_acls(_ROUTINES))),
    ),
    "type": (_OWNER, (routines.types(_TYPES), access.grants(access.type_acls(_TYPES)))),
    "index": (
        f"COALESCE(pg_catalog.substring(u.parent, '{SCHEMA_OF_NAME}'), '') || u.name",
        (tables.INDEXES + _INDEXES, tables.CONSTRAINTS + _INDEXES),
    ),
    "schema": (
        "CASE WHEN u.parent <> '' THEN pg_catalog.substring(u.parent, '^schema (.*)$') ELSE u.name END",
        (routines.SCHEMAS + _SCHEMAS, access.grants(access.SCHEMA_ACLS + _SCHEMAS)),
    ),
    "database": (
        "'objects'",
        (
            others.OTHERS,
            rules.EVENT_TRIGGERS,
            access.DEFAULT_PRIVILEGES,
            access.grants(access.OTHER_ACLS),
            f"SELECT 'setting', 'search_path', '', 0, {SET_SEARCH_PATH}",
        ),
    ),
}
_RELATIONS = {
    "relation": f"""WITH found AS MATERIALIZED ({_named("relation", "pg_class", "rel")})
  SELECT oid FROM found UNION ALL SELECT d.refobjid FROM found JOIN pg_catalog.pg_depend d ON d.classid = {_PG_CLASS}
    AND d.objid = found.oid AND d.refclassid = {_PG_CLASS} AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0""",
    "index": f"SELECT x.indrelid FROM pg_catalog.pg_index x WHERE x.indexrelid IN ({_named('index', 'pg_class', 'rel')})",
}
"""The OIDs of the relations that are read."""
_DEPENDENT_ROWS = f"""referencing AS MATERIALIZED ({RELATION_ROWS} AND c.oid IN (SELECT k.conrelid FROM pg_catalog.pg_constraint k
  JOIN relations q ON q.oid = k.confrelid WHERE k.contype = 'f')),
children AS MATERIALIZED ({RELATION_ROWS} AND c.relkind IN ({RELATIONS}) AND c.oid IN (SELECT h.inhrelid FROM pg_catalog.pg_inherits h
  JOIN relations q ON q.oid = h.inhparent)),"""
_DEPENDENTS = f"""
UNION ALL SELECT 'relation ' || u.referenced, u.kind, u.name, u.parent, u.definition
FROM (SELECT u.*, pg_catalog.substring(u.definition, '{REFERENCED}') AS referenced
  FROM ({tables.constraints("referencing")}) AS u (kind, name, parent, place, definition)) u WHERE u.referenced <> u.parent
UNION ALL SELECT 'relation ' || q.relation, CASE c.relkind WHEN 'f' THEN 'foreign table' ELSE 'table' END, c.relation, '', ''
FROM children c JOIN pg_catalog.pg_inherits h ON h.inhrelid = c.oid JOIN relations q ON q.oid = h.inhparent"""
"""The foreign keys of other tables that reference a relation, and the tables that inherit from it, without their definitions."""


def _query(kind: str) -> str:
    key, parts = _KINDS[kind]
    found = "\nUNION ALL\n".join(parts)
    ctes = (
        f"relations AS MATERIALIZED ({RELATION_ROWS} AND c.oid IN ({_RELATIONS[kind]})),"
        if kind in _RELATIONS
        else ""
    )
    rows, more = (_DEPENDENT_ROWS, _DEPENDENTS) if kind == "relation" else ("", "")
    return f"""WITH named AS MATERIALIZED (SELECT r.kind, r.key, r.schema, r.name FROM pg_catalog.jsonb_to_recordset({{names}})
  AS r (kind pg_catalog.text, key pg_catalog.text, schema pg_catalog.text, name pg_catalog.text)),
{ctes}{rows}
part AS MATERIALIZED (SELECT '{kind} ' || ({key}) AS key, u.kind, u.name, u.parent, COALESCE(u.definition, '') AS definition
  FROM ({found}) AS u (kind, name, parent, place, definition)
  WHERE u.kind <> 'index' OR u.definition NOT LIKE '% INVALID'{more})
SELECT part.* FROM part JOIN named r ON r.kind = '{kind}' AND part.key = r.kind || ' ' || r.key"""


TOUCHED_OBJECTS = {kind: _query(kind) for kind in _KINDS}
"""By kind of what is touched (see Touched), a query for rows of `key` (`relation orders`), `kind`, `name`, `parent` and
`definition`. `{names}` is to be replaced by a jsonb array of objects with the keys `kind`, `key` (the SQL name without `public.`),
`schema` and `name`, the last two unquoted.

The session needs CATALOG_SETTINGS. An invalid index, which a failed CREATE INDEX CONCURRENTLY leaves, isn't among the rows.
"""
CATALOG_SETTINGS = tuple((name, value) for name, value in SETTINGS.items() if name != _LOCK_TIMEOUT)
"""(name, value) of the settings that definitions depend on."""


def _mentioned(name: str) -> str:
    return f'pg_catalog.lower({name}::pg_catalog.text COLLATE "C") IN (SELECT pg_catalog.unnest({{words}}))'


_OWN_NAME = "pg_catalog.concat(n.nspname, '.', w.{}name)"
_OWNER = """SELECT pg_catalog.concat(o.nspname, '.', t.relname) FROM {} JOIN pg_catalog.pg_class t ON t.oid = {}
  JOIN pg_catalog.pg_namespace o ON o.oid = t.relnamespace WHERE {}"""
_TABLE_OF_INDEX = _OWNER.format("pg_catalog.pg_index x", "x.indrelid", "x.indexrelid = w.oid")
_TABLE_OF_SEQUENCE = _OWNER.format(
    "pg_catalog.pg_depend d",
    "d.refobjid",
    f"d.classid = {_PG_CLASS} AND d.objid = w.oid AND d.refclassid = {_PG_CLASS} AND d.deptype IN ('a', 'i') "
    "AND d.refobjsubid > 0 AND w.relkind = 'S'",
)


def _in_schemas(kind: str, catalog: str, prefix: str, condition: str = "", owners: str = "") -> str:
    """`owners` is a query for the names that decide whether it is unmanaged; without it, that is its own."""
    return (
        f"SELECT '{kind}', {SCHEMA_PREFIX}pg_catalog.quote_ident(w.{prefix}name), n.nspname::pg_catalog.text, "
        f"w.{prefix}name::pg_catalog.text, ARRAY({owners or f'SELECT {_OWN_NAME.format(prefix)}'}) "
        f"FROM pg_catalog.{catalog} w JOIN schemas n ON n.oid = w.{prefix}namespace "
        f"WHERE {_mentioned(f'w.{prefix}name')}{condition}"
    )


MENTIONED_OBJECTS = f"""WITH schemas AS MATERIALIZED (SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n
  WHERE {USER_SCHEMAS} AND (n.nspname = ANY ({{path}}) OR {_mentioned("n.nspname")}))
SELECT m.kind, m.key, m.schema, m.name, m.owners FROM (
{
    _in_schemas(
        "relation",
        "pg_class",
        "rel",
        " AND w.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')",
        f"SELECT {_OWN_NAME.format('rel')} UNION ALL {_TABLE_OF_SEQUENCE}",
    )
}
UNION {_in_schemas("routine", "pg_proc", "pro")}
UNION {_in_schemas("type", "pg_type", "typ")}
UNION {_in_schemas("index", "pg_class", "rel", " AND w.relkind IN ('i', 'I')", _TABLE_OF_INDEX)}
UNION SELECT 'schema', pg_catalog.quote_ident(n.nspname), n.nspname::pg_catalog.text, n.nspname::pg_catalog.text,
  ARRAY[pg_catalog.concat(n.nspname, '.', n.nspname)] FROM schemas n
) AS m (kind, key, schema, name, owners)"""
"""A query for rows of `kind`, `key`, `schema` and `name`, as above, and `owners`, of the objects that the lower-case names `{{words}}` (text[]) may
mean: in the schemas of `{{path}}` (name[]), and in those that are named themselves. Some of them may be none that count as touched.
An object is unmanaged if one of `owners` is: names with their schemas, unquoted, of itself and of the table of a sequence, or of an
index's table.
"""
