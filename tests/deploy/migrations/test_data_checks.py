"""`-- mosaic-check:` comments are evaluated in the migration's transaction, before it."""

from __future__ import annotations

import pytest

from mosaic_deploy.errors import MigrationInvalid
from mosaic_deploy.sql.guard.data_checks import CheckInvalid, data_checks
from mosaic_deploy.sql.parse import parse

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, NULL);"
FAILING = (
    "-- mosaic-check: SELECT NOT EXISTS (SELECT FROM t WHERE v IS NULL); every v; needs a value\nALTER TABLE t ADD w int;",
    "-- Mosaic-Checks: SELECT NULL::bool\nALTER TABLE t ADD w int;",
    "-- mosaic-check: SELECT false WHERE false; none\nALTER TABLE t ADD w int;",
    "ALTER TABLE t ADD w int;\n-- mosaic-check: select count(*) > 1 from t; two\nALTER TABLE t ADD x int;",
    "BEGIN ISOLATION LEVEL SERIALIZABLE;\n-- mosaic-check: SELECT 'a;b' = ';'; odd\nALTER TABLE t ADD w int; COMMIT;",
    "-- mosaic-check: SELECT false; plain\nSAVEPOINT a; ALTER TABLE t ADD w int; RELEASE a;",
)


@pytest.mark.parametrize("text", FAILING)
def test_a_migration_does_not_run_unless_its_checks_hold(site, text: str) -> None:
    site.deploy_sql(TABLE)
    site.write("sql/2_more.sql", text)
    error = site.fails().error
    assert error.code == "migration_failed"
    assert error.message.startswith("check failed: ")
    assert error.location is not None
    assert "mosaic-check" in (error.location.text or "").lower()
    assert (error.sqlstate, error.calls) == (None, ())
    assert site.sql("SELECT count(*) AS n FROM information_schema.columns WHERE table_name = 't'") == [
        {"n": 2}
    ]
    site.write(
        "sql/2_more.sql", text.replace("mosaic-check:", "no check:").replace("Mosaic-Checks:", "no check:")
    )
    site.apply()


def test_a_migration_runs_if_they_hold(site) -> None:
    site.deploy_sql(TABLE)
    site.write(
        "sql/2_more.sql",
        "-- mosaic-check: SELECT EXISTS (SELECT FROM t); rows\n-- mosaic-check: SELECT true\nSELECT 1;",
    )
    site.apply()
    site.write("sql/2_more.sql", "-- mosaic-check: SELECT false; now\nSELECT 1;")
    assert site.plan().plan.empty, "a comment is no edit"


WRITES = """CREATE SCHEMA app; CREATE TABLE app.t (id int); CREATE TABLE t (id int); CREATE TABLE log (at int);
CREATE FUNCTION logged() RETURNS boolean LANGUAGE sql AS 'INSERT INTO log VALUES (1) RETURNING true';"""


def test_nothing_remains_of_what_a_check_calls(site) -> None:
    site.deploy_sql(WRITES)
    path = "set_config('search_path', 'app', false) = 'app'"
    site.write(
        "sql/2_more.sql",
        f"-- mosaic-check: SELECT logged()\n-- mosaic-check: SELECT {path}\nALTER TABLE t ADD note text;",
    )
    site.apply()
    assert site.sql("SELECT note FROM public.t") == site.sql("SELECT * FROM log") == []


INVALID = (
    "DELETE FROM t; x", "SELECT 1 INTO u", "nonsense", "", "SELECT 1 FROM t FOR UPDATE; m", "VALUES (1); DROP TABLE t",
    "WITH d AS (DELETE FROM t RETURNING 1) SELECT true FROM d",
)  # fmt: skip


@pytest.mark.parametrize("content", INVALID[:-2])
def test_a_check_is_one_query_that_reads(site, content: str) -> None:
    site.write("sql/1_t.sql", f"CREATE TABLE t (id int);\n-- mosaic-check: {content}\nSELECT 1;")
    site.manifest(database={"migrations": "sql"})
    with pytest.raises(MigrationInvalid) as raised:
        site.plan()
    [problem] = raised.value.problems
    assert (problem.location.line, "a check" in problem.message) == (2, True)


def test_what_follows_the_query_is_a_message() -> None:
    [check] = data_checks(
        "-- mosaic-check: VALUES (1); DROP TABLE t\nSELECT 1",
        parse("-- mosaic-check: VALUES (1); DROP TABLE t\nSELECT 1"),
    )
    assert (check.query, check.message) == ("VALUES (1)", "DROP TABLE t")
    text = f"-- mosaic-check: {INVALID[-1]}\nSELECT 1"
    with pytest.raises(CheckInvalid, match="only reads"):
        data_checks(text, parse(text))


def test_comments_in_strings_and_bodies_are_no_checks() -> None:
    text = "SELECT '\n-- mosaic-check: SELECT false\n'; DO $$ BEGIN\n-- mosaic-check: SELECT false\nEND $$;"
    assert data_checks(text, parse(text)) == ()


def test_a_first_step_outside_a_transaction_can_have_none(site) -> None:
    site.write("sql/1_t.sql", "CREATE TABLE t (id int);")
    site.write("sql/2_i.sql", "-- mosaic-check: SELECT true\nCREATE INDEX CONCURRENTLY i ON t (id);")
    site.manifest(database={"migrations": "sql"})
    with pytest.raises(MigrationInvalid, match="can't be applied") as raised:
        site.plan()
    assert "of its own before this one" in raised.value.problems[0].message
