"""What is live of the objects that pending migrations touch: one question for all of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from mosaic_deploy.errors import ResponseInvalid
from mosaic_deploy.live.client import Api
from mosaic_deploy.sql.hazards import Asked, Fact, Facts, Kind
from mosaic_deploy.sql.quote import values

_ROWS = (
    "CASE WHEN {0}.reltuples >= 0 OR pg_catalog.pg_stat_get_live_tuples({0}.oid) > 0 "
    "THEN GREATEST({0}.reltuples::bigint, pg_catalog.pg_stat_get_live_tuples({0}.oid)) END"
)
"""The planner's estimate, or the statistics' count where that is larger; null where neither was ever made."""
_RELATIONS = (
    "SELECT a.k, a.n, s.nspname AS schema, c.relname AS name, "
    "CASE WHEN c.relkind = 'p' THEN (SELECT sum(" + _ROWS.format("l") + ") "
    "FROM pg_catalog.pg_partition_tree(c.oid) t JOIN pg_catalog.pg_class l ON l.oid = t.relid WHERE t.isleaf) "
    "WHEN c.relkind IN ('r', 'm') THEN " + _ROWS.format("c") + " END AS rows, "
    "(SELECT pg_catalog.json_object_agg(attname, pg_catalog.format_type(atttypid, atttypmod)) "
    "FROM pg_catalog.pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns, "
    "(SELECT pg_catalog.json_agg(conname) FROM pg_catalog.pg_constraint "
    "WHERE conrelid = c.oid AND contype = 'p') AS keys, pg_catalog.to_json(c.reloptions) AS options "
    "FROM asked a JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(a.n) "
    "JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace WHERE a.k = 'relation'"
)
_OTHERS = (
    "SELECT a.k, a.n, '', '', NULL::numeric, NULL::json, NULL::json, NULL::json FROM asked a WHERE CASE a.k "
    "WHEN 'schema' THEN pg_catalog.to_regnamespace(a.n) IS NOT NULL "
    "WHEN 'type' THEN pg_catalog.to_regtype(a.n) IS NOT NULL "
    "WHEN 'extension' THEN EXISTS (SELECT FROM pg_catalog.pg_extension "
    "WHERE pg_catalog.quote_ident(extname) = a.n OR '\"' || extname || '\"' = a.n) "
    "WHEN 'anything' THEN EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s "
    "ON s.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'm') AND s.nspname NOT LIKE 'pg\\_%' "
    "AND s.nspname NOT IN ('information_schema', 'mosaic_deploy')) END"
)


def read_facts(api: Api, project: str, asked: Iterable[Asked]) -> Facts:
    """The answers, in one request. What isn't there isn't in them. Writes nothing."""
    rows = api.sql(project, question(asked))
    try:
        return dict(_fact(item) for item in json.loads(rows[0]["facts"]))
    except (LookupError, TypeError, ValueError):
        raise ResponseInvalid("the SQL endpoint returned the catalog in a shape that can't be read") from None


def question(asked: Iterable[Asked]) -> str:
    """One statement whose one row has one column, `facts`: JSON text."""
    wanted = [{"k": str(one.kind), "n": one.name} for one in sorted(asked)]
    return (
        f"WITH asked AS (SELECT r.k, r.n FROM {values(wanted, 'k text, n text')}) "
        "SELECT COALESCE(pg_catalog.json_agg(pg_catalog.row_to_json(f)), '[]')::text AS facts "
        f"FROM ({_RELATIONS} UNION ALL {_OTHERS}) f"
    )


def _fact(item: dict[str, Any]) -> tuple[Asked, Fact]:
    fact = Fact(
        schema=item["schema"],
        name=item["name"],
        rows=None if item["rows"] is None else int(item["rows"]),
        columns=item["columns"] or {},
        primary_keys=frozenset(item["keys"] or ()),
        options=frozenset(item["options"] or ()),
    )
    return Asked(Kind(item["k"]), item["n"]), fact
