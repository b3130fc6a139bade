"""Reads the tracking tables: one SQL statement for everything a plan needs, and the parsing of its result."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from mosaic_deploy.errors import ResponseInvalid, TrackingTablesNewer, TrackingTablesOlder
from mosaic_deploy.live.ledger.lease_sql import DEPLOYS_QUERY, LEASE_HOLDER_QUERY
from mosaic_deploy.live.ledger.rows import digest_query
from mosaic_deploy.live.ledger.tables import LEDGER_VERSION, OLDEST_LEDGER_VERSION
from mosaic_deploy.model.snapshot import Ledger, Migration, Object, Objects, ObjectState
from mosaic_deploy.sql.execution.records import SEED
from mosaic_deploy.sql.quote import literal

STATIC, STORAGE = "static", "storage"
CHECKS_SETTING = "verify"
"""The row of the settings table with the digest of the checks that passed last."""
_KEPT_KEYS = {STATIC: "static_kept", STORAGE: "storage_kept"}
"""Keys of `ledger_query` for rows of files that were left live. Always returned: digests don't cover them."""


def probe_query() -> str:
    """Returns whether the tracking tables exist, and the extensions. For databases where `ledger_query` fails."""
    return (
        "SELECT pg_catalog.to_regclass('mosaic_deploy.ledger')::text AS ledger, "
        f"({_EXTENSIONS})::text AS extensions"
    )


def version_query() -> str:
    """Returns the layout's version. For tracking tables that `ledger_query` can't read."""
    return "SELECT version FROM mosaic_deploy.ledger"


_EXTENSIONS = "SELECT pg_catalog.json_agg(extname) FROM pg_catalog.pg_extension"
_MIGRATIONS_DIGEST = (
    "SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(COALESCE(pg_catalog.string_agg("
    "version || E'\\n' || file || E'\\n' || checksum || E'\\n', '' ORDER BY version), ''), 'UTF8')), 'hex') "
    "FROM mosaic_deploy.migrations WHERE steps_done >= steps"
)
_PARTIAL = "EXISTS (SELECT FROM mosaic_deploy.migrations WHERE steps_done < steps)"
_MIGRATION_ROWS = (
    "SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array("
    "version::text, file, checksum, semantic_checksum, steps, steps_done) ORDER BY version), '[]') "
    "FROM mosaic_deploy.migrations"
)


_LIVE_COMMIT_QUERY = (
    "SELECT report->>'commit' FROM mosaic_deploy.deploys WHERE report->>'commit' IS NOT NULL "
    "AND status <> 'stale' AND (status = 'done' OR COALESCE(report->'done', '[true]') <> '[]') "
    "ORDER BY started_at DESC LIMIT 1"
)
"""The commit of the newest deploy from a commit that completed or may have changed something; null without one."""


