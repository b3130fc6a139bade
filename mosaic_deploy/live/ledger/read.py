"""Reads the tracking tables: one SQL statement for everything a plan needs, and the parsing of its result."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from mosaic_deploy.errors import ResponseInvalid, SqlFailed
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger.lease_sql import DEPLOYS_QUERY, LEASE_HOLDER_QUERY, VALID_LEASE_QUERY
from mosaic_deploy.live.ledger.proofs import Prover
from mosaic_deploy.live.ledger.reports import sound_report
from mosaic_deploy.live.ledger.rows import RETIRED_AT, digest_query, named_sql, recorded_version
from mosaic_deploy.live.ledger.schema_record import COMPARISON_QUERY, parse_comparison
from mosaic_deploy.live.ledger.tables import LEDGER_VERSION, check_ledger_version
from mosaic_deploy.model.catalog import SchemaComparison, SchemaState
from mosaic_deploy.model.manifest_identity import same_names, vaguer_names
from mosaic_deploy.model.snapshot import (
    Ledger,
    Migration,
    Object,
    Objects,
    ObjectState,
    Snapshot,
    UnprovenRows,
)
from mosaic_deploy.sql.execution.records import SEED
from mosaic_deploy.sql.quote import literal

STATIC, STORAGE = "static", "storage"
POLICY_SETTING = "policy"
"""The row of the settings table with the policies of the last deploys, by manifest."""
OWNER_SETTING = "migrations"
"""The row of the settings table with the manifest and the folder whose migrations are applied."""
_KEPT_KEYS = {STATIC: "static_kept", STORAGE: "storage_kept"}
"""Keys of `ledger_query` for rows of files that were left live. Always returned: digests don't cover them."""
_UNPROVEN_KEYS = {STATIC: "static_unproven", STORAGE: "storage_unproven"}
"""Keys of `ledger_query` that say whether rows of this manifest's files have proofs with another key or none, or say less
about its repository than is known now."""


def checks_setting(manifest: str) -> str:
    """The name of the row of the settings table about the checks of `manifest`; see diff/check_record.py."""
    return f"verify:{manifest}"


def probe_query() -> str:
    """Returns whether the tracking tables exist, and the extensions. For databases where `ledger_query` fails."""
    return (
        "SELECT pg_catalog.to_regclass('mosaic_deploy.ledger')::text AS ledger, "
        f"({_EXTENSIONS})::text AS extensions"
    )


def read_policy_record(api: Api, project: str) -> object:
    """The row POLICY_SETTING; None without tracking tables."""
    query = f"SELECT value::text FROM mosaic_deploy.settings WHERE name = {literal(POLICY_SETTING)}"
    try:
        rows = api.sql(project, query)
    except SqlFailed as error:
        if error.sqlstate not in _NO_TABLE:
            raise
        rows = []
    return json.loads(str(rows[0]["value"])) if rows else None


_NO_TABLE = ("42P01", "3F000")


@dataclass(frozen=True, slots=True)
class ReadSchema:
    """The comparison, and whether a deploy is running."""

    schema: SchemaComparison
    deploying: bool = False


def read_schema_comparison(api: Api, project: str) -> ReadSchema:
    """Compares the live schema with the recorded one. Reads only. Raises TrackingTablesNewer."""
    query = (
        "SELECT pg_catalog.json_build_object('version', l.version, 'lease', EXISTS (SELECT FROM mosaic_deploy.lease "
        f"WHERE expires_at > pg_catalog.clock_timestamp()), 'schema', ({COMPARISON_QUERY}))::text AS ledger "
        "FROM mosaic_deploy.ledger l"
    )
    try:
        rows = api.sql(project, query)
    except SqlFailed as error:
        if error.sqlstate in _NO_TABLE:
            return ReadSchema(SchemaComparison(SchemaState.NOT_RECORDED))
        return ReadSchema(SchemaComparison(SchemaState.UNREADABLE, reason=error.message))
    facts: Any = json.loads(str(rows[0]["ledger"])) if rows else {"version": LEDGER_VERSION, "schema": None}
    check_ledger_version(int(facts["version"]))
    return ReadSchema(parse_comparison(facts["schema"]), bool(facts.get("lease")))


def version_query() -> str:
    """Returns the layout's version. For tracking tables that `ledger_query` can't read."""
    return "SELECT version FROM mosaic_deploy.ledger"


_EXTENSIONS = "SELECT pg_catalog.json_agg(extname) FROM pg_catalog.pg_extension"
_MIGRATIONS_DIGEST = (
    "SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(COALESCE(pg_catalog.string_agg("
    "version || E'\\n' || file || E'\\n' || checksum || E'\\n', '' ORDER BY version::text COLLATE \"C\"), ''), 'UTF8')), 'hex') "
    "FROM mosaic_deploy.migrations WHERE steps_done >= steps"
)
_PARTIAL = "EXISTS (SELECT FROM mosaic_deploy.migrations WHERE steps_done < steps)"
_MIGRATION_ROWS = (
    "SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array("
    "version::text, file, checksum, semantic_checksum, steps, steps_done, step_begun)), '[]') "
    "FROM mosaic_deploy.migrations"
)


