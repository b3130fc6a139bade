"""An error in COPY rows is located at the row that PostgreSQL refused, or at the COPY if that isn't certain."""

from __future__ import annotations

from itertools import product

import pytest

from mosaic_deploy.errors import MigrationFailed
from mosaic_deploy.model.event import ChangeDone
from mosaic_deploy.sql.scripts import copy_batches
from tests.deploy.conftest import Site
from tests.deploy.histories import sql
from tests.sampling import sampled

CARRIERS = {"batch": {}, "plain": {"statement_timeout": "20s"}, "one transaction": {"transaction": "all"}}


@pytest.fixture(params=CARRIERS)
def carrier(request) -> dict[str, str]:
    """Database options that decide how the statements are sent."""
    return CARRIERS[request.param]


def deploy(site: Site, *files: str, **database: object) -> None:
    for number, text in enumerate(files, 1):
        site.write(f"sql/{number}_x.sql", text)
    site.manifest(database={"migrations": "sql", **database})


def failed_at(site: Site) -> tuple[int | None, str | None]:
    """The line of the error, and its text."""
    error = site.fails().error
    assert isinstance(error, MigrationFailed)
    assert "mosaic" not in f"{error.message} {error.detail} {error.pg_hint} {error.calls}"
    return error.location.line, error.location.text


CONSTRAINTS = {
    "check": "CHECK (a <> 40)",
    "check of a long value": "CHECK (b NOT LIKE '%40%')",
    "unique": "UNIQUE (b)",
    "key": "FOREIGN KEY (a) REFERENCES u",
    "not null": "CHECK (true), c int GENERATED ALWAYS AS (nullif(a, 40)) STORED NOT NULL",
    "exclusion": "EXCLUDE USING gist (int4range(a - (a = 40)::int, a + 1) WITH &&)",
}


@pytest.mark.parametrize(("columns", "constraint"), sampled(product(["", "(a, b)"], CONSTRAINTS), 3))
def test_a_row_that_breaks_a_constraint_is_located(site, columns, constraint):
    """PostgreSQL reports no place, only the values."""
    text = "x" * 70
    rows = [f"{n}\t{n} {text}" for n in range(40)]
    rows += [f"40\t{'3' if constraint == 'unique' else '40'} {text}", "41\t\\N"]
    deploy(
        site,
        "CREATE TABLE u (a int PRIMARY KEY); INSERT INTO u SELECT generate_series(0, 39); INSERT INTO u VALUES (41);"
        f"CREATE TABLE t (a int, b text, {CONSTRAINTS[constraint]});\n"
        f"COPY t {columns} FROM stdin;\n" + "".join(f"{row}\n" for row in rows) + "\\.\n",
    )
    assert failed_at(site) == (43, rows[40])


DUPLICATES = {
    "twice in the file": ("", "1\ta'b\n2\t(x)=(y)\n3\t(x)=(y)\n", 3),
    "three times": ("", "1\tx\n2\ty\n3\tx\n4\tx\n", 3),
    "in the table already": ("INSERT INTO t VALUES (0, 'x');", "1\ty\n2\tx\n3\tz\n", 2),
    "in the table, and twice in the file": ("INSERT INTO t VALUES (0, 'x');", "1\ty\n2\tx\n3\tx\n", 2),
    "in another spelling": ("", "7\ty\n07\tx\n7\tz\n", 2),
    "in another spelling, in the table": ("INSERT INTO t VALUES (7, 'a');", "07\ty\n7\tx\n", 1),
    "in another column too": ("INSERT INTO t VALUES (0, 'x');", "5\t0\n0\tz\n5\ta\n", 2),
    "the only row": ("INSERT INTO t VALUES (0, 'x');", "5\tx\n", 1),
}


@pytest.mark.parametrize(("columns", "case"), sampled(product(["", " (n, v)", " (v, n)"], DUPLICATES), 4))
def test_a_duplicate_is_located_at_the_row_that_was_refused(site, carrier, columns, case):
    before, rows, expected = DUPLICATES[case]
    if columns == " (v, n)":
        rows = "".join("\t".join(reversed(row.split("\t"))) + "\n" for row in rows.splitlines())
    deploy(
        site,
        f"CREATE TABLE t (n int UNIQUE, v text UNIQUE); {before}",
        f"COPY t{columns} FROM stdin;\n{rows}\\.\n",
        **carrier,
    )
    assert failed_at(site) == (expected + 1, rows.splitlines()[expected - 1])


