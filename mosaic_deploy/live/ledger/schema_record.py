"""The record of the schema that a deploy leaves, in two rows of the settings table, and its comparison with the live schema.

The row RECORD has the schema's digest, PostgreSQL's major version, and `kept`; the row OBJECTS has all objects. They are rows of
settings because a plan must be read in one query from older layouts too, where a table of its own wouldn't exist.

- **A deploy's own changes aren't drift.** Before it changes the schema, it writes its ID into RECORD as `open`; when it has
  recorded the schema it left, `open` is gone. After a crash in between nothing is compared until the next deploy records.
- **A deploy swallows no drift.** `open` is written together with `kept`, the list of what has drifted by then: kind, name,
  parent, the definition that was expected (null if none), and the live one. What still has that live definition when the
  deploy records is expected as before; what the deploy changed is expected as it left it.
- **Digests only save time.** If they differ, the objects decide.
- **Rows that aren't well-formed count as none.** The database's own role can write them; that must stop no plan.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mosaic_deploy.errors import ResponseInvalid
from mosaic_deploy.live.catalog.query import CATALOG_OBJECTS
from mosaic_deploy.live.ledger.rows import lease_held_cte
from mosaic_deploy.model.catalog import SchemaComparison, SchemaObject, SchemaState
from mosaic_deploy.sql.guard.measure import EXISTING
from mosaic_deploy.sql.guard.schema_check import LEFT
from mosaic_deploy.sql.guard.schema_result import NOTED, OBJECT_ID, compared_sql, differences_sql, digest_sql
from mosaic_deploy.sql.quote import json_literal, literal

RECORD, OBJECTS = "catalog", "catalog.objects"
_MAX_DIFFERENCES = 2000
"""Objects in an answer."""


@dataclass(frozen=True, slots=True)
class ExpectedResult:
    """What a deploy must have changed of the schema: digests by object_id, as of TouchedNames. `unmanaged` as in SchemaReader.

    `others`: everything else must be as it was recorded.
    """

    changed: Mapping[str, str]
    unmanaged: str
    others: bool


_SERVER = "pg_catalog.current_setting('server_version_num')::integer / 10000"
_LIVE = f"""live AS MATERIALIZED ({CATALOG_OBJECTS}),
digest AS MATERIALIZED (SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(COALESCE(pg_catalog.string_agg(
  pg_catalog.json_build_array(kind, parent, name, definition)::text, E'\\n' ORDER BY kind, parent, name), ''), 'UTF8')), 'hex')
  AS value FROM live)"""


def _has_others(value: str, path: str, shape: str) -> str:
    """Whether the JSON array at `path` in `value` has elements that aren't arrays of three strings and more of this `shape`."""
    others = (
        f'strict {path}[*] ? (@.type() != "array" || {shape} || exists (@[0 to 2] ? (@.type() != "string")))'
    )
    return f"pg_catalog.jsonb_path_exists({value}, {literal(others)}, '{{}}', true)"


_NO_TEXTS = 'exists (@[3 to last] ? (@.type() != "string" && @.type() != "null"))'
_RECORD_ROW = f"""(SELECT s.deploy_id, s.updated_at, CASE WHEN pg_catalog.jsonb_typeof(s.value) = 'object'
    AND pg_catalog.jsonb_typeof(s.value->'digest') = 'string' AND pg_catalog.jsonb_typeof(s.value->'kept') = 'array'
    AND NOT {_has_others("s.value", "$.kept", f"@.size() != 5 || {_NO_TEXTS}")} AND s.value->>'server' ~ '^[0-9]{{1,4}}$' THEN s.value ELSE '{{"kept": [], "server": 0, "damaged": true}}' END AS value
  FROM mosaic_deploy.settings s WHERE s.name = {literal(RECORD)}) r"""