OWNER_QUERY = f"SELECT value FROM mosaic_deploy.settings WHERE name = {literal(OWNER_SETTING)}"
_LIVE_COMMIT_QUERY = (
    "SELECT pg_catalog.jsonb_build_object('hash', report->>'commit', 'dirty', report->'dirty') "
    "FROM mosaic_deploy.deploys WHERE report->>'commit' IS NOT NULL "
    "AND status <> 'stale' AND pg_catalog.strpos(plan, ':') = 0 AND (status = 'done' OR COALESCE(report->'done', '[true]') <> '[]') "
    "ORDER BY started_at DESC LIMIT 1"
)
"""The commit of the newest deploy from a commit that completed or may have changed something; null without one.

`dirty` is true if its files had uncommitted changes. The plan of a run that isn't a deploy begins with its kind and a colon."""


def ledger_query(
    digests: Mapping[str, str], manifest: str = "", key_name: str = "", *, compare_schema: bool = False
) -> str:
    """One row with one column: everything in the tracking tables as JSON text.

    `digests` are the desired digests by kind (`migrations`, `static`, `storage`, `seed`). A kind with an equal digest
    in the ledger is returned as null instead of rows, so a plan without changes costs the same at any size. Rows of
    other manifests than `manifest` are always returned. `key_name` is that of the proofs' key. With `compare_schema` the
    live schema is compared with the recorded one.
    """
    migrations = (
        f"CASE WHEN ({_MIGRATIONS_DIGEST}) = {literal(digests.get('migrations', ''))} AND NOT {_PARTIAL} "
        f"THEN NULL ELSE ({_MIGRATION_ROWS}) END"
    )
    expressions = {
        "version": "l.version",
        "serial": "l.serial",
        "extensions": f"({_EXTENSIONS})",
        "migrations": migrations,
        STATIC: _changed_objects_query(STATIC, digests, manifest),
        STORAGE: _changed_objects_query(STORAGE, digests, manifest),
        SEED: _changed_objects_query(SEED, digests, manifest),
        _KEPT_KEYS[STATIC]: f"({_object_rows_query(STATIC, '=')})",
        _KEPT_KEYS[STORAGE]: f"({_object_rows_query(STORAGE, '=')})",
        **{_UNPROVEN_KEYS[kind]: _unproven_query(kind, manifest, key_name) for kind in (STATIC, STORAGE)},
        "auth": "(SELECT value FROM mosaic_deploy.settings WHERE name = 'auth.magic_link')",
        "checks": f"(SELECT value FROM mosaic_deploy.settings WHERE name = {literal(checks_setting(manifest))})",
        "owner": f"({OWNER_QUERY})",
        "policy": f"(SELECT value FROM mosaic_deploy.settings WHERE name = {literal(POLICY_SETTING)})",
        "last": f"({DEPLOYS_QUERY} ORDER BY serial DESC LIMIT 1)",
        "commit": f"({_LIVE_COMMIT_QUERY})",
        "lease": f"({VALID_LEASE_QUERY})",
        "process": f"(SELECT h.j->'process' FROM ({LEASE_HOLDER_QUERY}) AS h(j))",
        **({"schema": f"({COMPARISON_QUERY})"} if compare_schema else {}),
    }
    listed = ", ".join(f"'{name}', {expression}" for name, expression in expressions.items())
    return f"SELECT pg_catalog.json_build_object({listed})::text AS ledger FROM mosaic_deploy.ledger l"


def _changed_objects_query(kind: str, digests: Mapping[str, str], manifest: str = "") -> str:
    """The rows of a kind except those left live; null if their digest equals the desired one.

    Not null if another manifest deployed one of them.
    """
    same = f"{_digest_expression(kind)} = {literal(digests.get(kind, ''))}"
    if manifest:
        same += (
            f" AND NOT EXISTS (SELECT FROM {_NEWER_COLUMNS}, LATERAL (SELECT FROM mosaic_deploy.objects "
            f"WHERE kind = '{kind}' AND state <> 'kept' AND NOT {named_sql('manifest', same_names(manifest))}) others)"
        )
    return f"CASE WHEN {same} THEN NULL ELSE ({_object_rows_query(kind, '<>')}) END"


def _unproven_query(kind: str, manifest: str, key_name: str) -> str:
    return (
        f"EXISTS (SELECT FROM {_NEWER_COLUMNS}, LATERAL (SELECT FROM mosaic_deploy.objects WHERE kind = '{kind}' "
        f"AND state <> 'kept' AND ({named_sql('manifest', vaguer_names(manifest))} "
        f"OR {named_sql('manifest', same_names(manifest))} AND NOT pg_catalog.starts_with(proof, {literal(key_name)})"
        ")) others)"
    )


