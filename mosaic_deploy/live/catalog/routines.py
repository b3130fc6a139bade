"""Schemas, extensions, functions, types, and other objects of which only the existence is read."""

from __future__ import annotations

from mosaic_deploy.live.catalog.names import (
    FIRST_USER_OID,
    FROM_ROUTINES,
    FROM_TYPES,
    ROUTINE,
    TYPE,
    USER_SCHEMAS,
    not_in_extension,
    owner_text,
)

SCHEMAS = f"""SELECT 'schema', pg_catalog.quote_ident(n.nspname), '', 0, COALESCE({owner_text("n.nspowner")}, '')
FROM pg_catalog.pg_namespace n WHERE {USER_SCHEMAS} AND n.nspname <> 'public' AND {not_in_extension("pg_namespace", "n.oid")}"""
EXTENSIONS = """SELECT 'extension', pg_catalog.quote_ident(e.extname), '', 0, e.extversion
  || CASE WHEN n.nspname IN ('public', 'pg_catalog') THEN '' ELSE ' SCHEMA ' || pg_catalog.quote_ident(n.nspname) END
FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace"""

_AGGREGATE = """SELECT pg_catalog.concat_ws(' ', 'RETURNS ' || pg_catalog.pg_get_function_result(f.oid),
  'SFUNC ' || g.aggtransfn::text, 'STYPE ' || pg_catalog.format_type(g.aggtranstype, NULL),
  'FINALFUNC ' || NULLIF(g.aggfinalfn::text, '-'), 'COMBINEFUNC ' || NULLIF(g.aggcombinefn::text, '-'),
  'INITCOND ' || pg_catalog.quote_literal(g.agginitval), CASE WHEN g.aggsortop <> 0 THEN 'SORTOP '
    || g.aggsortop::pg_catalog.regoperator::text END, 'PARALLEL ' || NULLIF(f.proparallel, 'u')::text)
FROM pg_catalog.pg_aggregate g WHERE g.aggfnoid = f.oid"""


def routines(source: str = FROM_ROUTINES) -> str:
    """Functions, procedures and aggregates of a FROM and WHERE with the alias `f`."""
    return f"""SELECT CASE f.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END, {ROUTINE}, '', 0,
pg_catalog.concat_ws(' ', {owner_text("f.proowner")},
  CASE f.prokind WHEN 'a' THEN ({_AGGREGATE}) ELSE pg_catalog.pg_get_functiondef(f.oid) END)
{source}"""


def types(source: str = FROM_TYPES) -> str:
    """Enums, domains, ranges and composite types of a FROM and WHERE with the alias `y`."""
    return f"""SELECT CASE y.typtype WHEN 'd' THEN 'domain' ELSE 'type' END, {TYPE}, '', 0,
pg_catalog.concat_ws(' ', CASE y.typtype
WHEN 'e' THEN 'ENUM (' || COALESCE((SELECT pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ', '
  ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = y.oid), '') || ')'
WHEN 'd' THEN pg_catalog.concat_ws(' ', pg_catalog.format_type(y.typbasetype, y.typtypmod),
  CASE WHEN y.typnotnull THEN 'NOT NULL' END, 'DEFAULT ' || y.typdefault,
  (SELECT pg_catalog.string_agg(pg_catalog.pg_get_constraintdef(k.oid), ' ' ORDER BY k.conname)
   FROM pg_catalog.pg_constraint k WHERE k.contypid = y.oid AND k.contype = 'c'))
WHEN 'r' THEN 'RANGE of ' || (SELECT pg_catalog.format_type(r.rngsubtype, NULL) FROM pg_catalog.pg_range r
  WHERE r.rngtypid = y.oid)
WHEN 'c' THEN '(' || COALESCE((SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname) || ' '
  || pg_catalog.format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
  WHERE a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '') || ')' END, {owner_text("y.typowner")})
{source}"""


_OTHER_CATALOGS = (
    "pg_cast",
    "pg_operator",
    "pg_opclass",
    "pg_opfamily",
    "pg_collation",
    "pg_conversion",
    "pg_language",
    "pg_ts_config",
    "pg_ts_dict",
    "pg_ts_parser",
    "pg_ts_template",
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_transform",
    "pg_am",
)
_OTHER_OIDS = " UNION ALL ".join(
    f"SELECT 'pg_catalog.{name}'::pg_catalog.regclass::oid, oid FROM pg_catalog.{name} WHERE oid >= {FIRST_USER_OID}"
    for name in _OTHER_CATALOGS
)
OTHERS = f"""SELECT i.type, pg_catalog.regexp_replace(i.identity, '^public\\.', ''), '', 0, ''
FROM ({_OTHER_OIDS}) AS o (classid, objid)
CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) AS i
WHERE COALESCE(i.schema, '') NOT IN ('information_schema', 'mosaic_deploy') AND COALESCE(i.schema, '') !~ '^pg_'
AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = o.classid AND d.objid = o.objid AND d.deptype IN ('e', 'i'))"""
"""Only whether they exist: `cast (public.a AS public.b)`."""
