"""The tracking tables in the project's own database: their SQL, and reading what they say.

Each text here is one statement, so it works where an endpoint allows one per call; each may be sent again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from mosaic_deploy.errors import LedgerNewer, ResponseInvalid
from mosaic_deploy.live.lease_text import RUNS
from mosaic_deploy.model.snapshot import Ledger, Migration, Object, Objects, Settings, State
from mosaic_deploy.sql.quote import dollar_quote, json_literal, literal, values
from mosaic_deploy.sql.records import SEED

VERSION = 1
"""The ledger's own layout. A newer one is refused, an older one is brought up to date by `install`."""

STATIC, ASSET = "static", "asset"
_KEPT = {STATIC: "static_kept", ASSET: "asset_kept"}
"""Where `read` answers the rows of files left live: always, because no digest is of them."""

_TABLES = """
CREATE SCHEMA IF NOT EXISTS mosaic_deploy;
COMMENT ON SCHEMA mosaic_deploy IS 'What mosaic-deploy has applied to this project. Not to be edited by hand.';
CREATE TABLE IF NOT EXISTS mosaic_deploy.ledger (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  version integer NOT NULL,
  serial bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS mosaic_deploy.migrations (
  version bigint PRIMARY KEY,
  file text NOT NULL,
  checksum text NOT NULL,
  semantic text NOT NULL,
  units integer NOT NULL,
  units_done integer NOT NULL,
  attempt integer NOT NULL DEFAULT 0,
  source bytea NOT NULL,
  deploy_id text NOT NULL,
  applied_by text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp());
COMMENT ON COLUMN mosaic_deploy.migrations.attempt IS
  'the unit last begun outside a transaction: beyond units_done, its end is not known; negative where it failed';
COMMENT ON COLUMN mosaic_deploy.migrations.source IS 'the file as applied, zlib';
CREATE TABLE IF NOT EXISTS mosaic_deploy.objects (
  kind text NOT NULL,
  path text NOT NULL,
  sha256 text NOT NULL,
  size bigint NOT NULL,
  state text NOT NULL,
  deploy_id text NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (kind, path));
COMMENT ON COLUMN mosaic_deploy.objects.state IS
  'pending: an upload was begun; live; kept: no longer wanted, and left live';
CREATE INDEX IF NOT EXISTS objects_kept ON mosaic_deploy.objects (kind) WHERE state = 'kept';
CREATE TABLE IF NOT EXISTS mosaic_deploy.sums (
  kind text PRIMARY KEY,
  edition bigint NOT NULL DEFAULT 0,
  sum text);
COMMENT ON TABLE mosaic_deploy.sums IS 'the digest of each kind of object; null once a row has changed';
INSERT INTO mosaic_deploy.sums (kind) VALUES ('static'), ('asset'), ('seed') ON CONFLICT DO NOTHING;
CREATE OR REPLACE FUNCTION mosaic_deploy.outdate_sums() RETURNS trigger LANGUAGE plpgsql AS $outdate$
BEGIN UPDATE mosaic_deploy.sums SET edition = edition + 1, sum = NULL; RETURN NULL; END $outdate$;
CREATE OR REPLACE TRIGGER outdate_sums AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON mosaic_deploy.objects
  FOR EACH STATEMENT EXECUTE FUNCTION mosaic_deploy.outdate_sums();
CREATE TABLE IF NOT EXISTS mosaic_deploy.settings (
  name text PRIMARY KEY,
  value jsonb NOT NULL,
  deploy_id text NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE IF NOT EXISTS mosaic_deploy.deploys (
  id text PRIMARY KEY,
  serial bigint NOT NULL,
  status text NOT NULL,
  holder text NOT NULL,
  environment text,
  plan text NOT NULL,
  report jsonb,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  finished_at timestamptz);
CREATE TABLE IF NOT EXISTS mosaic_deploy.lease (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  holder text NOT NULL,
  token text NOT NULL,
  acquired_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL);
"""


def install() -> str:
    """Creates what is missing. The lock keeps two first deploys from creating the schema at once."""
    seed = f"INSERT INTO mosaic_deploy.ledger (version) VALUES ({VERSION}) ON CONFLICT DO NOTHING;"
    lock = "PERFORM pg_catalog.pg_advisory_xact_lock(7236850, 2);"
    return "DO " + dollar_quote(f"BEGIN\n{lock}\n{_TABLES}{seed}\nEND\n", "mosaic_install")


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
    }
    listed = ", ".join(f"'{name}', {expression}" for name, expression in parts.items())
    return f"SELECT pg_catalog.json_build_object({listed})::text AS ledger FROM mosaic_deploy.ledger l"