def _digest_expression(kind: str) -> str:
    """The digest of a kind: saved by the last deploy, or computed if a row has changed since."""
    return f"COALESCE((SELECT sum FROM mosaic_deploy.sums WHERE kind = '{kind}'), ({digest_query(literal(kind))}))"


_NEWER_COLUMNS = "(SELECT ''::text AS manifest, ''::text AS proof, NULL::bigint AS size_before, NULL::timestamptz AS retired_at) AS fallback"
"""Joined with a LATERAL query of `objects`, the values of columns that an older layout doesn't have."""


def _object_rows_query(kind: str, compared: str) -> str:
    return (
        "SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array("
        "path, sha256, size, state, o.manifest, o.proof, o.size_before, EXTRACT(epoch FROM o.retired_at), "
        "COALESCE(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - o.retired_at), 0))), '[]') "
        f"FROM {_NEWER_COLUMNS}, LATERAL (SELECT path, sha256, size, state, manifest, proof, size_before, {RETIRED_AT} "
        "FROM mosaic_deploy.objects "
        f"WHERE kind = '{kind}' AND state {compared} 'kept') o"
    )


def parse_ledger(text: str, desired: Snapshot, prover: Prover | None = None) -> tuple[Ledger, dict[str, Any]]:
    """The ledger from the result of `ledger_query`; of kinds that it returned as null, the rows are those of `desired`.

    Rows of files that `prover` can't prove are left out, so the files count as not deployed. Also returns the raw facts,
    for `last`, `lease` and `process`. Raises TrackingTablesNewer, ResponseInvalid.
    """
    facts = _load_facts(text)
    check_ledger_version(facts["version"])
    rows = facts["migrations"]
    static, unproven_static = _files(STATIC, desired.static, desired, facts, prover)
    storage, unproven_storage = _files(STORAGE, desired.storage, desired, facts, prover)
    found = Ledger(
        serial=int(facts["serial"]),
        extensions=extensions(facts["extensions"]),
        migrations=_as_applied(desired.migrations or ())
        if rows is None
        else tuple(sorted((_parse_migration(row) for row in rows), key=lambda row: row.order)),
        static=static,
        storage=storage,
        auth=facts["auth"],
        seeds=(desired.seeds or _NO_OBJECTS) if facts.get(SEED) is None else _parse_objects(facts[SEED])[0],
        exists=True,
        unproven={STATIC: unproven_static, STORAGE: unproven_storage},
    )
    return found, facts


def _files(
    kind: str, wanted: Objects | None, desired: Snapshot, facts: Mapping[str, Any], prover: Prover | None
) -> tuple[Objects, UnprovenRows]:
    """The rows of one kind that count, and what is to be done about the others."""
    kept, proofs = _parse_objects(facts.get(_KEPT_KEYS[kind]) or [])
    found: Objects = wanted or _NO_OBJECTS
    if facts[kind] is not None:
        found, more = _parse_objects(facts[kind])
        proofs |= more
    rows = {**found, **kept} if kept else found
    if prover is None:
        return rows, UnprovenRows()
    stale = bool(facts.get(_UNPROVEN_KEYS[kind]))
    if not proofs:
        return rows, UnprovenRows(stale=stale)
    proven, unproven = prover.split(kind, rows, proofs, wanted or _NO_OBJECTS, desired.manifest)
    return proven, replace(unproven, stale=stale)


def extensions(found: object) -> frozenset[str]:
    """Extension names from a JSON list or its text."""
    listed = json.loads(found) if isinstance(found, str) else found
    return frozenset(str(name) for name in listed) if isinstance(listed, list) else frozenset()


def _load_facts(text: object) -> dict[str, Any]:
    try:
        facts = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        facts = None
    if not isinstance(facts, dict) or not {"version", "serial", "migrations"} <= facts.keys():
        raise ResponseInvalid("the SQL endpoint returned the tracking tables in an unexpected format")
    if last := facts.get("last"):
        facts["last"] = {**last, "report": sound_report(last.get("report"))}
    return facts


def _as_applied(migrations: Iterable[Migration]) -> tuple[Migration, ...]:
    return tuple(
        Migration(m.version, m.file, m.checksum, m.semantic, m.steps, steps_done=m.steps) for m in migrations
    )


def _parse_migration(row: list[Any]) -> Migration:
    version, file, checksum, semantic, steps, done, begun = row
    return Migration(
        recorded_version(version), file, checksum, semantic, int(steps), int(done), step_begun=int(begun)
    )


def _parse_objects(rows: list[list[Any]]) -> tuple[dict[str, Object], dict[str, str]]:
    """The rows and their proofs, by path."""
    objects = {
        path: Object(
            path, sha, int(size), ObjectState(state), None, manifest, before, retired_at, retired_for
        )
        for path, sha, size, state, manifest, _, before, retired_at, retired_for in rows
    }
    return objects, {row[0]: row[5] for row in rows}


_NO_OBJECTS: Objects = MappingProxyType({})