def test_what_the_file_does_before_counts(site, carrier):
    """The key was in the table, and is there again after the failure."""
    table = "CREATE TABLE t (n int, v text UNIQUE); INSERT INTO t VALUES (1, 'x');"
    deploy(site, table, "TRUNCATE t;\nCOPY t FROM stdin;\n1\tx\n2\tx\n\\.\n", **carrier)
    assert failed_at(site) == (4, "2\tx")


def test_a_key_of_an_earlier_batch(site, carrier, monkeypatch):
    monkeypatch.setattr(copy_batches, "BATCH_LENGTH", 40)
    rows = [f"{n}\tvalue {n}" for n in range(20)] + ["20\tvalue 2", "21\tvalue 2"]
    text = "".join(f"{row}\n" for row in rows)
    deploy(site, f"CREATE TABLE t (n int, v text UNIQUE);\nCOPY t FROM stdin;\n{text}\\.\n", **carrier)
    assert failed_at(site) == (23, "20\tvalue 2")


def test_an_expression_as_the_key(site):
    deploy(
        site,
        "CREATE TABLE t (v text); CREATE UNIQUE INDEX ON t (lower(v));",
        'COPY t (v) FROM stdin WITH (FORMAT csv);\n"a\n\nb"\nFoo\nfoo\n\\.\n',
    )
    assert failed_at(site) == (6, "foo")


VALUES = {
    "overflow": ("a numeric(3, 1)", "1\n2\n100\n1\n", 3),
    "too long": ("a varchar(2)", "ab\nabc\nabcd\n", 2),
    "syntax that is valid elsewhere": ("a text, b int", "x\t1\nx\tx\n", 2),
    "domain": ("a d", "good\nbad\n", 2),
    "plan-time before run-time": ("a int UNIQUE, b varchar(2)", "1\ta\n1\tb\n2\tabc\n", 3),
}


@pytest.mark.parametrize("case", sampled(VALUES, 2))
def test_an_invalid_value_is_located(site, carrier, case):
    columns, rows, expected = VALUES[case]
    deploy(
        site,
        f"CREATE DOMAIN d AS text CHECK (value <> 'bad'); CREATE TABLE t ({columns});",
        f"COPY t FROM stdin;\n{rows}\\.\n",
        **carrier,
    )
    assert failed_at(site) == (expected + 1, rows.splitlines()[expected - 1])


def trigger(body: str, when: str = "BEFORE INSERT ON t FOR EACH ROW") -> str:
    function = (
        f"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN\n{body}\nRETURN NEW; END $$;\n"
    )
    return f"CREATE TABLE t (n int UNIQUE, v text); {function}CREATE TRIGGER f {when} EXECUTE FUNCTION f();\n"


def test_an_error_that_differs_each_time_is_at_the_copy(site, carrier):
    body = "IF NEW.n = 2 THEN RAISE check_violation USING MESSAGE = clock_timestamp(); END IF;"
    deploy(site, trigger(body), "SELECT 1;\nCOPY t FROM stdin;\n1\ta\n2\tb\n3\tc\n\\.\n", **carrier)
    assert failed_at(site) == (2, "COPY t FROM stdin;")


def test_an_error_about_the_copy_is_at_the_copy(site, carrier):
    """Its message names a column, and so do the rows."""
    table = "CREATE TABLE t (v text, made text GENERATED ALWAYS AS (v) STORED);"
    copy = "COPY t (v, made) FROM stdin;"
    deploy(site, table, f"SELECT 1;\n{copy}\nx\tmade\nv\ty\n\\.\n", **carrier)
    assert failed_at(site) == (2, copy)


def test_an_error_in_a_function_of_the_file_is_at_its_line(site, carrier):
    copy = "COPY t FROM stdin;\n1\ta\n0\tb\n\\.\n"
    deploy(site, trigger("PERFORM 1 / NEW.n;") + copy, **carrier)
    assert failed_at(site) == (2, "PERFORM 1 / NEW.n;")


