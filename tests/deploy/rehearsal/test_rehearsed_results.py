"""A rehearsed plan leaves the schema that it left in the rehearsal: otherwise a strict policy stops it, and others are told."""

from __future__ import annotations

import pytest

from mosaic_deploy.model.event import ApplyDone, ApplyFailed, Noted
from tests.deploy.rehearsal.conftest import Rehearser
from tests.deploy.rehearsal.test_schema_changed import rehearsed

BY_ROWS = "DO $$ BEGIN IF EXISTS (SELECT FROM t) THEN {} END IF; END $$;"
ADDS = "EXECUTE 'ALTER TABLE t ADD zz int CHECK (zz IS NULL)';"
SAME = """
CREATE TABLE made (id int PRIMARY KEY, t int REFERENCES t); INSERT INTO made SELECT id, id FROM t;
CREATE INDEX made_t ON made (t) WHERE t > 1; COMMENT ON TABLE made IS 'new'; GRANT SELECT ON made TO public;
CREATE VIEW seen AS SELECT m.id, o.n FROM made m JOIN t o ON o.id = m.t; CREATE TYPE mood AS ENUM ('a', 'b');
CREATE FUNCTION f(x int DEFAULT 2) RETURNS int LANGUAGE sql AS 'SELECT x'; ALTER TABLE t RENAME n TO amount;
CREATE SCHEMA app; CREATE TABLE app."Odd.Name" (id serial); ALTER TABLE t ADD CHECK (amount > 0); DROP TABLE old;
CREATE TRIGGER cut BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE EXTENSION IF NOT EXISTS pg_trgm; COMMENT ON TRIGGER cut ON t IS 'cuts';
CREATE FUNCTION "f on (g)"(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; COMMENT ON FUNCTION "f on (g)" IS 'not on a table';
"""
BASE = """CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE old (id int);
CREATE VIEW olds AS SELECT n FROM t;"""
UNMANAGED = ("cache_*", "jobs.*")
DYNAMIC = "EXECUTE 'CREATE TABLE cache_1 (id serial PRIMARY KEY); COMMENT ON TABLE cache_1 IS ''x''; GRANT SELECT ON cache_1 TO public;"
DYNAMIC += " CREATE SCHEMA jobs; CREATE TABLE jobs.\"Odd.Name\" (id int); CREATE FUNCTION jobs.f(int) RETURNS int LANGUAGE sql AS ''SELECT 1''';"


def begin(rehearser: Rehearser, transaction: str | None = None, **policy: object) -> None:
    site = rehearser.site
    site.deploy_sql(BASE)
    site.sql("INSERT INTO t VALUES (1, 1), (2, 5)")
    database = {"migrations": "sql", **({"transaction": transaction} if transaction else {})}
    site.manifest(database=database, policy={"unmanaged": [*UNMANAGED], **policy})


def columns(rehearser: Rehearser) -> list[str]:
    rows = rehearser.site.sql(
        "SELECT attname AS name FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attnum"
    )
    return [str(row["name"]) for row in rows]


def differs(rehearser: Rehearser) -> ApplyFailed:
    last = rehearser.site.run(rehearsed(rehearser))[-1]
    assert isinstance(last, ApplyFailed), last
    assert last.error.code == "rehearsal_differs", last.error
    return last


@pytest.mark.parametrize("policy", [{"rehearsed": "required"}, {"agents": "proven"}])
def test_what_only_live_rows_change_is_rolled_back(rehearser, policy):
    begin(rehearser, **policy)
    site = rehearser.site
    site.write("sql/2_safe.sql", "ALTER TABLE t ADD safe int;")
    site.write("sql/3_rows.sql", BY_ROWS.format(ADDS))
    last = differs(rehearser)
    assert str(last.error).startswith(
        "sql/3_rows.sql doesn't leave the schema that it left in the rehearsal: + column t.zz; "
        "+ constraint t_zz_check on t (this migration was rolled back)"
    )
    assert [one.command for one in last.error.next_actions if "--no-rehearse" in one.command] == (
        [] if "rehearsed" in policy else ["mosaic-deploy apply --no-rehearse"]
    )
    assert columns(rehearser) == ["id", "n", "safe"]