"""The row RECORD as `r`; its value is another one, with `damaged`, if it isn't well-formed."""
_OBJECTS = f"""(SELECT CASE WHEN pg_catalog.jsonb_typeof(s.value) = 'array'
    AND NOT {_has_others("s.value", "$", f"@.size() != 4 || {_NO_TEXTS}")} THEN s.value END
  FROM mosaic_deploy.settings s WHERE s.name = {literal(OBJECTS)})"""
"""Null if they aren't well-formed."""


def _listed(array: str, *columns: str) -> str:
    """The JSON arrays in `array` as rows of kind, name, parent and `columns`."""
    named = [
        f'(e->>{n}) COLLATE "C" AS {name}' for n, name in enumerate(("kind", "name", "parent", *columns))
    ]
    return f"SELECT {', '.join(named)} FROM pg_catalog.jsonb_array_elements({array}) AS e"


def _differences(kept: str) -> str:
    """Rows of kind, name, parent, `expected`, `definition` and `place` of objects that differ; null is no object."""
    expected = "CASE WHEN k.is_kept THEN k.expected ELSE o.definition END"
    return (
        f"SELECT kind, name, parent, {expected} AS expected, l.definition, l.place FROM live l "
        f"FULL JOIN ({_listed(_OBJECTS, 'definition')}) o USING (kind, name, parent) "
        f"FULL JOIN (SELECT *, true AS is_kept FROM ({_listed(kept, 'expected')}) e) k USING (kind, name, parent) "
        f"WHERE {expected} IS DISTINCT FROM l.definition"
    )


def _still_kept(kept: str) -> str:
    """Of the JSON array `kept`, what still has the live definition that it had."""
    return (
        "SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(k.kind, k.name, k.parent, k.expected, k.definition)"
        f"), '[]') FROM ({_listed(kept, 'expected', 'definition')}) k "
        "LEFT JOIN live l ON (l.kind, l.name, l.parent) = (k.kind, k.name, k.parent) "
        "WHERE l.definition IS NOT DISTINCT FROM k.definition AND k.kind IS NOT NULL"
    )


def _kept_too(drifted: Sequence[tuple[str, str, str]], kept: str) -> str:
    """What is added to the JSON array `kept`: these objects, expected as they were recorded before."""
    return (
        "SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(d.kind, d.name, d.parent, o.definition, l.definition)"
        f"), '[]') FROM ({_listed(f'({json_literal(drifted)}::jsonb)')}) d LEFT JOIN live l USING (kind, name, parent) "
        f"LEFT JOIN ({_listed(_OBJECTS, 'definition')}) o USING (kind, name, parent) "
        "WHERE o.definition IS DISTINCT FROM l.definition AND (d.kind, d.name, d.parent) NOT IN "
        f"(SELECT k.kind, k.name, k.parent FROM ({_listed(kept)}) k)"
    )


_COMPARABLE = f"r.value->>'open' IS NULL AND (r.value->>'server')::integer = {_SERVER}"
_EQUAL = "digest.value = r.value->>'digest' AND r.value->'kept' = '[]'"
_KEPT = "r.value->'kept'"

COMPARISON_QUERY = f"""SELECT pg_catalog.json_build_object('deploy', r.deploy_id, 'at', r.updated_at, 'open', r.value->>'open',
  'damaged', r.value->'damaged', 'servers', pg_catalog.json_build_array(r.value->'server', {_SERVER}),
  'live', CASE WHEN {_COMPARABLE} THEN (WITH {_LIVE} SELECT pg_catalog.json_build_object('digest', digest.value, 'objects',
    CASE WHEN {_EQUAL} THEN '[]' WHEN {_OBJECTS} IS NOT NULL THEN (
      SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(kind, name, parent, expected, definition)
        ORDER BY parent, place, kind, name), '[]')
      FROM (SELECT * FROM ({_differences(_KEPT)}) d ORDER BY parent <> '', kind, name LIMIT {_MAX_DIFFERENCES + 1}) d)
    END) FROM digest) END) AS found
FROM {_RECORD_ROW}"""
"""One row with one column, for `parse_comparison`; no row if nothing is recorded. Reads only."""

