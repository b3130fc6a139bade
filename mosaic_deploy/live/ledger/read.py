"""The tracking tables in the project's own database, read: one statement for all they say, and what its answer means."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from mosaic_deploy.errors import LedgerNewer, ResponseInvalid
from mosaic_deploy.live.ledger.lease_sql import HOLDER, RUNS
from mosaic_deploy.live.ledger.tables import VERSION
from mosaic_deploy.model.snapshot import Ledger, Migration, Object, Objects, State
from mosaic_deploy.sql.execution.records import SEED
from mosaic_deploy.sql.quote import literal

STATIC, ASSET = "static", "asset"
_KEPT = {STATIC: "static_kept", ASSET: "asset_kept"}
"""Where `read` answers the rows of files left live: always, because no digest is of them."""


def probe() -> str:
    """Whether there is a ledger, and the database's extensions: asked where `read` finds no tables."""
    return (
        "SELECT pg_catalog.to_regclass('mosaic_deploy.ledger')::text AS ledger, "
        f"({_EXTENSIONS})::text AS extensions"
    )


_EXTENSIONS = "SELECT pg_catalog.json_agg(extname) FROM pg_catalog.pg_extension"
_MIGRATIONS_DIGEST = (
    "SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(COALESCE(pg_catalog.string_agg("
    "version || E'\\n' || file || E'\\n' || checksum || E'\\n', '' ORDER BY version), ''), 'UTF8')), 'hex') "
    "FROM mosaic_deploy.migrations WHERE units_done >= units"
)
_PARTIAL = "EXISTS (SELECT FROM mosaic_deploy.migrations WHERE units_done < units)"
_MIGRATION_ROWS = (
    "SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array("
    "version::text, file, checksum, semantic, units, units_done) ORDER BY version), '[]') "
    "FROM mosaic_deploy.migrations"
)


def read(digests: Mapping[str, str]) -> str:
    """One row, one column: all the tables say, as JSON text.

    `digests` are the desired ones by kind (`migrations`, `static`, `asset`, `seed`); a kind that the ledger digests
    to the same value comes back as null instead of its rows, so that a no-op costs the same for any size.
    """
    migrations = (
        f"CASE WHEN ({_MIGRATIONS_DIGEST}) = {literal(digests.get('migrations', ''))} AND NOT {_PARTIAL} "
        f"THEN NULL ELSE ({_MIGRATION_ROWS}) END"
    )
    parts = {
        "version": "l.version",
        "serial": "l.serial",
        "extensions": f"({_EXTENSIONS})",
        "migrations": migrations,
        STATIC: _objects(STATIC, digests),
        ASSET: _objects(ASSET, digests),
        SEED: _objects(SEED, digests),
        _KEPT[STATIC]: f"({_rows(STATIC, '=')})",
        _KEPT[ASSET]: f"({_rows(ASSET, '=')})",
        "auth": "(SELECT value FROM mosaic_deploy.settings WHERE name = 'auth.magic_link')",
        "last": f"({RUNS} ORDER BY started_at DESC LIMIT 1)",
        "lease": "(SELECT pg_catalog.json_build_object('holder', holder, 'expires_at', expires_at) "
        "FROM mosaic_deploy.lease WHERE expires_at > pg_catalog.clock_timestamp())",
        "process": f"(SELECT h.j->'process' FROM ({HOLDER}) AS h(j))",
    }
    listed = ", ".join(f"'{name}', {expression}" for name, expression in parts.items())
    return f"SELECT pg_catalog.json_build_object({listed})::text AS ledger FROM mosaic_deploy.ledger l"


def _objects(kind: str, digests: Mapping[str, str]) -> str:
    """The rows that are wanted as far as the ledger knows; null where they are the desired ones."""
    same = f"{_sum(kind)} = {literal(digests.get(kind, ''))}"
    return f"CASE WHEN {same} THEN NULL ELSE ({_rows(kind, '<>')}) END"


