"""The query for the constraints of a database, with what is needed to look for rows that violate them.

It runs on a rehearsal's database, before and after the migrations. There, OIDs and column numbers identify tables and
columns, whatever they are renamed to.
"""

from __future__ import annotations

FIRST_USER_OID = 16384
_USER_SCHEMA = "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'mosaic_deploy')"
_SETTINGS = {
    "search_path": "",
    "quote_all_identifiers": "off",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
}
_SET = ", ".join(f"pg_catalog.set_config('{name}', '{value}', true)" for name, value in _SETTINGS.items())


def _uses_functions(catalog: str, oid: str) -> str:
    """Whether the object depends on functions or operators that aren't PostgreSQL's or an extension's."""
    return (
        f"EXISTS (SELECT FROM pg_depend d WHERE d.classid = '{catalog}'::regclass AND d.objid = {oid} "
        "AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass) "
        f"AND d.refobjid >= {FIRST_USER_OID} AND NOT EXISTS (SELECT FROM pg_depend e "
        "WHERE e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e'))"
    )


_COLUMNS = """SELECT json_agg(json_build_array(a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid::bigint,
a.attnotnull AND COALESCE(k.convalidated, true), COALESCE(k.connoinherit, false),
CASE WHEN a.attgenerated <> '' THEN a.attgenerated::text || pg_get_expr(b.adbin, b.adrelid) ELSE '' END,
a.atthasmissing OR a.attidentity <> '' OR b.adbin IS NOT NULL))
FROM pg_attribute a LEFT JOIN pg_attrdef b ON b.adrelid = a.attrelid AND b.adnum = a.attnum
LEFT JOIN pg_constraint k ON k.conrelid = a.attrelid AND k.contype = 'n' AND k.conkey[1] = a.attnum
WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"""
"""In the order of Column's fields; of many tables, names of fields would be most of the text."""
_TABLES = f"""SELECT json_agg(json_build_object('oid', c.oid::bigint, 'schema', c.nspname, 'name', c.relname,
'kind', c.relkind, 'file', c.relfilenode::bigint,
'key', (SELECT k.conkey FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p'),
'parents', (SELECT json_agg(i.inhparent::bigint ORDER BY i.inhparent) FROM pg_inherits i WHERE i.inhrelid = c.oid),
'acts', EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal)
  OR EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = c.oid AND w.rulename <> '_RETURN')
  OR c.oid IN (SELECT k.confrelid FROM pg_constraint k WHERE k.contype = 'f'
    AND NOT (k.confdeltype IN ('a', 'r') AND k.confupdtype IN ('a', 'r'))),
'columns', ({_COLUMNS}))) FROM relations c"""
_CONSTRAINTS = f"""SELECT json_agg(json_build_object('oid', k.oid::bigint, 'table', c.oid::bigint, 'name', k.conname,
'type', k.contype, 'holds', k.convalidated, 'columns', k.conkey, 'expression', pg_get_expr(k.conbin, k.conrelid),
'not_inherited', k.connoinherit, 'inherited', k.coninhcount > 0 OR k.conparentid <> 0,
'referenced', k.confrelid::bigint, 'referenced_columns', k.confkey, 'match', k.confmatchtype,
'operators', (SELECT json_agg(json_build_array(n.nspname, o.oprname) ORDER BY u.place)
  FROM unnest(k.conpfeqop) WITH ORDINALITY AS u (oid, place) JOIN pg_operator o ON o.oid = u.oid
  JOIN pg_namespace n ON n.oid = o.oprnamespace),
'period', COALESCE((to_jsonb(k)->>'conperiod')::bool, false), 'functions', {_uses_functions("pg_constraint", "k.oid")}))
FROM relations c JOIN pg_constraint k ON k.conrelid = c.oid WHERE k.contype IN ('c', 'f', 'x')"""
_INDEX_KEYS = """SELECT json_agg(json_build_object('number', i.indkey[u.place], 'expression',
  pg_get_indexdef(x.oid, u.place + 1, false), 'collation', (SELECT quote_ident(n.nspname) || '.' || quote_ident(l.collname)
    FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace WHERE l.oid = i.indcollation[u.place]
    AND l.oid IS DISTINCT FROM (SELECT a.attcollation FROM pg_attribute a
      WHERE a.attrelid = i.indrelid AND a.attnum = i.indkey[u.place] AND a.attnum <> 0)),
  'usual', (SELECT p.opcdefault OR p.opcname LIKE '%\\_pattern\\_ops' FROM pg_opclass p WHERE p.oid = i.indclass[u.place])
  ) ORDER BY u.place) FROM generate_series(0, i.indnkeyatts - 1) AS u (place)"""
