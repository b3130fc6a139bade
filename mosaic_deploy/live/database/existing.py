"""Reads what exists when a run begins: tables with rows, and objects. The guard measures what the run does to them."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from mosaic_deploy.errors import ResponseInvalid, SqlFailed
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.responses import Row
from mosaic_deploy.live.ledger.lease import lease_lost_error
from mosaic_deploy.live.ledger.rows import lease_held_cte
from mosaic_deploy.model.effects import Effects
from mosaic_deploy.sql.guard.agreement import Existing
from mosaic_deploy.sql.guard.measure import COUNTABLE, EXISTING, UNTIL
from mosaic_deploy.sql.guard.objects import OBJECTS_NOW
from mosaic_deploy.sql.quote import json_literal, literal

_USED_AS_TYPE = (
    "t.oid IN (SELECT r.oid FROM pg_catalog.pg_type y LEFT JOIN pg_catalog.pg_type e ON e.oid = y.typelem "
    "LEFT JOIN pg_catalog.pg_type b ON b.oid IN (y.typbasetype, e.typbasetype) "
    "CROSS JOIN LATERAL (VALUES (y.typrelid), (e.typrelid), (b.typrelid)) r(oid) WHERE r.oid <> 0 AND EXISTS "
    "(SELECT FROM pg_catalog.pg_attribute u WHERE u.atttypid = y.oid AND NOT u.attisdropped))"
)
"""The types don't depend on `t`, so PostgreSQL looks for them once, and not for each table."""
_HOLD_VALUES = (
    f"(t.relkind IN ('r', 'f') OR t.relkind = 'c' AND {_USED_AS_TYPE}) AND t.relpersistence <> 't' "
    "AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', 'mosaic_deploy')"
)
"""Tables, and composite types that a column has."""
_NAMES = (
    "CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = t.oid) THEN "
    "(WITH RECURSIVE up(oid, place) AS (SELECT t.oid, 0 UNION ALL SELECT i.inhparent, place + 1 FROM up "
    "JOIN pg_catalog.pg_inherits i ON i.inhrelid = up.oid) SELECT pg_catalog.array_agg(m.nspname || '.' || c.relname "
    "ORDER BY place) FROM up JOIN pg_catalog.pg_class c ON c.oid = up.oid JOIN pg_catalog.pg_namespace m ON m.oid = c.relnamespace) "
    "ELSE ARRAY[n.nspname || '.' || t.relname] END"
)
"""The table's name and those of its parents, as `schema.name`."""
_LOCKED = "SELECT k.relation FROM pg_catalog.pg_locks k WHERE k.mode = 'AccessExclusiveLock' AND k.granted AND k.relation IS NOT NULL"
_HOLDS_ROWS = (
    "CASE WHEN t.relkind <> 'r' OR t.oid IN (SELECT relation FROM locked) THEN true "
    f"WHEN pg_catalog.pg_relation_size(t.oid) = 0 THEN {_USED_AS_TYPE} "
    "WHEN pg_catalog.pg_stat_get_live_tuples(t.oid) > 0 OR pg_catalog.pg_relation_size(t.oid) > 8388608 "
    "OR NOT pg_catalog.has_table_privilege(t.oid, 'SELECT') OR pg_catalog.row_security_active(t.oid) "
    "THEN true "
    "ELSE pg_catalog.query_to_xml(pg_catalog.format('SELECT 1 AS found FROM ONLY %I.%I LIMIT 1', n.nspname, t.relname), "
    "false, false, '')::text LIKE '%<found>%' END"
)
"""Whether table `t` in schema `n` may hold rows. It reads at most 8 MB of each table, and waits for no lock:
asking for the size of a locked one would."""
_FOREIGN_ROWS = (
    "pg_catalog.query_to_xml(pg_catalog.format('SELECT 1 AS found FROM ONLY %I.%I WHERE pg_catalog.age(xmin) < %s LIMIT 1', "
    "n.nspname, t.relname, pg_catalog.age(before.until)), false, false, '')::text LIKE '%<found>%'"
)
"""Whether a row of the table is newer than the last committed step of the failed run."""