_DAMAGED = (
    "something else than a deploy has written the recorded schema, so it counts as none; the next apply records the "
    "schema as it is then"
)


def begin_schema_change_sql(token: str, deploy_id: str, *, read: bool = True) -> str:
    """Opens the record, if there is one, and lists in it what has drifted. One that is open keeps its list, as far as it is true.

    To be sent before each change of the schema. May be sent twice, and late: it does nothing once this deploy has recorded.
    Without `read` it doesn't look at the schema, and keeps the list as it is. Returns `held` and `written`.
    """
    kept = f"""CASE WHEN NOT ({_COMPARABLE}) THEN ({_still_kept(_KEPT)}) WHEN {_EQUAL} OR {_OBJECTS} IS NULL THEN '[]'
    ELSE (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(kind, name, parent, expected, definition))
      FROM ({_differences(_KEPT)}) d) END"""
    return f"""WITH {lease_held_cte(token)}, {f"{_LIVE}," if read else ""}
kept AS MATERIALIZED (SELECT r.value, COALESCE({kept if read else _KEPT}, '[]') AS list
  FROM held, {_RECORD_ROW}{", digest" if read else ""} WHERE r.deploy_id <> {literal(deploy_id)}),
written AS (UPDATE mosaic_deploy.settings s
  SET value = kept.value || pg_catalog.jsonb_build_object('open', {literal(deploy_id)}::text, 'kept', kept.list)
  FROM kept WHERE s.name = {literal(RECORD)} AND s.deploy_id <> {literal(deploy_id)} RETURNING 1)
SELECT (SELECT count(*) FROM held) AS held, (SELECT count(*) FROM written) AS written"""


def record_schema_sql(
    token: str,
    deploy_id: str,
    *,
    accepted: str | None = None,
    only_again: bool = False,
    ends_sql: bool = False,
    drifted: Sequence[tuple[str, str, str]] = (),
    result: ExpectedResult | None = None,
) -> str:
    """Records the live schema. May be sent twice. Returns `held`, `written`, and `differences` from the `result`.

    With `accepted`, a digest, drift is accepted as it is: nothing is kept, and nothing written if the schema has another digest.
    With `only_again`, nothing is written if nothing was recorded before. With `ends_sql`, all SQL of the run is done, so what
    existed when it began is forgotten: the next run doesn't continue it, even if this one fails later. `drifted` are kind, name and
    parent of what somebody else has changed since the run began: it stays drift. `differences` is null if the request is sent again.
    """
    previous = f"(SELECT {_KEPT} FROM {_RECORD_ROW})"
    kept = "'[]'::jsonb" if accepted is not None else f"({_still_kept(previous)})"
    if drifted:
        kept = f"({kept} || ({_kept_too(drifted, kept)}))"
    shown = f" WHERE digest.value = {literal(accepted)}" if accepted is not None else ""
    if only_again:
        shown = f" WHERE EXISTS (SELECT FROM mosaic_deploy.settings r WHERE r.name = {literal(RECORD)})"
    ended = f""",
ended AS (DELETE FROM mosaic_deploy.settings WHERE name IN ({literal(EXISTING)}, {literal(LEFT)}, {literal(NOTED)}) AND EXISTS (SELECT FROM held))"""
    ended = ended if ends_sql else ""
    return f"""WITH {lease_held_cte(token)}, {_LIVE},
rows (name, value) AS (
  SELECT {literal(RECORD)}, pg_catalog.jsonb_build_object('digest', digest.value, 'server', {_SERVER}, 'kept', {kept})
  FROM held, digest{shown} UNION ALL
  SELECT {literal(OBJECTS)}, (SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(kind, name, parent, definition)
    ORDER BY kind, parent, name), '[]') FROM live) FROM held, digest{shown}),
written AS (INSERT INTO mosaic_deploy.settings (name, value, deploy_id, updated_at)
  SELECT name, value, {literal(deploy_id)}, pg_catalog.clock_timestamp() FROM rows
  ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value, deploy_id = EXCLUDED.deploy_id, updated_at = EXCLUDED.updated_at
  RETURNING 1){ended}
SELECT (SELECT count(*) FROM held) AS held, (SELECT count(*) FROM written) AS written{_result_differences(result, deploy_id)}"""