def _sum(kind: str) -> str:
    """The digest of a kind: as it was kept by the last deploy, or computed where a row has changed since."""
    return f"COALESCE((SELECT sum FROM mosaic_deploy.sums WHERE kind = '{kind}'), ({digest_query(literal(kind))}))"


def digest_query(kind: str) -> str:
    """The digest of a kind's rows, computed by the database. `kind` is an expression.

    Files left live aren't in it: it is compared with the digest of what is wanted.
    """
    return (
        "SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(COALESCE(pg_catalog.string_agg("
        "o.path || E'\\n' || o.sha256 || E'\\n' || o.size || E'\\n' || o.state || E'\\n', '' "
        "ORDER BY o.path COLLATE \"C\"), ''), 'UTF8')), 'hex') "
        f"FROM mosaic_deploy.objects o WHERE o.kind = {kind} AND o.state <> 'kept'"
    )


def _rows(kind: str, compared: str) -> str:
    return (
        "SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(path, sha256, size, state)), '[]') "
        f"FROM mosaic_deploy.objects WHERE kind = '{kind}' AND state {compared} 'kept'"
    )


def parse(
    text: str,
    same_migrations: Iterable[Migration],
    same_static: Objects,
    same_storage: Objects,
    same_seeds: Objects = MappingProxyType({}),
) -> tuple[Ledger, dict[str, Any]]:
    """The ledger from `read`'s answer; `same_…` stand in for a kind whose rows were left out as equal.

    Also returns the raw facts for status (`last`, `lease`, `process`). Raises LedgerNewer, ResponseInvalid.
    """
    facts = _decode(text)
    refuse_newer(facts["version"])
    rows = facts["migrations"]
    found = Ledger(
        serial=int(facts["serial"]),
        extensions=extensions(facts["extensions"]),
        migrations=_applied(same_migrations) if rows is None else tuple(_migration(row) for row in rows),
        static=_with_kept(STATIC, same_static, facts),
        storage=_with_kept(ASSET, same_storage, facts),
        auth=facts["auth"],
        seeds=same_seeds if facts.get(SEED) is None else _read_objects(facts[SEED]),
        exists=True,
    )
    return found, facts


def _with_kept(kind: str, same: Objects, facts: Mapping[str, Any]) -> Objects:
    found = same if facts[kind] is None else _read_objects(facts[kind])
    kept = _read_objects(facts.get(_KEPT[kind]) or [])
    return {**found, **kept} if kept else found


def refuse_newer(version: int) -> None:
    """Raises LedgerNewer for a layout that this program doesn't know."""
    if version > VERSION:
        raise LedgerNewer(
            f"this project's ledger has layout {version}, this mosaic-deploy knows {VERSION}",
            hint="upgrade mosaic-deploy to the version that this project was last deployed with",
        )


def extensions(found: object) -> frozenset[str]:
    """Extension names from a JSON list or its text."""
    listed = json.loads(found) if isinstance(found, str) else found
    return frozenset(str(name) for name in listed) if isinstance(listed, list) else frozenset()


def _decode(text: object) -> dict[str, Any]:
    try:
        facts = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        facts = None
    if not isinstance(facts, dict) or not {"version", "serial", "migrations"} <= facts.keys():
        raise ResponseInvalid("the SQL endpoint returned the ledger in a shape that can't be read")
    return facts


def _applied(migrations: Iterable[Migration]) -> tuple[Migration, ...]:
    return tuple(
        Migration(m.version, m.file, m.checksum, m.semantic, m.units, units_done=m.units) for m in migrations
    )


def _migration(row: list[Any]) -> Migration:
    version, file, checksum, semantic, units, done = row
    return Migration(str(version), file, checksum, semantic, int(units), int(done))


def _read_objects(rows: list[list[Any]]) -> dict[str, Object]:
    return {path: Object(path, sha, int(size), State(state)) for path, sha, size, state in rows}