def _tables(whole: Collection[str]) -> str:
    """A SELECT of `oid`, `names` and the number of the last column, given the CTEs `before` and `locked`."""
    names = json_literal(sorted(map(_with_schema, whole)))
    return f"""SELECT t.oid, o.names, t.relnatts FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
  LEFT JOIN before ON true, LATERAL (SELECT pg_catalog.to_jsonb({_NAMES}) AS names OFFSET 0) o
  WHERE {_HOLD_VALUES} AND (o.names ?| ARRAY(SELECT pg_catalog.jsonb_array_elements_text({names}::jsonb))
    OR {_HOLDS_ROWS} AND CASE WHEN before.value IS NULL OR before.value->'tables' ? t.oid::text OR NOT before.is_noted
      OR t.relkind = 'f' OR pg_catalog.row_security_active(t.oid) OR t.oid IN (SELECT relation FROM locked) THEN true
      WHEN t.relkind = 'c' THEN pg_catalog.age(t.xmin) < pg_catalog.age(before.until)
      ELSE {_FOREIGN_ROWS} END)"""


_OBJECTS = f"""SELECT o.key, o.name FROM ({OBJECTS_NOW}) o LEFT JOIN before ON true
  WHERE before.value IS NULL OR before.value->'objects' ? o.key OR NOT before.is_noted
    OR pg_catalog.age(o.written) < pg_catalog.age(before.until)"""
_LARGE_OBJECTS = """SELECT 2995::pg_catalog.oid AS oid, '["large objects"]'::jsonb AS names, 0 AS relnatts
  WHERE EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)
  UNION ALL SELECT 2613, '["data of large objects"]', 0 WHERE EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)"""
"""Their two system catalogs, which are locked only for a moment."""
_FOUND = f"""pg_catalog.jsonb_build_object(
    'tables', (SELECT COALESCE(pg_catalog.jsonb_object_agg(oid, names), '{{}}') FROM (SELECT * FROM tables UNION ALL {_LARGE_OBJECTS}) t),
    'columns', (SELECT COALESCE(pg_catalog.jsonb_object_agg(oid, relnatts), '{{}}') FROM tables),
    'objects', (SELECT COALESCE(pg_catalog.jsonb_object_agg(key, name), '{{}}') FROM objects))"""


def _failed_run(own: str) -> str:
    """A SELECT of what existed before the run that failed last, or before the run `own` if it has recorded that already.

    `running` is a run that was killed, until the next one takes the lock.
    """
    return f"""SELECT s.value, s.deploy_id = {own} AS is_own, COALESCE(u.deploy_id = s.deploy_id, false) AS is_noted, u.xmin AS until
  FROM mosaic_deploy.settings s LEFT JOIN mosaic_deploy.settings u ON u.name = '{UNTIL}'
  WHERE s.name = '{EXISTING}' AND EXISTS (SELECT FROM mosaic_deploy.deploys d WHERE d.id = s.deploy_id
    AND d.status IN ('failed', 'interrupted', 'running'))"""


def existing_sql(token: str, deploy_id: str, whole: Collection[str], *, again: bool = False) -> str:
    """Reads and records what existed before this run, or before the failed run that this one continues. May be sent twice.

    The tables of `whole`, with their partitions, count also without rows. `again`: and what somebody else has added since the last committed step of this run, which is running.

    What a failed run has made and filled by its last committed step isn't from before, unless somebody else has added rows or
    objects since. One row: `held`, and `existing` as JSON.
    """
    deploy = literal(deploy_id)
    value = _FOUND if again else f"COALESCE((SELECT b.value FROM before b WHERE b.is_own), {_FOUND})"
    until = "" if again else f", ('{UNTIL}', '0'::jsonb)"
    return f"""WITH {lease_held_cte(token)},
before AS MATERIALIZED ({_failed_run(deploy)}),
locked AS MATERIALIZED ({_LOCKED}), tables AS ({_tables(whole)}), objects AS ({_OBJECTS}),
found AS MATERIALIZED (SELECT {value} AS value FROM held),
written AS (INSERT INTO mosaic_deploy.settings AS s (name, value, deploy_id, updated_at)
  SELECT r.name, r.value, {deploy}, pg_catalog.clock_timestamp()
  FROM found, LATERAL (VALUES ('{EXISTING}', found.value){until}) r(name, value)
  ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value, deploy_id = EXCLUDED.deploy_id, updated_at = EXCLUDED.updated_at
  WHERE {again} OR s.deploy_id <> EXCLUDED.deploy_id RETURNING 1)
SELECT (SELECT count(*) FROM held) AS held, (SELECT count(*) FROM written) AS written,
  (SELECT value FROM found)::text AS existing"""