def _objects(kind: str, digests: Mapping[str, str]) -> str:
    """The rows that are wanted as far as the ledger knows; null where they are the desired ones."""
    same = f"{_sum(kind)} = {literal(digests.get(kind, ''))}"
    return f"CASE WHEN {same} THEN NULL ELSE ({_rows(kind, '<>')}) END"


def _sum(kind: str) -> str:
    """The digest of a kind: as it was kept by the last deploy, or computed where a row has changed since."""
    return f"COALESCE((SELECT sum FROM mosaic_deploy.sums WHERE kind = '{kind}'), ({_digest(literal(kind))}))"


def _digest(kind: str) -> str:
    """Files left live aren't in it: it is compared with the digest of what is wanted."""
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


def keep_sums() -> str:
    """The CTE `summed`: digests kept for the kinds whose rows have changed, so that plans needn't compute them.

    The edition tells of rows that somebody else changes at the same time: then nothing is kept.
    """
    return (
        "summed AS (UPDATE mosaic_deploy.sums AS kept SET sum = found.sum FROM ("
        f"SELECT s.kind, s.edition, ({_digest('s.kind')}) AS sum FROM mosaic_deploy.sums s WHERE s.sum IS NULL"
        ") AS found WHERE kept.kind = found.kind AND kept.edition = found.edition)"
    )


def parse(
    text: str,
    same_migrations: Iterable[Migration],
    same_static: Objects,
    same_storage: Objects,
    same_seeds: Objects = MappingProxyType({}),
) -> tuple[Ledger, dict[str, Any]]:
    """The ledger from `read`'s answer; `same_…` stand in for a kind whose rows were left out as equal.

    Also returns the raw facts for status (`last`, `lease`). Raises LedgerNewer, ResponseInvalid.
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


def mark(kind: str, objects: Iterable[Object], token: str, deploy_id: str) -> str:
    """Upserts rows in the objects' states. Answers `held` (0 when the lease is lost)."""
    facts = [{"p": o.path, "h": o.sha256, "s": o.size, "t": str(o.state)} for o in objects]
    return (
        f"WITH {held(token)}, written AS ("
        "INSERT INTO mosaic_deploy.objects (kind, path, sha256, size, state, deploy_id, updated_at) "
        f"SELECT '{kind}', r.p, r.h, r.s, r.t, {literal(deploy_id)}, pg_catalog.clock_timestamp() "
        f"FROM held, {values(facts, 'p text, h text, s bigint, t text')} "
        "ON CONFLICT (kind, path) DO UPDATE SET sha256 = EXCLUDED.sha256, size = EXCLUDED.size, "
        "state = EXCLUDED.state, deploy_id = EXCLUDED.deploy_id, updated_at = EXCLUDED.updated_at RETURNING 1) "
        "SELECT (SELECT count(*) FROM held) AS held, (SELECT count(*) FROM written) AS written"
    )


def forget(kind: str, paths: Iterable[str], token: str) -> str:
    """Deletes rows of objects that are no longer live. Answers `held`."""
    return (
        f"WITH {held(token)}, written AS (DELETE FROM mosaic_deploy.objects WHERE kind = '{kind}' "
        "AND EXISTS (SELECT FROM held) AND path IN (SELECT pg_catalog.json_array_elements_text("
        f"{json_literal(list(paths))}::json)) RETURNING 1) "
        "SELECT (SELECT count(*) FROM held) AS held, (SELECT count(*) FROM written) AS written"
    )


def set_auth(settings: Settings, token: str, deploy_id: str) -> str:
    """Writes the declared auth settings. Answers `held`."""
    return (
        f"WITH {held(token)}, written AS ("
        "INSERT INTO mosaic_deploy.settings (name, value, deploy_id, updated_at) "
        f"SELECT 'auth.magic_link', {json_literal(settings)}::jsonb, {literal(deploy_id)}, "
        "pg_catalog.clock_timestamp() FROM held ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value, "
        "deploy_id = EXCLUDED.deploy_id, updated_at = EXCLUDED.updated_at RETURNING 1) "
        "SELECT (SELECT count(*) FROM held) AS held, (SELECT count(*) FROM written) AS written"
    )


def held(token: str) -> str:
    """The CTE `held`: one row while the lease with this token runs."""
    return (
        f"held AS (SELECT 1 FROM mosaic_deploy.lease WHERE token = {literal(token)} "
        "AND expires_at > pg_catalog.clock_timestamp())"
    )


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
