"""Schemas, extensions, functions and types."""

from __future__ import annotations

from mosaic_deploy.live.catalog.names import (
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


_COLLATE = """(SELECT 'COLLATE ' || l.oid::pg_catalog.regcollation::text FROM pg_catalog.pg_collation l WHERE l.oid = {}
  AND l.oid <> (SELECT b.typcollation FROM pg_catalog.pg_type b WHERE b.oid = {}))"""
_ENUM = """'ENUM (' || COALESCE((SELECT pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ', '
  ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = y.oid), '') || ')'"""
_DOMAIN = f"""pg_catalog.concat_ws(' ', pg_catalog.format_type(y.typbasetype, y.typtypmod),
  {_COLLATE.format("y.typcollation", "y.typbasetype")}, CASE WHEN y.typnotnull THEN 'NOT NULL' END, 'DEFAULT ' || y.typdefault,
  (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', 'CONSTRAINT', pg_catalog.quote_ident(k.conname),
    pg_catalog.pg_get_constraintdef(k.oid)), ' ' ORDER BY k.conname)
   FROM pg_catalog.pg_constraint k WHERE k.contypid = y.oid AND k.contype = 'c'))"""
_RANGE = f"""(SELECT pg_catalog.concat_ws(' ', 'RANGE of ' || pg_catalog.format_type(r.rngsubtype, NULL),
  {_COLLATE.format("r.rngcollation", "r.rngsubtype")},
  (SELECT 'SUBTYPE_OPCLASS ' || pg_catalog.quote_ident(o.opcname) FROM pg_catalog.pg_opclass o
    WHERE o.oid = r.rngsubopc AND NOT o.opcdefault),
  'CANONICAL ' || NULLIF(r.rngcanonical::text, '-'), 'SUBTYPE_DIFF ' || NULLIF(r.rngsubdiff::text, '-'),
  'MULTIRANGE ' || pg_catalog.format_type(r.rngmultitypid, NULL))
  FROM pg_catalog.pg_range r WHERE r.rngtypid = y.oid)"""
_COMPOSITE = f"""'(' || COALESCE((SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', pg_catalog.quote_ident(a.attname),
  pg_catalog.format_type(a.atttypid, a.atttypmod), {_COLLATE.format("a.attcollation", "a.atttypid")}), ', ' ORDER BY a.attnum)
  FROM pg_catalog.pg_attribute a WHERE a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '') || ')'"""
_BASE_FIELDS = {
    "INPUT": "NULLIF(y.typinput::text, '-')",
    "OUTPUT": "NULLIF(y.typoutput::text, '-')",
    "RECEIVE": "NULLIF(y.typreceive::text, '-')",
    "SEND": "NULLIF(y.typsend::text, '-')",
    "TYPMOD_IN": "NULLIF(y.typmodin::text, '-')",
    "TYPMOD_OUT": "NULLIF(y.typmodout::text, '-')",
    "ANALYZE": "NULLIF(y.typanalyze::text, '-')",
    "SUBSCRIPT": "NULLIF(y.typsubscript::text, '-')",
    "INTERNALLENGTH": "y.typlen",
    "DEFAULT": "pg_catalog.quote_literal(y.typdefault)",
    "ELEMENT": "pg_catalog.format_type(NULLIF(y.typelem, 0), NULL)",
    "DELIMITER": "pg_catalog.quote_literal(NULLIF(y.typdelim::text, ','))",
    "ALIGNMENT": "y.typalign::text",
    "STORAGE": "y.typstorage::text",
    "CATEGORY": "y.typcategory::text",
}
_BASE = "pg_catalog.concat_ws(' ', 'BASE', {}, {}, {})".format(
    ", ".join(f"'{name} ' || {column}" for name, column in _BASE_FIELDS.items()),
    "CASE WHEN y.typispreferred THEN 'PREFERRED' END",
    "CASE WHEN y.typbyval THEN 'PASSEDBYVALUE' END",
)


def types(source: str = FROM_TYPES) -> str:
    """Types and domains of a FROM and WHERE with the alias `y`."""
    return f"""SELECT CASE y.typtype WHEN 'd' THEN 'domain' ELSE 'type' END, {TYPE}, '', 0, pg_catalog.concat_ws(' ',
CASE y.typtype WHEN 'e' THEN {_ENUM} WHEN 'd' THEN {_DOMAIN} WHEN 'r' THEN {_RANGE} WHEN 'c' THEN {_COMPOSITE}
  WHEN 'b' THEN {_BASE} ELSE 'SHELL' END,
{owner_text("y.typowner")})
{source}"""
