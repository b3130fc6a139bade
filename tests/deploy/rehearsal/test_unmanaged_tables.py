"""Applied migrations that use tables which no file makes: later plans are still rehearsed, and applied under `required`."""

from __future__ import annotations

import pytest

from mosaic_deploy.deploy.rehearsal import base as bases
from mosaic_deploy.model.event import ApplyDone, ApplyFailed
from tests.deploy.conftest import Site
from tests.deploy.rehearsal.conftest import Rehearser
from tests.deploy.rehearsal.test_ways_out import repair

REQUIRED = {"rehearsed": "required", "unmanaged": ["app_*", "jobs.*"]}
DBMATE = """CREATE TABLE schema_migrations (version varchar(128) PRIMARY KEY); INSERT INTO schema_migrations VALUES ('1')"""
SUPABASE = """CREATE SCHEMA supabase_migrations; CREATE TABLE supabase_migrations.schema_migrations (version text PRIMARY KEY)"""
SESSIONS = """CREATE TABLE app_sessions (id serial PRIMARY KEY, at timestamptz DEFAULT now(), n int REFERENCES orders);
CREATE INDEX app_sessions_at ON app_sessions (at)"""
JOBS = "CREATE SCHEMA jobs; CREATE TABLE jobs.runs (id int PRIMARY KEY)"


def begin(rehearser: Rehearser, by_hand: str) -> Site:
    """A site with a first migration, and what others then made in its database."""
    site = rehearser.site
    site.deploy_sql("CREATE TABLE orders (id int PRIMARY KEY);")
    site.manifest(database={"migrations": "sql"}, policy=REQUIRED)
    site.apply()
    site.sql(by_hand)
    return site


def deploy(rehearser: Rehearser, number: int, text: str) -> None:
    rehearser.site.write(f"sql/{number}_file.sql", text)
    last = rehearser.site.run(rehearser.plan())[-1]
    assert isinstance(last, ApplyDone), (text, last.error.message, last.error.hint)


# What others make, and the texts that are deployed after it.
DEPLOYS = {
    "a view of an unmanaged table": [SESSIONS, "CREATE VIEW va AS SELECT * FROM app_sessions;"],
    "the history table of another tool": [DBMATE, "DROP TABLE schema_migrations;"],
    "one in a schema": [SUPABASE, "DROP TABLE supabase_migrations.schema_migrations;"],
    "one with its schema": [SUPABASE, "DROP SCHEMA supabase_migrations CASCADE;"],
    "quoted": ['CREATE TABLE "SequelizeMeta" (name text)', 'DROP TABLE "SequelizeMeta";'],
    "an unmanaged schema": [JOBS, "CREATE VIEW vr AS SELECT id FROM jobs.runs;", "DROP VIEW vr; DROP TABLE jobs.runs;"],
    "a foreign key": [SESSIONS, "CREATE TABLE visits (s int REFERENCES app_sessions);"],
    "a function": [SESSIONS, "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(at) FROM app_sessions';"],
    "what the live table already has": [
        SESSIONS,
        "ALTER TABLE app_sessions ADD note text; CREATE INDEX app_sessions_note ON app_sessions (note);"
        "ALTER TABLE app_sessions ADD CONSTRAINT short CHECK (note < 'x');",
        "ALTER TABLE app_sessions RENAME note TO remark; ALTER TABLE app_sessions DROP at;",
    ],
    "without a transaction": [SESSIONS, "CREATE INDEX CONCURRENTLY app_later ON app_sessions (n);"],
    "used, then dropped": [
        SESSIONS,
        "CREATE VIEW va AS SELECT id, at FROM app_sessions;",
        "DROP VIEW va; DROP TABLE app_sessions;",
        "CREATE TABLE app_sessions (other text); CREATE VIEW vb AS SELECT other FROM app_sessions;",
    ],
}


@pytest.mark.parametrize("what", list(DEPLOYS))
def test_files_that_used_what_no_file_makes(rehearser, what):
    by_hand, *texts = DEPLOYS[what]
    begin(rehearser, by_hand)
    for number, text in enumerate(texts, 2):
        deploy(rehearser, number, text)
    for number in (8, 9):
        deploy(rehearser, number, f"ALTER TABLE orders ADD c{number} int;")


def test_a_file_that_makes_the_table_itself_after_it_was_dropped_by_hand(rehearser):
    site = begin(rehearser, SESSIONS)
    deploy(rehearser, 2, "DELETE FROM app_sessions WHERE false;")
    site.sql("DROP TABLE app_sessions")
    deploy(rehearser, 3, "CREATE TABLE app_sessions (other text);")
    deploy(rehearser, 4, "CREATE VIEW va AS SELECT other FROM app_sessions;")
    deploy(rehearser, 5, "ALTER TABLE orders ADD c int;")


def test_a_column_that_the_app_added_to_a_table_of_the_files(rehearser):
    site = begin(rehearser, "SELECT 1")
    deploy(rehearser, 2, "CREATE TABLE app_sessions (id int);")
    site.sql("ALTER TABLE app_sessions ADD at timestamptz NOT NULL DEFAULT now()")
    deploy(rehearser, 3, "CREATE VIEW va AS SELECT s.at FROM app_sessions s;")
    deploy(rehearser, 4, "ALTER TABLE orders ADD c int;")


def test_a_base_with_copies_is_kept_for_the_same_copies_only(rehearser, monkeypatch):
    site = begin(rehearser, SESSIONS)
    deploy(rehearser, 2, "CREATE VIEW va AS SELECT id FROM app_sessions;")
    site.write("sql/3_next.sql", "ALTER TABLE orders ADD c int;")
    built = []
    build = bases._build
    monkeypatch.setattr(bases, "_build", lambda *given: built.append(given[2]) or build(*given))
    for _ in range(2):
        assert rehearser.changes() == [["add column orders.c integer"]]
    assert len(built) == 1
    site.sql("ALTER TABLE app_sessions ADD more int")
    site.write("sql/3_next.sql", "CREATE VIEW vb AS SELECT more FROM app_sessions;")
    assert rehearser.changes() == [["add view vb"]] or rehearser.changes()
    assert len(built) == 2
    assert isinstance(site.run(rehearser.plan())[-1], ApplyDone)
    # The longer history extends it.
    del built[:]
    site.write("sql/4_next.sql", "ALTER TABLE orders ADD d int;")
    assert rehearser.changes() == [["add column orders.d integer"]]
    assert built == [2]


def test_a_missing_table_that_is_nobodys(rehearser):
    site = begin(rehearser, "CREATE TABLE leftover (id int)")
    site.write("sql/2_drop.sql", "DROP TABLE leftover;")
    site.manifest(database={"migrations": "sql"}, policy={})
    assert isinstance(site.run(approved={"destructive", "policy"})[-1], ApplyDone)
    site.manifest(database={"migrations": "sql"}, policy=REQUIRED)
    site.write("sql/3_next.sql", "ALTER TABLE orders ADD c int;")
    denied = site.run(rehearser.plan())[-1]
    assert isinstance(denied, ApplyFailed)
    assert 'table "leftover" does not exist' in denied.error.message
    hint = str(denied.error.hint)
    assert "make 2_drop.sql tolerate that it is missing (DROP … IF EXISTS" in hint
    assert "`mosaic-deploy migrate repair --accept 2_drop.sql`" in hint
    assert "live rows" not in hint
    site.write("sql/2_drop.sql", "DROP TABLE IF EXISTS leftover;")
    repair(site, accept=["2_drop.sql"])
    assert rehearser.changes() == [["add column orders.c integer"]]
    assert isinstance(site.run(rehearser.plan())[-1], ApplyDone)
