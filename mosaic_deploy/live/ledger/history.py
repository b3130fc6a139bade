"""The migration history: reading it with one request, and correcting rows without running SQL of migrations."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mosaic_deploy.errors import (
    ApiError,
    ResponseInvalid,
    ServerFailed,
    SqlFailed,
    TrackingTablesNewer,
)
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger import read as ledger
from mosaic_deploy.live.ledger import rows as ledger_rows
from mosaic_deploy.live.ledger.lease_sql import DEPLOYS_QUERY, VALID_LEASE_QUERY
from mosaic_deploy.live.ledger.tables import check_ledger_version
from mosaic_deploy.model.migration_history import HistoryEntry
from mosaic_deploy.model.snapshot import Migration
from mosaic_deploy.sql.quote import identifier, json_literal, literal, recordset


@dataclass(frozen=True, slots=True)
class MigrationHistory:
    """The migration rows in order; empty without tracking tables (`exists`).

    `populated`: the database has tables, views or functions that no extension owns. `owner`: see OWNER_SETTING.
    `lease`: who holds it.
    """

    entries: tuple[HistoryEntry, ...] = ()
    serial: int = 0
    exists: bool = False
    populated: bool = False
    owner: object = None
    lease: object = None


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A ledger row to write. `source` is the file's text."""

    migration: Migration
    source: str


@dataclass(frozen=True, slots=True)
class RenumberedRow:
    """A ledger row to write in place of the one with this version and file name."""

    version: str
    file: str
    row: HistoryRow


_POPULATED = """EXISTS (
  SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('information_schema', 'mosaic_deploy')
  AND n.nspname !~ '^pg_' AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_catalog.pg_class'::regclass
    AND d.deptype = 'e')
  UNION ALL
  SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  WHERE n.nspname NOT IN ('information_schema', 'mosaic_deploy') AND n.nspname !~ '^pg_' AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d WHERE d.objid = p.oid AND d.classid = 'pg_catalog.pg_proc'::regclass
    AND d.deptype = 'e'))"""

_ROWS = (
    "SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(m.version::text, m.file, m.checksum, "
    "m.semantic_checksum, m.steps, m.steps_done, m.step_begun, m.applied_at, COALESCE(d.holder, m.applied_by), "
    "COALESCE(d.plan, ''), CASE WHEN d.status = 'failed' THEN d.report->'error' END)), '[]') FROM mosaic_deploy.migrations m "
    "LEFT JOIN mosaic_deploy.deploys d ON d.id = m.deploy_id"
)


def read_history(api: Api, project: str) -> MigrationHistory:
    """The whole migration history. Reads only. Raises TrackingTablesNewer, ApiError."""
    query = (
        f"SELECT pg_catalog.json_build_object('version', l.version, 'serial', l.serial, 'rows', ({_ROWS}), "
        f"'populated', {_POPULATED}, 'owner', ({ledger.OWNER_QUERY}), 'lease', ({VALID_LEASE_QUERY}))::text AS ledger "
        "FROM mosaic_deploy.ledger l"
    )
    try:
        found = api.sql(project, query)
    except (SqlFailed, ServerFailed) as error:
        return _history_without_ledger(api, project, error)
    return _parse_history(found[0].get("ledger")) if found else _history_without_ledger(api, project, None)


def upsert_migrations_sql(rows: Iterable[HistoryRow], token: str, deploy_id: str) -> str:
    """Inserts or updates rows. Who applied a migration and when is kept, unless the committed steps change.

    Returns `held` and `written`, as the statements of `rows.py` do.
    """
    facts = [_row_values(row) for row in rows]
    columns = "version, file, checksum, semantic_checksum, steps, steps_done, step_begun, source, deploy_id, applied_by"
    kept = "CASE WHEN m.steps_done = EXCLUDED.steps_done THEN m.{0} ELSE EXCLUDED.{0} END"
    updated = (
        "file = EXCLUDED.file, checksum = EXCLUDED.checksum, semantic_checksum = EXCLUDED.semantic_checksum, "
        "steps = EXCLUDED.steps, steps_done = EXCLUDED.steps_done, step_begun = 0, source = EXCLUDED.source, "
        + ", ".join(f"{name} = {kept.format(name)}" for name in ("deploy_id", "applied_by", "applied_at"))
    )
    given = "v text, f text, c text, s text, u integer, d integer, t text"
    return (
        f"WITH {ledger_rows.lease_held_cte(token)}, written AS (INSERT INTO mosaic_deploy.migrations AS m ({columns}) "
        f"SELECT r.v, r.f, r.c, r.s, r.u, r.d, 0, pg_catalog.decode(r.t, 'base64'), {literal(deploy_id)}, "
        f"current_user FROM held, {recordset(facts, given)} "
        f"ON CONFLICT (version) DO UPDATE SET {updated} RETURNING 1) "
        "SELECT (SELECT count(*) FROM held) AS held, (SELECT count(*) FROM written) AS written"
    )


def renumber_migrations_sql(rows: Iterable[RenumberedRow], token: str) -> str:
    """Gives rows new numbers, which they may exchange. Who applied a migration and when is kept.

    Sent twice, it finds no row of the old number and name. Returns `held` and `written`, as the statements of
    `rows.py` do.
    """
    facts = [{"o": r.version, "n": r.file, **_row_values(r.row)} for r in rows]
    kept = "step_begun, deploy_id, applied_by, applied_at"
    given = "o text, n text, v text, f text, c text, s text, u integer, d integer, t text"
    # ORDER BY reads all deleted rows before the first is inserted, so their numbers are free.
    return (
        f"WITH {ledger_rows.lease_held_cte(token)}, gone AS (DELETE FROM mosaic_deploy.migrations m "
        f"USING held, {recordset(facts, given)} WHERE m.version = r.o AND m.file = r.n RETURNING r.*, "
        f"m.step_begun, m.deploy_id, m.applied_by, m.applied_at), written AS (INSERT INTO mosaic_deploy.migrations "
        f"(version, file, checksum, semantic_checksum, steps, steps_done, source, {kept}) "
        f"SELECT v, f, c, s, u, d, pg_catalog.decode(t, 'base64'), {kept} FROM gone ORDER BY v RETURNING 1) "
        "SELECT (SELECT count(*) FROM held) AS held, (SELECT count(*) FROM written) AS written"
    )