_INDEXES = f"""SELECT json_agg(json_build_object('oid', x.oid::bigint, 'table', c.oid::bigint, 'name', x.relname,
'type', COALESCE(k.contype::text, ''),
'keys', ({_INDEX_KEYS}), 'predicate', pg_get_expr(i.indpred, i.indrelid),
'columns', (SELECT json_agg(DISTINCT d.refobjsubid) FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
  AND d.objid = x.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid),
'nulls_equal', COALESCE((to_jsonb(i)->>'indnullsnotdistinct')::bool, false), 'exclusion', i.indisexclusion,
'inherited', EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = x.oid),
'functions', {_uses_functions("pg_class", "x.oid")}))
FROM relations c JOIN pg_index i ON i.indrelid = c.oid JOIN pg_class x ON x.oid = i.indexrelid
LEFT JOIN pg_constraint k ON k.conindid = x.oid AND k.contype IN ('p', 'u')
WHERE i.indisunique AND i.indisvalid"""
_DOMAINS = f"""SELECT json_agg(json_build_object('oid', y.oid::bigint, 'schema', n.nspname, 'name', y.typname,
'base', format_type(y.typbasetype, y.typtypmod), 'not_null', y.typnotnull,
'checks', (SELECT json_agg(json_build_object('oid', k.oid::bigint, 'name', k.conname, 'holds', k.convalidated,
  'expression', pg_get_expr(k.conbin, 0), 'functions', {_uses_functions("pg_constraint", "k.oid")}) ORDER BY k.conname)
  FROM pg_constraint k WHERE k.contypid = y.oid AND k.contype = 'c')))
FROM pg_type y JOIN pg_namespace n ON n.oid = y.typnamespace WHERE y.typtype = 'd' AND {_USER_SCHEMA}"""
_ROUTINES = f"""SELECT json_agg(json_build_array(f.oid::bigint, f.proname, md5(concat_ws('|', f.prosrc, f.probin,
  f.prosqlbody::text, f.proconfig::text, f.proisstrict::text)))) FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace
WHERE {_USER_SCHEMA} AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = f.oid
  AND e.deptype = 'e')"""
_VOLATILE = "SELECT json_agg(DISTINCT proname) FROM pg_proc WHERE provolatile = 'v'"
"""Also PostgreSQL's and those of extensions. They may do anything, and read-only transactions don't prevent all of it."""

FACTS_QUERY = f"""SELECT {_SET};
WITH relations AS MATERIALIZED (SELECT c.*, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {_USER_SCHEMA} AND c.relkind IN ('r', 'p', 'm', 'f'))
SELECT json_build_object('tables', ({_TABLES}), 'constraints', ({_CONSTRAINTS}), 'indexes', ({_INDEXES}),
'domains', ({_DOMAINS}), 'routines', ({_ROUTINES}), 'volatile', ({_VOLATILE}),
'event_triggers', EXISTS (SELECT FROM pg_event_trigger t WHERE t.oid >= {FIRST_USER_OID}))::text AS facts"""
"""Two statements in one request, for the embedded platform. The last one has one row of one column, `facts`: JSON text."""