def _result_differences(result: ExpectedResult | None, deploy_id: str) -> str:
    if result is None:
        return ""
    recorded = (
        f"SELECT p.kind, p.name, p.parent, p.definition FROM ({_listed(_OBJECTS, 'definition')}) p WHERE NOT EXISTS (SELECT FROM "
        f"({_listed(_KEPT)}) k WHERE (k.kind, k.name, k.parent) = (p.kind, p.name, p.parent)) UNION ALL "
        f"SELECT kind, name, parent, definition FROM ({_listed(_KEPT, 'expected', 'definition')}) k WHERE definition IS NOT NULL"
    )
    compared = compared_sql(result.unmanaged)
    digests = f"SELECT pg_catalog.jsonb_object_agg({OBJECT_ID}, {digest_sql('p.definition')})"
    before = f"SELECT COALESCE(({digests} FROM ({recorded}) p WHERE {compared}), '{{}}')"
    comparable = f"r.deploy_id <> {literal(deploy_id)} AND (r.value->>'server')::integer = {_SERVER}"
    known = (
        f"CASE WHEN {comparable} AND {_OBJECTS} IS NOT NULL THEN ({before}) END"
        if result.others
        else "NULL::jsonb"
    )
    now = f"SELECT COALESCE(({digests} FROM live p WHERE {compared}), '{{}}')"
    wanted = f"{json_literal(dict(result.changed))}::jsonb"
    return f""",
  (SELECT ({differences_sql("c.wanted", "c.before", "c.now")})::text FROM (SELECT {wanted} AS wanted, ({now}) AS now, {known} AS before
    FROM {_RECORD_ROW} WHERE r.deploy_id <> {literal(deploy_id)} OFFSET 0) c) AS differences"""


def parse_comparison(found: object) -> SchemaComparison:
    """The comparison from the result of COMPARISON_QUERY, which is None without a row. Raises ResponseInvalid."""
    try:
        facts: Any = json.loads(found) if isinstance(found, str) else found
        return SchemaComparison(SchemaState.NOT_RECORDED) if facts is None else _comparison(facts)
    except (LookupError, TypeError, ValueError):
        raise ResponseInvalid(
            "the SQL endpoint returned the recorded schema in an unexpected format"
        ) from None


def _comparison(facts: Mapping[str, Any]) -> SchemaComparison:
    live, opened = facts["live"], str(facts["open"] or "")
    recorded, now = map(int, facts["servers"])
    common = SchemaComparison(
        SchemaState.UNFINISHED if opened else SchemaState.SERVER_CHANGED,
        deploy_id=str(facts["deploy"]),
        recorded_at=str(facts["at"]),
        open_by=opened,
        servers=(recorded, now),
    )
    if facts.get("damaged") or (live and live["objects"] is None):
        return replace(common, state=SchemaState.DAMAGED, reason=_DAMAGED)
    if live is None:
        return common
    listed = [(SchemaObject(*map(str, each[:3])), each[3], each[4]) for each in live["objects"]]
    shown = listed[:_MAX_DIFFERENCES]
    return replace(
        common,
        state=SchemaState.DRIFTED if listed else SchemaState.UNCHANGED,
        before={one: str(old) for one, old, _ in shown if old is not None},
        after={one: str(new) for one, _, new in shown if new is not None},
        digest=str(live["digest"]),
        truncated=len(listed) > len(shown),
    )