def read_has_rows_from_before(api: Api, project: str) -> bool:
    """Whether a table holds rows that the failed run before, and those that it continued, didn't make. Raises ApiError.

    True if the last run didn't fail, or ended before its first SQL. To be asked without another deploy running.
    """
    sql = f"""WITH before AS MATERIALIZED ({_failed_run("''")}), locked AS MATERIALIZED ({_LOCKED}), tables AS ({_tables(())})
SELECT (NOT EXISTS (SELECT FROM before) OR EXISTS (SELECT FROM tables))::text AS found"""
    rows = api.sql(project, sql)
    return not rows or rows[0].get("found") != "false"


def existing_now_sql(whole: Collection[str]) -> str:
    """Reads what exists now, `whole` as for `existing_sql`. One row: `existing` as JSON."""
    return f"""WITH before AS (SELECT NULL::jsonb AS value, false AS is_noted, NULL::xid AS until),
locked AS MATERIALIZED ({_LOCKED}), tables AS ({_tables(whole)}), objects AS ({_OBJECTS})
SELECT ({_FOUND})::text AS existing"""


def _with_schema(table: str) -> str:
    return table if "." in table else f"public.{table}"


def read_existing(
    api: Api,
    project: str,
    token: str,
    deploy_id: str,
    protected: Collection[str],
    filled: Collection[str] = (),
    *,
    again: bool = False,
) -> Existing:
    """What existed before the run `deploy_id`, and of the tables `filled` also partitions without rows. `again` as for
    `existing_sql`. Raises LockLost, ApiError, ResponseInvalid.
    """
    rows = api.sql(project, existing_sql(token, deploy_id, (*protected, *filled), again=again))
    if rows and str(rows[0].get("held")) == "0":
        raise lease_lost_error()
    return _parse(rows, protected)


def read_existing_now(
    api: Api, project: str, protected: Collection[str], filled: Collection[str] = ()
) -> Existing:
    """What exists now, `filled` as for `read_existing`. Raises ApiError, ResponseInvalid."""
    return _parse(api.sql(project, existing_now_sql((*protected, *filled))), protected)


def with_rows_before(api: Api, project: str, existing: Existing, effects: Effects) -> Effects:
    """The effects, which were rolled back, with the rows of the tables that were emptied or dropped.

    Tables keep the number that the measurement has. A table has none if it can't be read, or not in time. Raises ApiError.
    """
    wanted = {one.table for one in effects.tables if one.loses_all_rows and one.rows_before is None}
    oids = {oid: names[0] for oid, names in existing.tables.items() if names[0] in wanted}
    if not oids:
        return effects
    try:
        rows = api.sql(project, _rows_sql(oids))
    except SqlFailed:
        return effects
    counted = {oids[str(row["oid"])]: int(row["rows"]) for row in rows if row["rows"] is not None}
    tables = (
        replace(one, rows_before=counted[one.table]) if one.table in counted else one
        for one in effects.tables
    )
    return replace(effects, tables=tuple(tables))


def _rows_sql(oids: Collection[str]) -> str:
    """A SELECT of the tables' `oid` and `rows`, the number or NULL, as texts."""
    query = "pg_catalog.format('SELECT count(*) AS found FROM ONLY %I.%I', n.nspname, t.relname)"
    counted = f"pg_catalog.query_to_xml({query}, false, false, '')::text"
    return f"""SELECT t.oid::text AS oid, CASE WHEN {COUNTABLE.format(oid="t.oid")}
    THEN substring({counted} FROM '<found>([0-9]+)</found>') END AS rows
  FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
  WHERE t.relkind = 'r' AND t.oid IN ({", ".join(sorted(oids))})"""


def _parse(rows: list[Row], protected: Collection[str]) -> Existing:
    try:
        facts: Any = json.loads(rows[0]["existing"])
        tables = {str(oid): tuple(map(str, names)) for oid, names in facts["tables"].items()}
        objects = {str(key): str(name) for key, name in facts["objects"].items()}
        columns = {str(oid): int(number) for oid, number in facts["columns"].items()}
        return Existing(tables, objects, columns, frozenset(map(_with_schema, protected)))
    except (AttributeError, LookupError, TypeError, ValueError):
        raise ResponseInvalid("the SQL endpoint returned the catalog in an unexpected format") from None