def test_only_what_live_rows_change_is_stopped(rehearser):
    begin(rehearser, rehearsed="required")
    site = rehearser.site
    # What it doesn't do with live rows counts as well, and statements that EXECUTE doesn't accept.
    site.write(
        "sql/3_rows.sql",
        "BEGIN; SAVEPOINT a; DO $$ BEGIN IF NOT EXISTS (SELECT FROM t) THEN ALTER TABLE t ADD gone int; "
        "CREATE TABLE gone (id int); END IF; END $$; RELEASE a; COMMIT;",
    )
    assert "in the rehearsal: - table gone; - column t.gone (this" in str(differs(rehearser).error)
    site.write("sql/3_rows.sql", SAME)
    site.write(
        "sql/4_plain.sql", "BEGIN; SAVEPOINT a; ALTER TABLE made ADD x text DEFAULT 'x'; RELEASE a; COMMIT;"
    )
    site.write("sql/5_unmanaged.sql", BY_ROWS.format(DYNAMIC))
    site.write("sql/6_index.sql", "CREATE INDEX CONCURRENTLY later ON made (id); ALTER TABLE made ADD y int;")
    events = site.run(rehearsed(rehearser))
    assert isinstance(events[-1], ApplyDone), events[-1].error
    assert [one.note.code for one in events if isinstance(one, Noted)] == []
    assert site.sql("SELECT name FROM mosaic_deploy.settings WHERE name LIKE 'schema.%'") == []


def test_one_transaction_is_compared_at_its_end(rehearser):
    begin(rehearser, "all", rehearsed="required")
    rehearser.site.write("sql/2_rows.sql", BY_ROWS.format(ADDS))
    rehearser.site.write("sql/3_same.sql", "ALTER TABLE t ADD safe int;")
    assert "+ column t.zz" in str(differs(rehearser).error)
    assert columns(rehearser) == ["id", "n"]
    rehearser.site.write("sql/2_rows.sql", SAME)
    assert isinstance(rehearser.site.run(rehearsed(rehearser))[-1], ApplyDone)


def test_each_step_of_a_file_is_compared(rehearser):
    begin(rehearser, rehearsed="required")
    text = f"BEGIN; CREATE TABLE passing (id int); COMMIT; BEGIN; DROP TABLE passing; {BY_ROWS.format(ADDS)} COMMIT; ALTER TABLE t ADD x int;"
    rehearser.site.write("sql/2_rows.sql", text)
    last = differs(rehearser)
    assert last.error.mutation_state == "partial"
    assert rehearser.site.sql("SELECT to_regclass('passing')::text AS t") == [{"t": "passing"}]


def test_without_a_strict_policy_it_is_reported(rehearser):
    begin(rehearser)
    site = rehearser.site
    site.write("sql/2_rows.sql", BY_ROWS.format(ADDS))
    site.write("sql/3_same.sql", SAME.replace("DROP TABLE old;", ""))
    site.write("sql/4_unmanaged.sql", BY_ROWS.format(DYNAMIC))
    planned = rehearsed(rehearser)
    events = site.run(planned)
    assert isinstance(events[-1], ApplyDone), events[-1].error
    [note] = [one.note for one in events if isinstance(one, Noted)]
    assert note.code == "schema_not_as_rehearsed"
    assert note.message.startswith(
        "the schema isn't what was rehearsed: + column t.zz; + constraint t_zz_check on t. With live rows"
    )
    site.write("sql/5_next.sql", "DROP TABLE old;")
    assert rehearser.rehearsal().not_rehearsed == "the recorded files don't make the live schema"
