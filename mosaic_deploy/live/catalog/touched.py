"""The query that reads only some relations, routines and types: those that a step touches."""

from __future__ import annotations

from mosaic_deploy.live.catalog import access, routines
from mosaic_deploy.live.catalog.names import FROM_ROUTINES, FROM_TYPES, RELATION_ROWS
from mosaic_deploy.live.catalog.query import OF_RELATIONS, SETTINGS

_LOCK_TIMEOUT = "lock_timeout"
_ROUTINE_NAME = """^((?:"(?:[^"]|"")*"|[^"(])*)\\("""
"""A routine's name before its arguments. All routines of one name are touched together: a new one can be called instead."""
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
_OF_RELATIONS = (*OF_RELATIONS, access.grants(access.RELATION_ACLS))
_OWNER = "CASE WHEN u.parent <> '' THEN u.parent ELSE u.name END"
_KINDS = {
    "relation": (_OWNER, _OF_RELATIONS),
    "routine": (
        f"pg_catalog.substring({_OWNER}, '{_ROUTINE_NAME}')",
        (routines.routines(_ROUTINES), access.grants(access.routine_acls(_ROUTINES))),
    ),
    "type": (_OWNER, (routines.types(_TYPES), access.grants(access.type_acls(_TYPES)))),
}


def _query(kind: str) -> str:
    key, parts = _KINDS[kind]
    relations = f"""relations AS MATERIALIZED ({RELATION_ROWS} AND c.oid IN (WITH found AS MATERIALIZED ({_named("relation", "pg_class", "rel")})
  SELECT oid FROM found UNION ALL SELECT d.refobjid FROM found JOIN pg_catalog.pg_depend d ON d.classid = {_PG_CLASS}
    AND d.objid = found.oid AND d.refclassid = {_PG_CLASS} AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0)),"""
    found = "\nUNION ALL\n".join(parts)
    return f"""WITH named AS MATERIALIZED (SELECT r.kind, r.key, r.schema, r.name FROM pg_catalog.jsonb_to_recordset({{names}})
  AS r (kind pg_catalog.text, key pg_catalog.text, schema pg_catalog.text, name pg_catalog.text)),
{relations if kind == "relation" else ""}
part AS (SELECT '{kind} ' || ({key}) AS key, u.kind, u.name, u.parent, COALESCE(u.definition, '') AS definition
  FROM ({found}) AS u (kind, name, parent, place, definition)
  WHERE u.kind <> 'index' OR u.definition NOT LIKE '% INVALID')
SELECT part.* FROM part JOIN named r ON part.key = r.kind || ' ' || r.key"""


TOUCHED_OBJECTS = {kind: _query(kind) for kind in _KINDS}
"""By kind of what is touched (relation, routine, type), a query for rows of `key` (`relation orders`), `kind`, `name`, `parent` and
`definition`. `{names}` is to be replaced by a jsonb array of objects with the keys `kind`, `key` (the SQL name without `public.`),
`schema` and `name`, the last two unquoted.

The session needs CATALOG_SETTINGS. An invalid index, which a failed CREATE INDEX CONCURRENTLY leaves, isn't among the rows.
"""
CATALOG_SETTINGS = tuple((name, value) for name, value in SETTINGS.items() if name != _LOCK_TIMEOUT)
"""(name, value) of the settings that definitions depend on."""