def ledger_query(digests: Mapping[str, str], manifest: str = "") -> str:
    """One row with one column: everything in the tracking tables as JSON text.

    `digests` are the desired digests by kind (`migrations`, `static`, `storage`, `seed`). A kind with an equal digest
    in the ledger is returned as null instead of rows, so a plan without changes costs the same at any size. Rows of files
    that other manifests than `manifest` deployed are always returned.
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
        SEED: _changed_objects_query(SEED, digests),
        _KEPT_KEYS[STATIC]: f"({_object_rows_query(STATIC, '=')})",
        _KEPT_KEYS[STORAGE]: f"({_object_rows_query(STORAGE, '=')})",
        "auth": "(SELECT value FROM mosaic_deploy.settings WHERE name = 'auth.magic_link')",
        "checks": f"(SELECT value->>'digest' FROM mosaic_deploy.settings WHERE name = {literal(CHECKS_SETTING)})",
        "last": f"({DEPLOYS_QUERY} ORDER BY serial DESC LIMIT 1)",
        "commit": f"({_LIVE_COMMIT_QUERY})",
        "lease": "(SELECT pg_catalog.json_build_object('holder', holder, 'expires_at', expires_at) "
        "FROM mosaic_deploy.lease WHERE expires_at > pg_catalog.clock_timestamp())",
        "process": f"(SELECT h.j->'process' FROM ({LEASE_HOLDER_QUERY}) AS h(j))",
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
            f" AND NOT EXISTS (SELECT FROM {_NO_MANIFEST}, LATERAL (SELECT FROM mosaic_deploy.objects "
            f"WHERE kind = '{kind}' AND state <> 'kept' AND manifest NOT IN ('', {literal(manifest)})) others)"
        )
    return f"CASE WHEN {same} THEN NULL ELSE ({_object_rows_query(kind, '<>')}) END"


def _digest_expression(kind: str) -> str:
    """The digest of a kind: saved by the last deploy, or computed if a row has changed since."""
    return f"COALESCE((SELECT sum FROM mosaic_deploy.sums WHERE kind = '{kind}'), ({digest_query(literal(kind))}))"


_NO_MANIFEST = "(SELECT ''::text AS manifest) AS fallback"
"""Joined with a LATERAL query of `objects`, the value of `manifest` in a layout without that column."""


def _object_rows_query(kind: str, compared: str) -> str:
    return (
        "SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(path, sha256, size, state, o.manifest)), '[]') "
        f"FROM {_NO_MANIFEST}, LATERAL (SELECT path, sha256, size, state, manifest FROM mosaic_deploy.objects "
        f"WHERE kind = '{kind}' AND state {compared} 'kept') o"
    )


def parse_ledger(
    text: str,
    same_migrations: Iterable[Migration],
    same_static: Objects,
    same_storage: Objects,
    same_seeds: Objects = MappingProxyType({}),
) -> tuple[Ledger, dict[str, Any]]:
    """The ledger from the result of `ledger_query`; `same_…` replace the kinds that it returned as null.

    Also returns the raw facts, for `last`, `lease` and `process`. Raises TrackingTablesNewer, ResponseInvalid.
    """
    facts = _load_facts(text)
    check_ledger_version(facts["version"])
    rows = facts["migrations"]
    found = Ledger(
        serial=int(facts["serial"]),
        extensions=extensions(facts["extensions"]),
        migrations=_as_applied(same_migrations)
        if rows is None
        else tuple(_parse_migration(row) for row in rows),
        static=_merge_kept(STATIC, same_static, facts),
        storage=_merge_kept(STORAGE, same_storage, facts),
        auth=facts["auth"],
        seeds=same_seeds if facts.get(SEED) is None else _parse_objects(facts[SEED]),
        exists=True,
    )
    return found, facts


def _merge_kept(kind: str, same: Objects, facts: Mapping[str, Any]) -> Objects:
    found = same if facts[kind] is None else _parse_objects(facts[kind])
    kept = _parse_objects(facts.get(_KEPT_KEYS[kind]) or [])
    return {**found, **kept} if kept else found


def check_ledger_version(version: int) -> None:
    """Raises TrackingTablesNewer or TrackingTablesOlder if this program can't use the layout."""
    if version < OLDEST_LEDGER_VERSION:
        raise TrackingTablesOlder(
            f"this project's tracking tables have format {version}; this mosaic-deploy needs format {OLDEST_LEDGER_VERSION} or newer",
            hint="a development version made them; deploy to a new project, or on this machine run "
            "`mosaic-deploy local reset` and deploy again",
        )
    if version > LEDGER_VERSION:
        raise TrackingTablesNewer(
            f"this project's tracking tables have format {version}; this mosaic-deploy supports format {LEDGER_VERSION}",
            hint="upgrade mosaic-deploy",
        )


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
    return facts


def _as_applied(migrations: Iterable[Migration]) -> tuple[Migration, ...]:
    return tuple(
        Migration(m.version, m.file, m.checksum, m.semantic, m.steps, steps_done=m.steps) for m in migrations
    )


def _parse_migration(row: list[Any]) -> Migration:
    version, file, checksum, semantic, steps, done = row
    return Migration(str(version), file, checksum, semantic, int(steps), int(done))


def _parse_objects(rows: list[list[Any]]) -> dict[str, Object]:
    return {
        path: Object(path, sha, int(size), ObjectState(state), manifest=manifest)
        for path, sha, size, state, manifest in rows
    }
