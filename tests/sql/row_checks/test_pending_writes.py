"""Which tables pending statements may write to."""

from __future__ import annotations

import pytest

from mosaic_deploy.sql.parse import parse
from mosaic_deploy.sql.row_checks.pending_writes import PendingWrites, pending_writes

ANYTHING = None
CASES = [
    (
        "ALTER TABLE a ADD n int; CREATE INDEX ON a (n); COMMENT ON TABLE a IS ''; DROP TABLE b; TRUNCATE c",
        "",
    ),
    (
        "CREATE TABLE d (id int DEFAULT mine()); CREATE VIEW v AS SELECT mine(); SET x.y = 1; SELECT count(*)",
        "",
    ),
    ("CREATE TYPE t AS ENUM (); ALTER TYPE t ADD VALUE 'x'; ALTER DOMAIN d ADD CHECK (VALUE > 0)", ""),
    ("ALTER TABLE a ADD CHECK (mine(n)); CREATE INDEX ON a (mine(n))", ""),
    ("INSERT INTO a VALUES (now()); UPDATE s.b SET n = 1; DELETE FROM ONLY c; COPY a FROM STDIN", "a b c"),
    ("MERGE INTO a USING b ON true WHEN MATCHED THEN DELETE", "a"),
    (
        "WITH x AS (UPDATE a SET n = 1 RETURNING n), y AS (DELETE FROM b) INSERT INTO c SELECT n FROM x",
        "a b c",
    ),
    ("COPY a TO STDOUT", ""),
    ("REFRESH MATERIALIZED VIEW CONCURRENTLY c", "c"),
    ("CREATE TABLE d AS SELECT 1", ""),
    ("DO $$ BEGIN END $$", ANYTHING),
    ("CALL p()", ANYTHING),
    ("SELECT mine()", ANYTHING),
    ("SELECT s.mine(1) FROM a WHERE true", ANYTHING),
    ("INSERT INTO a SELECT mine()", ANYTHING),
    ("CREATE TABLE d AS SELECT mine()", ANYTHING),
    ("ALTER TABLE a ADD n int DEFAULT mine()", ANYTHING),
    ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ''; SELECT f()", ANYTHING),
    ("SELECT dblink_exec('', '')", ANYTHING),
    ("INSERT INTO view_of_a VALUES (1)", ANYTHING),
    ("INSERT INTO acting VALUES (1)", ANYTHING),
    ("CREATE TRIGGER t AFTER INSERT ON a EXECUTE FUNCTION mine(); INSERT INTO a VALUES (1)", ANYTHING),
    ("CREATE RULE r AS ON INSERT TO a DO ALSO DELETE FROM b; INSERT INTO a VALUES (1)", ANYTHING),
    ("CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION mine()", ANYTHING),
    ("PREPARE x AS DELETE FROM a; EXECUTE x", ANYTHING),
    ("EXPLAIN ANALYZE DELETE FROM a", ANYTHING),
]


def written(text: str) -> PendingWrites:
    return pending_writes(parse(text), {"mine"}, {"a", "b", "c", "d", "acting"}, {"acting"})


@pytest.mark.parametrize(("text", "tables"), CASES, ids=[text[:60] for text, _ in CASES])
def test_writes(text, tables):
    found = written(text)
    assert found.anything == (tables is ANYTHING)
    if tables is not ANYTHING:
        assert found.tables == set(tables.split())


def test_conversions():
    text = 'ALTER TABLE a ALTER n TYPE int USING n::int, ALTER b TYPE text; ALTER TABLE s."x y" ALTER "N" TYPE int USING 1'
    assert written(text).converted == {("a", "n"), ("x y", "N")}


def test_changed_types_have_all_names_of_their_columns():
    found = written(
        "ALTER TABLE a RENAME n TO one; ALTER TABLE a ALTER one TYPE int; ALTER TABLE a RENAME one TO two;"
        "ALTER TABLE a RENAME other TO o; ALTER TABLE b ALTER o SET NOT NULL;"
    )
    assert found.retyped == {"n", "one", "two"}
    assert not found.truncates
    assert written("TRUNCATE a").truncates


def test_a_large_file_may_write_anything():
    assert written("INSERT INTO a VALUES (1);" * 40_000 + f"SELECT '{'x' * 10_000}'").anything