def delete_migrations_sql(versions: Iterable[str], token: str) -> str:
    """Deletes rows of migrations. Returns `held` and `written`, as the statements of `rows.py` do."""
    wanted = json_literal(list(versions))
    return (
        f"WITH {ledger_rows.lease_held_cte(token)}, written AS (DELETE FROM mosaic_deploy.migrations WHERE EXISTS "
        f"(SELECT FROM held) AND version IN (SELECT pg_catalog.json_array_elements_text({wanted}::json)) "
        "RETURNING 1) SELECT (SELECT count(*) FROM held) AS held, (SELECT count(*) FROM written) AS written"
    )


def _row_values(row: HistoryRow) -> dict[str, object]:
    m = row.migration
    packed = base64.b64encode(zlib.compress(row.source.encode(), 9)).decode()
    return {
        "v": m.version,
        "f": m.file,
        "c": m.checksum,
        "s": m.semantic,
        "u": m.steps,
        "d": m.steps_done,
        "t": packed,
    }


def _history_without_ledger(api: Api, project: str, error: ApiError | None) -> MigrationHistory:
    """An empty history if there are no tracking tables, which is looked up; otherwise raises `error`."""
    table = "pg_catalog.to_regclass('mosaic_deploy.ledger')::text"
    rows = api.sql(project, f"SELECT {_POPULATED} AS populated, {table} AS ledger")
    if error and rows and rows[0].get("ledger"):
        raise error
    return MigrationHistory(populated=bool(rows) and rows[0].get("populated") in (True, "t", "true"))


def _parse_history(text: object) -> MigrationHistory:
    try:
        facts: Any = json.loads(text) if isinstance(text, str) else text
        check_ledger_version(int(facts["version"]))
        found = (_parse_entry(row) for row in facts["rows"])
        entries = tuple(sorted(found, key=lambda entry: entry.migration.order))
        return MigrationHistory(
            entries,
            int(facts["serial"]),
            exists=True,
            populated=bool(facts["populated"]),
            owner=facts["owner"],
            lease=facts["lease"],
        )
    except (TrackingTablesNewer, ResponseInvalid):
        raise
    except (ValueError, TypeError, KeyError):
        raise ResponseInvalid("the SQL endpoint returned the history in an unexpected format") from None


def _parse_entry(row: list[Any]) -> HistoryEntry:
    version, file, checksum, semantic, steps, done, attempt, at, by, plan, error = row
    migration = Migration(
        ledger_rows.recorded_version(version),
        file,
        checksum,
        semantic,
        int(steps),
        int(done),
        step_begun=int(attempt),
    )
    # A run that isn't a deploy writes its kind before its plan's fingerprint.
    kind, colon, _ = str(plan).partition(":")
    return HistoryEntry(migration, str(at), str(by), kind if colon else "apply", _failure_text(error, file))


def _failure_text(error: Any, file: str) -> str:
    """Place and message of the run's error, if it is in `file`: one run writes the rows of many files."""
    if not isinstance(error, dict):
        return ""
    location, message = str(error.get("location") or ""), str(error.get("message") or "")
    if location and f"/{file}:" not in f"/{location}:":
        return ""
    return f"{location}: {message}" if location else message


def read_versions_of_failed_deploys(api: Api, project: str) -> frozenset[str]:
    """Versions applied by deploys that failed or were interrupted, since the last one that did not. One request."""
    rows = api.sql(
        project,
        f"SELECT m.version::text AS version FROM mosaic_deploy.migrations m JOIN ({DEPLOYS_QUERY}) AS d(row) "
        "ON d.row->>'id' = m.deploy_id WHERE d.row->>'status' IN ('failed', 'interrupted') "
        "AND (d.row->>'serial')::bigint > COALESCE((SELECT max(serial) FROM mosaic_deploy.deploys "
        "WHERE status NOT IN ('failed', 'interrupted', 'running', 'repair', 'rollback', 'drift')), -1)",
    )
    return frozenset(str(row.get("version")) for row in rows)


def read_has_other_rows(
    api: Api, project: str, tables: Iterable[str], migrations: Mapping[str, bool]
) -> bool:
    """Whether any of the tables (`public.orders`) has a row that none of the applied migrations wrote. One request.

    `migrations` maps versions to whether their last step may run in a batch: then its rows are of the subtransaction that
    follows the transaction of the ledger's row; else of that transaction. Rows of a migration's earlier steps and of
    further subtransactions count as others', because nothing tells whose they are.
    """
    listed = ", ".join(f"({literal(version)}, {int(batch)})" for version, batch in migrations.items())
    own = (
        "SELECT m.xmin::text::bigint + more FROM mosaic_deploy.migrations m "
        f"JOIN (VALUES {listed}) AS v(version, batch) ON m.version = v.version CROSS JOIN LATERAL generate_series(0, v.batch) AS more"
    )
    other = " OR ".join(
        f"EXISTS (SELECT FROM {'.'.join(identifier(part) for part in table.split('.', 1))} "
        f"WHERE xmin::text::bigint NOT IN ({own}))"
        for table in tables
    )
    (row,) = api.sql(project, f"SELECT {other} AS other")
    return bool(row["other"])
