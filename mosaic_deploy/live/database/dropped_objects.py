"""The SQL that finds objects which migrations drop, and what DROP … CASCADE drops with them (pg_depend)."""

from __future__ import annotations

from collections.abc import Iterator


def dropped_objects_sql(holds_no_rows: str) -> str:
    """A SELECT of facts about the rows of `asked` whose kind is `dropped` or `dropped cascade`.

    `holds_no_rows` is a condition on relation `t` in schema `n`. The same tree as PostgreSQL's
    findDependentObjects: an object that depends normally on a dropped one is listed; what belongs to it (its indexes,
    its row type) is dropped with it and isn't listed. A view is reached through its rule, an internal part of it.
    """
    roots = " UNION ALL ".join(_root_queries())
    return (
        "SELECT a.k, a.n, a.p, '', '', NULL::numeric, pg_catalog.json_build_object('dependents', "
        "CASE WHEN a.k = 'dropped cascade' THEN ("
        + _DEPENDENTS.format(holds_no_rows=holds_no_rows)
        + ") END) "
        f"FROM asked a, LATERAL (SELECT pg_catalog.array_agg(f.classid) AS classes, pg_catalog.array_agg(f.objid) AS oids, "
        f"pg_catalog.array_agg(f.sub) AS subs FROM ({roots}) f(classid, objid, sub) WHERE f.objid IS NOT NULL) o "
        "WHERE a.k IN ('dropped', 'dropped cascade') AND o.oids IS NOT NULL"
    )


def _root_queries() -> Iterator[str]:
    """One query per kind of object: its address as in pg_depend."""
    for part, catalog, oid in (
        ("relation", "pg_class", "pg_catalog.to_regclass(a.n)"),
        ("type", "pg_type", "pg_catalog.to_regtype(a.n)"),
        ("schema", "pg_namespace", "pg_catalog.to_regnamespace(a.n)"),
    ):
        yield f"SELECT {_class(catalog)}, {oid}::pg_catalog.oid, 0 WHERE a.p = '{part}'"
    yield (
        f"SELECT {_class('pg_extension')}, e.oid, 0 FROM pg_catalog.pg_extension e "
        "WHERE a.p = 'extension' AND " + _quoted("e.extname") + " = a.n"
    )
    yield (
        f"SELECT {_class('pg_class')}, c.attrelid, c.attnum::pg_catalog.int4 FROM pg_catalog.pg_attribute c "
        "WHERE a.p = 'column:' || c.attname AND c.attrelid = pg_catalog.to_regclass(a.n) AND NOT c.attisdropped"
    )
    for kind, catalog, name, relation in (
        ("policy", "pg_policy", "polname", "polrelid"),
        ("trigger", "pg_trigger", "tgname", "tgrelid"),
        ("rule", "pg_rewrite", "rulename", "ev_class"),
        ("constraint", "pg_constraint", "conname", "conrelid"),
    ):
        yield (
            f"SELECT {_class(catalog)}, c.oid, 0 FROM pg_catalog.{catalog} c "
            f"WHERE a.p = '{kind}:' || c.{name} AND c.{relation} = pg_catalog.to_regclass(a.n)"
        )
    yield (
        f"SELECT {_class('pg_proc')}, f.oid, 0 FROM pg_catalog.pg_proc f "
        "JOIN pg_catalog.pg_namespace s ON s.oid = f.pronamespace "
        "WHERE a.p IN ('function:', 'function:' || f.pronargs) AND CASE "
        "WHEN " + _quoted("f.proname") + " = a.n THEN pg_catalog.pg_function_is_visible(f.oid) "
        "ELSE " + _quoted("s.nspname") + " || '.' || " + _quoted("f.proname") + " = a.n END"
    )


def _class(catalog: str) -> str:
    return f"'pg_catalog.{catalog}'::pg_catalog.regclass::pg_catalog.oid"


def _quoted(column: str) -> str:
    """The name as `identifier` quotes it."""
    return f"'\"' || pg_catalog.replace({column}::text, '\"', '\"\"') || '\"'"


_DEPENDENTS = (
    "WITH RECURSIVE d(classid, objid, sub, listed) AS ("
    "SELECT u.classid, u.objid, u.sub, false FROM ROWS FROM (pg_catalog.unnest(o.classes), "
    "pg_catalog.unnest(o.oids), pg_catalog.unnest(o.subs)) u(classid, objid, sub) "
    "UNION SELECT e.classid, e.objid, e.sub, e.listed FROM d, LATERAL ("
    "SELECT x.classid, x.objid, x.objsubid AS sub, x.deptype = 'n' AS listed FROM pg_catalog.pg_depend x "
    "WHERE x.refclassid = d.classid AND x.refobjid = d.objid AND (d.sub = 0 OR x.refobjsubid = d.sub) "
    "UNION ALL SELECT x.refclassid, x.refobjid, x.refobjsubid, true FROM pg_catalog.pg_depend x "
    "WHERE d.listed AND x.deptype = 'i' AND x.classid = d.classid AND x.objid = d.objid "
    "AND (x.objsubid = 0 OR x.objsubid = d.sub)) e) "
    "SELECT pg_catalog.json_agg(DISTINCT pg_catalog.jsonb_build_object('kind', i.type, 'name', i.identity, "
    "'table', CASE WHEN t.relkind IN ('r', 'p', 'f') THEN n.nspname || '.' || t.relname ELSE '' END, "
    "'empty', t.oid IS NULL OR CASE t.relkind WHEN 'p' THEN NOT EXISTS ("
    "SELECT FROM pg_catalog.pg_partition_tree(whole.oid) q JOIN pg_catalog.pg_class t ON t.oid = q.relid "
    "JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace WHERE NOT ({holds_no_rows})) ELSE {holds_no_rows} END)) "
    "FROM (SELECT d.classid, d.objid, d.sub FROM d GROUP BY 1, 2, 3 HAVING pg_catalog.bool_and(d.listed)) y "
    "LEFT JOIN pg_catalog.pg_class t ON y.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND t.oid = y.objid "
    "LEFT JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace "
    "CROSS JOIN LATERAL (SELECT t.oid) whole(oid), "
    "LATERAL pg_catalog.pg_identify_object(y.classid, y.objid, y.sub) i "
    "WHERE i.identity IS NOT NULL AND (y.sub = 0 OR t.relkind NOT IN ('v', 'm')) AND NOT (y.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass "
    "AND EXISTS (SELECT FROM pg_catalog.pg_rewrite w WHERE w.oid = y.objid AND w.rulename = '_RETURN'))"
)