def test_an_error_in_a_function_from_elsewhere_is_at_the_row(site, carrier):
    deploy(site, trigger("PERFORM 1 / NEW.n;"), "COPY t FROM stdin;\n1\ta\n0\tb\n\\.\n", **carrier)
    error = site.fails().error
    assert (error.location.line, error.calls) == (3, ("PL/pgSQL function f() line 2 at PERFORM",))


def test_what_triggers_say_is_shown_once(site, carrier):
    body = "RAISE NOTICE 'row %', NEW.n;"
    deploy(site, trigger(body), "COPY t FROM stdin;\n1\ta\n2\tb\n2\tc\n\\.\n", **carrier)
    error = site.fails().error
    assert isinstance(error, MigrationFailed)
    assert error.notices == ("NOTICE: row 1", "NOTICE: row 2", "NOTICE: row 2")
    assert error.location.line == 4


def test_nothing_is_left_of_the_search(site, carrier):
    body = "INSERT INTO seen VALUES (NEW.n);"
    deploy(
        site,
        f"CREATE TABLE seen (n int); {trigger(body)}",
        "COPY t FROM stdin;\n1\ta\n2\tb\n2\tc\n\\.\n",
        **carrier,
    )
    assert failed_at(site) == (4, "2\tc")
    if "transaction" not in carrier:
        assert sql(site, "SELECT (SELECT count(*) FROM seen) AS a, (SELECT count(*) FROM t) AS b") == [
            {"a": 0, "b": 0}
        ]
    site.write("sql/2_x.sql", "COPY t FROM stdin;\n1\ta\n2\tb\n\\.\n")
    site.apply()
    assert sql(site, "SELECT (SELECT count(*) FROM seen) AS a, (SELECT count(*) FROM t) AS b") == [
        {"a": 2, "b": 2}
    ]


@pytest.mark.parametrize("columns", ["", " (n, v)"])
def test_inserted_rows_are_counted(site, carrier, columns):
    body = "IF NEW.n = 2 THEN RETURN NULL; END IF;"
    rows = "1\ta\n2\tb\n3\tc\n"
    after = "INSERT INTO t SELECT 9 WHERE false;"
    deploy(
        site,
        f"{trigger(body)}COPY t{columns} FROM stdin;\n{rows}\\.\n{after}",
        f"{after}\nSELECT 1;",
        **carrier,
    )
    done = {e.change.address: e.steps for e in site.run() if isinstance(e, ChangeDone) and e.steps}
    assert [step.rows for step in done["migration:1_x.sql"]] == [{"inserted": 2}]
    assert [step.rows for step in done["migration:2_x.sql"]] == [{"inserted": 0}]


def test_a_duplicate_in_a_large_file(site, carrier, monkeypatch):
    monkeypatch.setattr("mosaic_deploy.source.migrations.script_text.LARGE_FILE", 1000)
    rows = [f"{n}\tx" for n in range(50_000)]
    rows[40_000] = "39999\tx"
    text = "".join(f"{row}\n" for row in rows)
    deploy(site, f"CREATE TABLE t (a int PRIMARY KEY, b text);\nCOPY t FROM stdin;\n{text}\\.\n", **carrier)
    assert failed_at(site) == (40_003, "39999\tx")


def test_a_duplicate_in_a_seed(site):
    site.write("sql/1_x.sql", "CREATE TABLE t (n int UNIQUE);")
    site.write("seed.sql", "COPY t FROM stdin;\n1\n2\n1\n\\.\n")
    site.manifest(database={"migrations": "sql", "seeds": ["seed.sql"]})
    assert failed_at(site) == (4, "1")


def test_a_role_and_a_search_path_hold_for_the_search(site, carrier):
    deploy(
        site,
        "CREATE SCHEMA s; CREATE TABLE s.t (n int UNIQUE); CREATE TABLE t (n int UNIQUE);",
        "SET search_path = s;\nCOPY t FROM stdin;\n1\n2\n1\n\\.\n",
        **carrier,
    )
    assert failed_at(site) == (5, "1")
