"""Facts about the live objects that pending migrations touch, read with one query."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NamedTuple

from mosaic_deploy.errors import ResponseInvalid
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.dropped_objects import dropped_objects_sql
from mosaic_deploy.sql.hazards import Dependent, Facts, ObjectFacts, ObjectKind, ObjectRef
from mosaic_deploy.sql.quote import recordset

ROW_ESTIMATE = (
    "CASE WHEN {0}.reltuples >= 0 OR pg_catalog.pg_stat_get_live_tuples({0}.oid) > 0 "
    "THEN GREATEST({0}.reltuples::bigint, pg_catalog.pg_stat_get_live_tuples({0}.oid)) END"
)
"""The larger of the planner's estimate and the statistics' row count; null if there is neither."""
_TABLE_NAMES = "(SELECT pg_catalog.json_agg(DISTINCT n.nspname || '.' || t.relname) FROM {} JOIN pg_catalog.pg_class t ON t.oid = {} JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace WHERE {})"
"""A JSON array of table names, as `schema.name`."""
HOLDS_NO_ROWS = (
    "CASE WHEN t.relkind IN ('p', 'v') THEN true "
    "WHEN t.relkind NOT IN ('r', 'm') OR EXISTS (SELECT FROM pg_catalog.pg_locks k WHERE k.relation = t.oid "
    "AND k.mode = 'AccessExclusiveLock' AND k.granted) THEN false "
    "WHEN pg_catalog.pg_relation_size(t.oid) = 0 THEN true "
    "WHEN pg_catalog.pg_relation_size(t.oid) > 8388608 OR NOT pg_catalog.has_table_privilege(t.oid, 'SELECT') "
    "OR pg_catalog.row_security_active(t.oid) THEN false "
    "ELSE pg_catalog.query_to_xml(pg_catalog.format('SELECT 1 AS found FROM ONLY %I.%I LIMIT 1', n.nspname, t.relname), "
    "false, false, '')::text NOT LIKE '%<found>%' END"
)
"""Whether relation `t` in schema `n` surely holds no row itself. It waits for no lock and reads at most 8 MB."""
_REACHED_RELATIONS = (
    "LATERAL (WITH RECURSIVE r(oid, up, cascaded, kept) AS (SELECT c.oid, false, false, false UNION "
    "SELECT e.oid, e.up, r.cascaded OR e.cascaded, r.kept OR e.kept FROM r, LATERAL ("
    "SELECT inhparent AS oid, true AS up, false AS cascaded, false AS kept FROM pg_catalog.pg_inherits WHERE inhrelid = r.oid "
    "UNION ALL SELECT inhrelid, false, false, false FROM pg_catalog.pg_inherits WHERE inhparent = r.oid AND NOT r.up "
    "UNION ALL SELECT d.refobjid, false, false, false FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_depend d "
    "ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid "
    "AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass WHERE w.ev_class = r.oid "
    "UNION ALL SELECT conrelid, false, true, confdeltype <> 'c' FROM pg_catalog.pg_constraint "
    "WHERE confrelid = r.oid AND contype = 'f' AND confdeltype IN ('c', 'n', 'd')) e) "
    "SELECT r.oid, pg_catalog.bool_and(r.cascaded) AS cascaded, pg_catalog.bool_and(r.kept) AS kept, "
    "pg_catalog.bool_and(r.up) AS above FROM r GROUP BY r.oid) r"
)
"""Relations that share rows with relation `c`, or to which a foreign key cascades. From a partition it goes up to its
parents, but not down to its siblings. Rows are `kept` if foreign keys only set columns of them. `above`: only a parent of one of them."""
_SEQUENCES = (
    "(SELECT pg_catalog.json_object_agg(COALESCE(o.attname, ''), pg_catalog.json_build_array(CASE "
    "WHEN NOT pg_catalog.has_sequence_privilege(q.seqrelid, 'SELECT,USAGE') OR EXISTS (SELECT FROM pg_catalog.pg_locks k "
    "WHERE k.relation = q.seqrelid AND k.granted AND k.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', "
    "'AccessExclusiveLock')) THEN pg_catalog.sign(q.seqincrement) * 9223372036854775807::numeric "
    "ELSE pg_catalog.pg_sequence_last_value(q.seqrelid) END, q.seqincrement)) "
    "FROM pg_catalog.pg_sequence q LEFT JOIN (pg_catalog.pg_depend d JOIN pg_catalog.pg_attribute o "
    "ON o.attrelid = d.refobjid AND o.attnum = d.refobjsubid) ON d.objid = q.seqrelid AND d.refobjid = c.oid "
    "AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i') "
    "AND d.refclassid = d.classid WHERE q.seqrelid = c.oid OR d.refobjid IS NOT NULL)"
)
"""How far relation `c` is, if it is a sequence, and those of its columns; a value that can't be read counts as the last one.
It waits for no lock."""
_KEY_UPDATES = (
    "(WITH RECURSIVE k(oid, changed, columns) AS ("
    "SELECT f.conrelid, f.conkey, f.confkey FROM pg_catalog.pg_constraint f "
    "WHERE f.confrelid = c.oid AND f.contype = 'f' AND f.confupdtype IN ('c', 'n', 'd') UNION "
    "SELECT f.conrelid, f.conkey, k.columns FROM k JOIN pg_catalog.pg_constraint f ON f.confrelid = k.oid AND f.contype = 'f' "
    "AND f.confupdtype IN ('c', 'n', 'd') AND f.confkey && k.changed) "
    "SELECT pg_catalog.json_object_agg(u.name, u.columns) FROM (SELECT n.nspname || '.' || t.relname AS name, "
    "pg_catalog.json_agg(DISTINCT a.attname) AS columns FROM k JOIN pg_catalog.pg_class t ON t.oid = k.oid "
    "JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace "
    "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (k.columns) GROUP BY 1) u)"
)
"""A JSON object: the tables whose rows change when columns of relation `c` do, through foreign keys, and which columns."""
_PARTITION_KEYS = (
    "(SELECT pg_catalog.json_agg(DISTINCT COALESCE(a.attname::text, '')) FROM pg_catalog.pg_partition_tree(c.oid) t "
    "JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = t.relid "
    "CROSS JOIN LATERAL pg_catalog.unnest(p.partattrs::smallint[]) k(number) "
    "LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = k.number AND k.number > 0)"
)
"""A JSON array: the key columns of the partitioned relation `c` and of those below it; "" for an expression."""
_RELATIONS = (
    "SELECT a.k, a.n, a.p, s.nspname AS schema, c.relname AS name, "
    "CASE WHEN c.relkind = 'p' THEN (SELECT sum(" + ROW_ESTIMATE.format("l") + ") "
    "FROM pg_catalog.pg_partition_tree(c.oid) t JOIN pg_catalog.pg_class l ON l.oid = t.relid WHERE t.isleaf) "
    "WHEN c.relkind IN ('r', 'm') THEN "
    + ROW_ESTIMATE.format("c")
    + " END AS rows, pg_catalog.json_build_object("
    "'columns', (SELECT pg_catalog.json_object_agg(attname, pg_catalog.format_type(atttypid, atttypmod)) "
    "FROM pg_catalog.pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped), "
    "'required', (SELECT pg_catalog.json_agg(attname) FROM pg_catalog.pg_attribute "
    "WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attnotnull), "
    "'keys', (SELECT pg_catalog.json_agg(conname) FROM pg_catalog.pg_constraint "
    "WHERE conrelid = c.oid AND contype = 'p'), 'options', c.reloptions, 'relkind', c.relkind, "
    "'populated', c.relispopulated, 'row_security', c.relrowsecurity, "
    "'sequences', " + _SEQUENCES + ", "
    "'policies', (SELECT pg_catalog.json_agg(polname) FROM pg_catalog.pg_policy WHERE polrelid = c.oid), "
    "'checks', (SELECT pg_catalog.json_agg(pg_catalog.pg_get_constraintdef(k.oid)) FROM pg_catalog.pg_constraint k "
    "WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.convalidated), "
    "'empty', " + _TABLE_NAMES.format(_REACHED_RELATIONS, "r.oid", HOLDS_NO_ROWS) + ", "
    "'holds', " + _TABLE_NAMES.format(_REACHED_RELATIONS, "r.oid", "r.oid <> c.oid AND NOT r.cascaded") + ", "
    "'cascades', " + _TABLE_NAMES.format(_REACHED_RELATIONS, "r.oid", "r.oid <> c.oid AND r.cascaded") + ", "
    "'cascade_updates', "
    + _TABLE_NAMES.format(_REACHED_RELATIONS, "r.oid", "r.oid <> c.oid AND r.cascaded AND r.kept")
    + ", "
    "'cascade_rows', (SELECT pg_catalog.json_object_agg(n.nspname || '.' || t.relname, "
    + ROW_ESTIMATE.format("t")
    + f") FROM {_REACHED_RELATIONS} JOIN pg_catalog.pg_class t ON t.oid = r.oid "
    "JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace WHERE r.oid <> c.oid AND r.cascaded), "
    "'parents', " + _TABLE_NAMES.format(_REACHED_RELATIONS, "r.oid", "r.above") + ", "
    "'key_updates', " + _KEY_UPDATES + ", "
    "'partition_keys', CASE WHEN c.relkind = 'p' THEN " + _PARTITION_KEYS + " END, "
    "'typed', "
    + _TABLE_NAMES.format(
        "pg_catalog.pg_attribute y",
        "y.attrelid",
        "c.reltype <> 0 AND t.relkind IN ('r', 'p') AND NOT y.attisdropped AND y.atttypid IN (c.reltype, "
        "(SELECT typarray FROM pg_catalog.pg_type p WHERE p.oid = c.reltype))",
    )
    + ") AS more "
    "FROM asked a JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(a.n) "
    "JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace WHERE a.k = 'relation'"
)
_FUNCTIONS = (
    "SELECT a.k, a.n, a.p, '', '', NULL::numeric, NULL::json "
    "FROM asked a JOIN pg_catalog.pg_proc f ON '\"' || pg_catalog.replace(f.proname, '\"', '\"\"') || '\"' = a.n "
    "JOIN pg_catalog.pg_namespace s ON s.oid = f.pronamespace WHERE a.k = 'function' "
    "AND s.nspname NOT IN ('pg_catalog', 'information_schema') AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d "
    "WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = f.oid AND d.deptype = 'e') "
    "GROUP BY a.k, a.n, a.p"
)
_OTHER_OBJECTS = (
    "SELECT a.k, a.n, a.p, '', '', NULL::numeric, CASE a.k WHEN 'type' THEN pg_catalog.json_build_object('checks', "
    "(SELECT pg_catalog.json_agg(pg_catalog.pg_get_constraintdef(k.oid)) FROM pg_catalog.pg_constraint k "
    "WHERE k.contypid = pg_catalog.to_regtype(a.n))) END FROM asked a WHERE CASE a.k "
    "WHEN 'schema' THEN pg_catalog.to_regnamespace(a.n) IS NOT NULL "
    "WHEN 'type' THEN pg_catalog.to_regtype(a.n) IS NOT NULL "
    "WHEN 'extension' THEN EXISTS (SELECT FROM pg_catalog.pg_extension "
    "WHERE pg_catalog.quote_ident(extname) = a.n OR '\"' || extname || '\"' = a.n) "
    "WHEN 'anything' THEN EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s "
    "ON s.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'm') AND s.nspname NOT LIKE 'pg\\_%' "
    "AND s.nspname NOT IN ('information_schema', 'mosaic_deploy')) END"
)


def read_facts(api: Api, project: str, references: Collection[ObjectRef]) -> Facts:
    """Facts about the objects that exist, in one request. Reads only."""
    rows = api.sql(project, facts_query(references))
    try:
        return dict(_parse_fact(item) for item in json.loads(rows[0]["facts"]))
    except (LookupError, TypeError, ValueError):
        raise ResponseInvalid("the SQL endpoint returned the catalog in an unexpected format") from None


class LiveNames(NamedTuple):
    """`relations` are the (schema, name) of every table, view and sequence; `functions` the asked names that are functions."""

    relations: list[tuple[str, str]]
    functions: set[str]
    triggering: set[str]
    """Names of relations on which writes may fire a trigger whose function may create or change tables."""
    has_event_triggers: bool
    """Whether an event trigger may create or change tables."""


_CHANGING = "f.prosrc ~* '\\m(create|alter|rename|execute|perform)\\M'"
"""Whether the text of function `f` looks as if it might change tables; false for functions in C."""


def read_names(api: Api, project: str, columns: Collection[str]) -> LiveNames:
    """What the database has of the names, and whether triggers may add to that."""
    rows = api.sql(
        project,
        "SELECT (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname, c.relname)) FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind NOT IN ('i', 'I', 't') "
        "AND n.nspname NOT LIKE 'pg\\_toast%')::text AS relations, "
        "(SELECT pg_catalog.json_agg(DISTINCT f.proname) FROM pg_catalog.pg_proc f "
        f"JOIN {recordset([{'n': name} for name in columns], 'n text')} ON r.n = f.proname::text)::text AS functions, "
        f"(WITH t AS (SELECT t.tgrelid FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc f ON f.oid = t.tgfoid "
        f"WHERE NOT t.tgisinternal AND {_CHANGING}) SELECT pg_catalog.json_agg(c.relname) FROM pg_catalog.pg_class c "
        "WHERE EXISTS (SELECT FROM t) AND (c.relkind IN ('v', 'p') OR c.relhassubclass OR c.oid IN (SELECT tgrelid FROM t) "
        "OR EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.confrelid = c.oid AND k.confdeltype IN ('c', 'n', 'd'))))"
        "::text AS triggering, "
        "EXISTS (SELECT FROM pg_catalog.pg_event_trigger t JOIN pg_catalog.pg_proc f ON f.oid = t.evtfoid "
        f"WHERE {_CHANGING})::text AS event_triggers",
    )
    try:
        row = rows[0]
        relations = [(str(schema), str(name)) for schema, name in json.loads(row["relations"] or "[]")]
        functions, triggering = (set(json.loads(row[field] or "[]")) for field in ("functions", "triggering"))
        return LiveNames(relations, functions, triggering, row["event_triggers"] == "true")
    except (LookupError, TypeError, ValueError):
        raise ResponseInvalid("the SQL endpoint returned the catalog in an unexpected format") from None


def facts_query(references: Collection[ObjectRef]) -> str:
    """One statement whose one row has one column, `facts`: JSON text."""
    wanted = [{"k": str(one.kind), "n": one.name, "p": one.part} for one in sorted(references)]
    queries = [_RELATIONS, _FUNCTIONS, _OTHER_OBJECTS]
    if any(one.part for one in references):
        queries.append(dropped_objects_sql(HOLDS_NO_ROWS))
    return (
        f"WITH asked AS (SELECT r.k, r.n, r.p FROM {recordset(wanted, 'k text, n text, p text')}) "
        "SELECT COALESCE(pg_catalog.json_agg(pg_catalog.row_to_json(f)), '[]')::text AS facts "
        f"FROM ({' UNION ALL '.join(queries)}) f"
    )


def _parse_fact(item: dict[str, Any]) -> tuple[ObjectRef, ObjectFacts]:
    more = item["more"] or {}
    dependents = more.get("dependents") or ()
    fact = ObjectFacts(
        schema=item["schema"],
        name=item["name"],
        rows=None if item["rows"] is None else int(item["rows"]),
        columns=more.get("columns") or {},
        primary_keys=frozenset(more.get("keys") or ()),
        storage_options=frozenset(more.get("options") or ()),
        not_null_columns=frozenset(more.get("required") or ()),
        shares_rows_with=frozenset(more.get("holds") or ()),
        cascades=frozenset(more.get("cascades") or ()),
        cascade_updates=frozenset(more.get("cascade_updates") or ()),
        cascade_rows={
            name: int(rows) for name, rows in (more.get("cascade_rows") or {}).items() if rows is not None
        },
        parents=frozenset(more.get("parents") or ()),
        key_updates={name: frozenset(columns) for name, columns in (more.get("key_updates") or {}).items()},
        partition_keys=frozenset(more.get("partition_keys") or ()),
        tables_with_row_type=frozenset(more.get("typed") or ()),
        relation_kind=more.get("relkind") or "",
        populated=more.get("populated") is not False,
        row_security=bool(more.get("row_security")),
        policies=frozenset(more.get("policies") or ()),
        checks=tuple(more.get("checks") or ()),
        empty_tables=frozenset(
            (
                *(more.get("empty") or ()),
                *(one["table"] for one in dependents if one["empty"] and one["table"]),
            )
        ),
        last_values={
            name: (None if last is None else int(last), int(increment))
            for name, (last, increment) in (more.get("sequences") or {}).items()
        },
        dependents=tuple(Dependent(one["kind"], one["name"], one["table"]) for one in dependents),
    )
    return ObjectRef(ObjectKind(item["k"]), item["n"], item["p"]), fact
