"""The definition of the tracking tables."""

from __future__ import annotations

from mosaic_deploy.errors import TrackingTablesNewer, TrackingTablesOlder
from mosaic_deploy.sql.quote import dollar_quote

LEDGER_VERSION = 7
"""Layout of the tracking tables. A newer one is refused; an apply upgrades an older one after it has the lease.

Programs of version 5 record the schema that a deploy leaves, and one that doesn't record
would make its changes look like drift. Those of version 6 keep files for a while before they delete
them. Since version 7 a migration's version is text, and texts of repeatable files are kept.
"""
OLDEST_LEDGER_VERSION = 2
"""The oldest layout that can be read and upgraded. Reading upgrades nothing: a query must work with every layout from
this one on, so it reads a newer column as `to_jsonb(row)->>'column'`."""

_TABLES_SQL = """
CREATE SCHEMA IF NOT EXISTS mosaic_deploy;
COMMENT ON SCHEMA mosaic_deploy IS 'Deployment history of mosaic-deploy. Do not edit by hand.';
CREATE TABLE IF NOT EXISTS mosaic_deploy.ledger (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  version integer NOT NULL,
  serial bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now());
COMMENT ON TABLE mosaic_deploy.ledger IS 'Layout version of these tables, and a serial number that counts deploys';
CREATE TABLE IF NOT EXISTS mosaic_deploy.migrations (
  version text PRIMARY KEY,
  file text NOT NULL,
  checksum text NOT NULL,
  semantic_checksum text NOT NULL,
  steps integer NOT NULL,
  steps_done integer NOT NULL,
  step_begun integer NOT NULL DEFAULT 0,
  source bytea NOT NULL,
  deploy_id text NOT NULL,
  applied_by text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp());
IF EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = 'mosaic_deploy.migrations'::pg_catalog.regclass
  AND attname = 'version' AND atttypid <> 'text'::pg_catalog.regtype) THEN
  ALTER TABLE mosaic_deploy.migrations ALTER COLUMN version TYPE text;
END IF;
COMMENT ON TABLE mosaic_deploy.migrations IS 'Migration history';
COMMENT ON COLUMN mosaic_deploy.migrations.version IS
  'Number of the file, with its name if several files have the number, or the name of a file without one';
COMMENT ON COLUMN mosaic_deploy.migrations.checksum IS 'SHA-256 of the file';
COMMENT ON COLUMN mosaic_deploy.migrations.semantic_checksum IS
  'SHA-256 of the parsed statements, so comments and layout don''t count';
COMMENT ON COLUMN mosaic_deploy.migrations.steps IS 'Number of steps; each step commits at once';
COMMENT ON COLUMN mosaic_deploy.migrations.steps_done IS 'Number of committed steps';
COMMENT ON COLUMN mosaic_deploy.migrations.step_begun IS
  'The last step begun outside a transaction. Greater than steps_done: its outcome is unknown. Negative: it failed';
COMMENT ON COLUMN mosaic_deploy.migrations.source IS 'The file as applied, compressed with zlib';
CREATE TABLE IF NOT EXISTS mosaic_deploy.objects (
  kind text NOT NULL,
  path text NOT NULL,
  sha256 text NOT NULL,
  size bigint NOT NULL,
  state text NOT NULL,
  deploy_id text NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (kind, path));
COMMENT ON TABLE mosaic_deploy.objects IS 'Deployed static files, storage files and seeds';
ALTER TABLE mosaic_deploy.objects ADD COLUMN IF NOT EXISTS manifest text NOT NULL DEFAULT '';
COMMENT ON COLUMN mosaic_deploy.objects.manifest IS 'The manifest that placed it; empty if unknown';
ALTER TABLE mosaic_deploy.objects ADD COLUMN IF NOT EXISTS proof text NOT NULL DEFAULT '';
COMMENT ON COLUMN mosaic_deploy.objects.proof IS
  'Shows that a deploy wrote this row: an HMAC with the API key. Without it, the file counts as not deployed';
ALTER TABLE mosaic_deploy.objects ADD COLUMN IF NOT EXISTS size_before bigint;
COMMENT ON COLUMN mosaic_deploy.objects.size_before IS
  'Of a pending one: the size of what was live before; -1 if nothing was, null if unknown';
ALTER TABLE mosaic_deploy.objects ADD COLUMN IF NOT EXISTS source bytea;
COMMENT ON COLUMN mosaic_deploy.objects.source IS 'Of a repeatable file: its text as it ran last, compressed with zlib';
COMMENT ON COLUMN mosaic_deploy.objects.state IS
  'pending: upload begun; live: deployed; kept: no longer in the project, still live';
ALTER TABLE mosaic_deploy.objects ADD COLUMN IF NOT EXISTS retired_at timestamptz;
COMMENT ON COLUMN mosaic_deploy.objects.retired_at IS
  'Of a kept one that is to be deleted after a while: when it left the project; null if it is kept for good';
CREATE INDEX IF NOT EXISTS objects_kept ON mosaic_deploy.objects (kind) WHERE state = 'kept';
CREATE TABLE IF NOT EXISTS mosaic_deploy.sums (
  kind text PRIMARY KEY,
  edition bigint NOT NULL DEFAULT 0,
  sum text);
COMMENT ON TABLE mosaic_deploy.sums IS 'Digest of the rows of each kind of object; null after a row has changed';
INSERT INTO mosaic_deploy.sums (kind) VALUES ('static'), ('storage'), ('seed') ON CONFLICT DO NOTHING;
CREATE OR REPLACE FUNCTION mosaic_deploy.outdate_sums() RETURNS trigger LANGUAGE plpgsql AS $outdate$
BEGIN UPDATE mosaic_deploy.sums SET edition = edition + 1, sum = NULL; RETURN NULL; END $outdate$;
CREATE OR REPLACE TRIGGER outdate_sums AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON mosaic_deploy.objects
  FOR EACH STATEMENT EXECUTE FUNCTION mosaic_deploy.outdate_sums();
CREATE TABLE IF NOT EXISTS mosaic_deploy.settings (
  name text PRIMARY KEY,
  value jsonb NOT NULL,
  deploy_id text NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
COMMENT ON TABLE mosaic_deploy.settings IS 'Settings as last deployed';
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
COMMENT ON TABLE mosaic_deploy.deploys IS 'One row per deploy, also of migrate rollback, repair, drift --accept, baseline and import';
CREATE TABLE IF NOT EXISTS mosaic_deploy.lease (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  holder text NOT NULL,
  token text NOT NULL,
  acquired_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL);
COMMENT ON TABLE mosaic_deploy.lease IS 'The deploy lock: who deploys now, and when the lock expires unless it is renewed';
"""


def install_sql() -> str:
    """Creates what is missing, and upgrades an older layout. May be sent twice; does nothing to a newer layout.

    The advisory lock stops two first deploys from creating the schema at once.
    """
    lock = "PERFORM pg_catalog.pg_advisory_xact_lock(7236850, 2);"
    # Two statements: PostgreSQL looks the table up when it plans the second one.
    newer = f"""IF pg_catalog.to_regclass('mosaic_deploy.ledger') IS NOT NULL THEN
  IF EXISTS (SELECT FROM mosaic_deploy.ledger WHERE version > {LEDGER_VERSION}) THEN RETURN; END IF;
END IF;
"""
    version = (
        f"INSERT INTO mosaic_deploy.ledger AS l (version) VALUES ({LEDGER_VERSION}) "
        "ON CONFLICT (one) DO UPDATE SET version = EXCLUDED.version WHERE l.version < EXCLUDED.version;"
    )
    return "DO " + dollar_quote(f"BEGIN\n{lock}\n{newer}{_TABLES_SQL}{version}\nEND\n", "mosaic_install")


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
