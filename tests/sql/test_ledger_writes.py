"""Which statements write to the tracking tables' schema."""

from __future__ import annotations

import pytest

from mosaic_deploy.sql.ledger_writes import first_ledger_write
from mosaic_deploy.sql.parse import parse

WRITES = """
DROP SCHEMA mosaic_deploy CASCADE
DROP SCHEMA IF EXISTS app, MOSAIC_DEPLOY
CREATE SCHEMA IF NOT EXISTS mosaic_deploy
CREATE SCHEMA mosaic_deploy CREATE TABLE t (id int)
ALTER SCHEMA mosaic_deploy RENAME TO old
ALTER SCHEMA app RENAME TO mosaic_deploy
ALTER SCHEMA mosaic_deploy OWNER TO ada
COMMENT ON SCHEMA mosaic_deploy IS 'mine'
DELETE FROM mosaic_deploy.migrations
DELETE FROM ONLY "mosaic_deploy".migrations WHERE version = 3
UPDATE mosaic_deploy.ledger SET serial = 0
INSERT INTO mosaic_deploy.migrations SELECT * FROM kept
MERGE INTO mosaic_deploy.sums s USING t ON true WHEN MATCHED THEN DELETE
WITH gone AS (DELETE FROM mosaic_deploy.lease RETURNING 1) SELECT * FROM gone
TRUNCATE t, mosaic_deploy.objects
DROP TABLE t, mosaic_deploy.lease
DROP FUNCTION mosaic_deploy.outdate_sums()
DROP TRIGGER outdate_sums ON mosaic_deploy.objects
CREATE TABLE mosaic_deploy.mine (id int)
CREATE TABLE mosaic_deploy.mine AS SELECT 1
SELECT 1 INTO mosaic_deploy.mine
CREATE VIEW mosaic_deploy.v AS SELECT 1
CREATE INDEX ON mosaic_deploy.objects (path)
CREATE FUNCTION mosaic_deploy.f() RETURNS int LANGUAGE sql AS 'SELECT 1'
CREATE TRIGGER t AFTER INSERT ON mosaic_deploy.deploys FOR EACH ROW EXECUTE FUNCTION f()
CREATE TYPE mosaic_deploy.mood AS ENUM ('sad')
CREATE EXTENSION vector SCHEMA mosaic_deploy
ALTER TABLE mosaic_deploy.lease DISABLE TRIGGER ALL
ALTER TABLE t SET SCHEMA mosaic_deploy
ALTER TABLE mosaic_deploy.objects RENAME TO things
CREATE TABLE t (version bigint REFERENCES mosaic_deploy.migrations)
GRANT ALL ON ALL TABLES IN SCHEMA mosaic_deploy TO ada
GRANT SELECT, DELETE ON mosaic_deploy.migrations TO ada
REVOKE SELECT ON mosaic_deploy.migrations FROM ada
LOCK TABLE mosaic_deploy.lease
COPY mosaic_deploy.migrations FROM '/tmp/x'
SET search_path = mosaic_deploy, public
SET LOCAL search_path TO 'mosaic_deploy'
ALTER ROLE ada SET search_path = mosaic_deploy
CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DELETE FROM mosaic_deploy.lease'
CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM mosaic_deploy.lease; END $$
CREATE FUNCTION f() RETURNS void LANGUAGE sql SET search_path = mosaic_deploy AS 'SELECT 1'
CREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC DELETE FROM mosaic_deploy.lease; END
DO $$ BEGIN DROP SCHEMA mosaic_deploy CASCADE; END $$
DO $$ BEGIN EXECUTE 'DELETE FROM mosaic_deploy.migrations'; END $$
EXPLAIN ANALYZE DELETE FROM mosaic_deploy.migrations
PREPARE p AS DELETE FROM mosaic_deploy.migrations
DELETE FROM U&"mosaic\\005fdeploy".migrations
DROP SCHEMA U&"\\006dosaic_deploy" CASCADE
SET search_path = U&"mosaic!005fdeploy" UESCAPE '!'
SELECT set_config('search_path', 'mosaic_deploy', false)
SELECT pg_catalog.set_config('search_path', 'public, mosaic_deploy', true)
SELECT set_config('Search_Path', 'MOSAIC_DEPLOY', false)
COPY mosaic_deploy.migrations FROM stdin
"""
READS = """
SELECT * FROM mosaic_deploy.deploys
SELECT mosaic_deploy.deploys.id FROM mosaic_deploy.deploys
INSERT INTO t SELECT version FROM mosaic_deploy.migrations
UPDATE t SET n = (SELECT count(*) FROM mosaic_deploy.migrations)
DELETE FROM t USING mosaic_deploy.migrations m WHERE m.version = t.version
MERGE INTO t USING mosaic_deploy.migrations m ON m.version = t.version WHEN MATCHED THEN DELETE
CREATE TABLE t AS SELECT * FROM mosaic_deploy.deploys
CREATE TABLE t (LIKE mosaic_deploy.migrations)
CREATE VIEW v AS SELECT * FROM mosaic_deploy.deploys
COPY mosaic_deploy.migrations TO '/tmp/x'
COPY (SELECT * FROM mosaic_deploy.migrations) TO '/tmp/x'
GRANT SELECT ON mosaic_deploy.deploys TO ada
GRANT USAGE ON SCHEMA mosaic_deploy TO ada
ANALYZE mosaic_deploy.objects
EXPLAIN DELETE FROM mosaic_deploy.migrations
CREATE TABLE mosaic_deploy (mosaic_deploy text DEFAULT 'mosaic_deploy' CHECK (mosaic_deploy <> ''))
DROP TABLE mosaic_deploy
DELETE FROM mosaic_deploy
SELECT 1 AS mosaic_deploy
COMMENT ON TABLE t IS 'mosaic_deploy'
CREATE ROLE mosaic_deploy
INSERT INTO t VALUES ('mosaic_deploy')
SET search_path = app, public
CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM mosaic_deploy.deploys'
"""


@pytest.mark.parametrize("sql", WRITES.strip().splitlines())
def test_writes(sql: str) -> None:
    text = f"SELECT 1;\n{sql};"
    found = first_ledger_write(parse(text), text)
    assert found is not None
    statement, at = found
    assert statement.text == sql
    assert text.index(sql) <= at < len(text)


@pytest.mark.parametrize("sql", READS.strip().splitlines())
def test_reads_and_other_objects(sql: str) -> None:
    assert first_ledger_write(parse(sql), sql) is None


def test_offset_inside_a_do_block() -> None:
    sql = "DO $$ BEGIN\n  PERFORM 1;\n  DELETE FROM mosaic_deploy.lease;\nEND $$"
    found = first_ledger_write(parse(sql), sql)
    assert found is not None
    assert sql[found[1] :].startswith("DELETE")


def test_dynamic_sql_is_not_detected() -> None:
    sql = "DO $$ BEGIN EXECUTE 'DELETE FROM mosaic_' || 'deploy.lease /* mosaic_deploy */' || current_user; END $$"
    assert first_ledger_write(parse(sql), sql) is None
