"""Constraints that a rehearsal saw appear, compared with the live rows, on the real embedded platform."""

from __future__ import annotations

import copy

import pytest

from mosaic_deploy.deploy.rehearsal import rehearse
from mosaic_deploy.errors import SqlFailed, Unreachable
from mosaic_deploy.live.api.error_mapping import MULTIPLE_COMMANDS_ERROR
from mosaic_deploy.model.hazard import RowCheck
from mosaic_deploy.sql.read_only import NOT_READ_ONLY_MESSAGE
from mosaic_deploy.sql.row_checks import request
from tests.deploy.rehearsal.conftest import COMMAND, Rehearser

FORMAT = "the SQL endpoint returned the results in an unexpected format"
SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, email text, age int);
CREATE TABLE logs (line text, user_id int);
"""
ROWS = """
INSERT INTO users VALUES (4, NULL, 3), (9, NULL, 30), (31, NULL, -1), (40, 'a', 2), (41, 'a', 2), (50, NULL, 1);
INSERT INTO logs VALUES ('x', 4), ('y', 5), (NULL, NULL);
"""


def checks(rehearser: Rehearser, *migrations: str, schema: str = SCHEMA, rows: str = ROWS) -> list[RowCheck]:
    """The checks of pending migrations, on a live database with these rows, which no migration inserts."""
    rehearser.site.deploy_sql(schema)
    if rows:
        rehearser.site.sql(rows)
    for number, text in enumerate(migrations, 2):
        rehearser.site.write(f"sql/{number}_new.sql", text)
    found = rehearser.rehearsal()
    assert not found.not_rehearsed, found
    return list(found.row_checks)


def texts(found: list[RowCheck]) -> list[str]:
    """`SET NOT NULL on users.email: 4 4 9 31`, with `now` if the answer isn't final."""
    return [
        f"{each.constraint}: {each.reason or each.rows}{'+' if each.more else ''}"
        + "".join(f" {key}" for key in each.keys)
        + (" now" if each.written else "")
        for each in found
    ]


@pytest.mark.parametrize(
    ("migration", "expected"),
    [
        ("ALTER TABLE users ALTER email SET NOT NULL", "SET NOT NULL on users.email: 4 4 9 31"),
        ("ALTER TABLE users ADD CONSTRAINT young CHECK (age < 30)", "CHECK young on users: 1 9"),
        ("ALTER TABLE users ADD CONSTRAINT e UNIQUE (email)", "UNIQUE e on users: 2 40 41"),
        ("CREATE UNIQUE INDEX e ON users (email)", "UNIQUE INDEX e on users: 2 40 41"),
        ("CREATE UNIQUE INDEX e ON users (lower(email)) WHERE age > 2", "UNIQUE INDEX e on users: 0"),
        ("CREATE UNIQUE INDEX e ON users (email) NULLS NOT DISTINCT", "UNIQUE INDEX e on users: 6 4 9 31"),
        ("CREATE UNIQUE INDEX CONCURRENTLY e ON users (age, email)", "UNIQUE INDEX e on users: 2 40 41"),
        (
            "ALTER TABLE logs ADD CONSTRAINT u FOREIGN KEY (user_id) REFERENCES users",
            "FOREIGN KEY u on logs: 1",
        ),
        ("ALTER TABLE users ADD n int NOT NULL", "ADD COLUMN users.n NOT NULL without a default: 6 4 9 31"),
        ("ALTER TABLE users ALTER age TYPE smallint", "TYPE smallint of users.age: 0"),
        (
            "ALTER TABLE users ADD CONSTRAINT x EXCLUDE (age WITH =)",
            "EXCLUDE x on users: exclusion constraints aren't checked",
        ),
    ],
)
def test_kinds(rehearser, migration, expected):
    assert texts(checks(rehearser, migration)) == [expected]


def test_what_holds_or_is_new_has_no_violations(rehearser):
    found = checks(
        rehearser,
        "ALTER TABLE users ADD CONSTRAINT old CHECK (age > 100) NOT VALID;"
        "ALTER TABLE users ADD nick text DEFAULT 'x' NOT NULL, ADD CONSTRAINT n CHECK (nick <> 'a' OR age > 4);"
        "ALTER TABLE users ALTER nick DROP DEFAULT;"
        "CREATE TABLE fresh (id int PRIMARY KEY, n int NOT NULL UNIQUE CHECK (n > 0), u int REFERENCES users);"
        "ALTER TABLE users ADD serial bigserial UNIQUE, ADD i int GENERATED ALWAYS AS IDENTITY;",
    )
    assert texts(found) == []


def test_a_constraint_that_was_not_valid(rehearser):
    schema = SCHEMA + (
        "ALTER TABLE users ADD CONSTRAINT c CHECK (age < 30) NOT VALID; ALTER TABLE users ADD CONSTRAINT n NOT NULL email NOT VALID;"
        "ALTER TABLE logs ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users NOT VALID;"
        "ALTER TABLE users ADD CONSTRAINT other CHECK (age < 20) NOT VALID;"
    )
    rows = ROWS.replace("INSERT INTO users", "ALTER TABLE users DISABLE TRIGGER ALL; INSERT INTO users")
    rehearser.site.deploy_sql(SCHEMA)
    rehearser.site.sql(rows)
    rehearser.site.write("sql/2_valid.sql", schema.removeprefix(SCHEMA))
    rehearser.site.apply()
    rehearser.site.write("sql/3_c.sql", "ALTER TABLE users VALIDATE CONSTRAINT c;")
    rehearser.site.write("sql/4_n.sql", "ALTER TABLE users VALIDATE CONSTRAINT n;")
    rehearser.site.write("sql/5_f.sql", "ALTER TABLE logs VALIDATE CONSTRAINT f;")
    found = rehearser.rehearsal().row_checks
    assert texts(list(found)) == [
        "FOREIGN KEY f on logs: 1",
        "SET NOT NULL on users.email: 4 4 9 31",
        "CHECK c on users: 1 9",
    ]
    assert [each.address for each in found] == ["migration:5_f.sql", "migration:4_n.sql", "migration:3_c.sql"]
    assert all(each.fails for each in found)


@pytest.mark.parametrize(
    "first",
    [
        "UPDATE users SET email = id::text WHERE email IS NULL;",
        "DELETE FROM users;",
        "INSERT INTO users VALUES (1000, '');",
        "TRUNCATE users;",
        "WITH gone AS (DELETE FROM users RETURNING id) SELECT count(*) FROM gone;",
        "DO $$ BEGIN UPDATE users SET email = ''; END $$;",
        "CREATE FUNCTION fill() RETURNS void LANGUAGE sql AS 'UPDATE users SET email = 1'; SELECT fill();",
        "CREATE VIEW v AS SELECT * FROM users; UPDATE v SET email = '';",
        "ALTER TABLE users ALTER email TYPE text USING coalesce(email, '');",
        "ALTER TABLE users RENAME TO people; UPDATE people SET email = ''; ALTER TABLE people RENAME TO users;",
        "MERGE INTO users USING logs ON user_id = id WHEN MATCHED THEN UPDATE SET email = '';",
        "CREATE TRIGGER t AFTER INSERT ON logs EXECUTE FUNCTION fill(); INSERT INTO logs VALUES ('');",
    ],
)
def test_rows_that_the_migrations_change(rehearser, first):
    schema = SCHEMA + "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
    schema = schema if "TRIGGER" in first else SCHEMA
    found = checks(rehearser, first, "ALTER TABLE users ALTER email SET NOT NULL;", schema=schema)
    assert texts(found) == ["SET NOT NULL on users.email: 4 4 9 31 now"]
    assert not found[0].fails


def test_a_type_change_writes_only_its_column(rehearser):
    found = checks(
        rehearser,
        "ALTER TABLE users ALTER email SET NOT NULL, ADD CONSTRAINT u UNIQUE (email), ALTER nick TYPE varchar(1);"
        "ALTER TABLE logs RENAME user_id TO tmp; ALTER TABLE logs ALTER tmp TYPE bigint; ALTER TABLE logs ALTER tmp TYPE int; ALTER TABLE logs RENAME tmp TO user_id;"
        "ALTER TABLE logs ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users, ADD n int NOT NULL DEFAULT random();",
        schema=SCHEMA + "ALTER TABLE users ADD nick text DEFAULT 'ab';",
    )
    assert texts(found) == [
        "FOREIGN KEY f on logs: 1 now",
        "SET NOT NULL on users.email: 4 4 9 31",
        "UNIQUE u on users: 2 40 41",
        "TYPE character varying(1) of users.nick: 6 4 9 31",
    ]


def test_a_type_change_after_truncate_is_not_final(rehearser):
    found = checks(rehearser, "TRUNCATE users; ALTER TABLE users ALTER age TYPE smallint")
    assert texts(found) == ["TYPE smallint of users.age: 0 now"]


def test_writes_elsewhere_do_not_matter(rehearser):
    found = checks(
        rehearser,
        "UPDATE logs SET line = 'y'; CREATE TABLE fresh AS SELECT 1 AS n; INSERT INTO fresh VALUES (2);"
        "SELECT setval(pg_get_serial_sequence('logs', 'user_id'), 1); ALTER TABLE users ALTER email SET NOT NULL;",
    )
    assert texts(found) == ["SET NOT NULL on users.email: 4 4 9 31"]


def test_renamed_tables_and_columns_are_read_under_their_live_names(rehearser):
    found = checks(
        rehearser,
        "ALTER TABLE users RENAME TO people; ALTER TABLE people RENAME email TO mail;"
        "ALTER TABLE people RENAME id TO email; CREATE SCHEMA s; ALTER TABLE people SET SCHEMA s;",
        "ALTER TABLE s.people ALTER mail SET NOT NULL, ADD CONSTRAINT c CHECK (mail <> 'a' AND email > 0);"
        "CREATE UNIQUE INDEX i ON s.people (lower(mail));"
        "ALTER TABLE logs RENAME user_id TO person; ALTER TABLE logs ADD CONSTRAINT f FOREIGN KEY (person) REFERENCES s.people;",
    )
    assert texts(found) == [
        "FOREIGN KEY f on logs: 1",
        "SET NOT NULL on s.people.mail: 4 4 9 31",
        "CHECK c on s.people: 2 40 41",
        "UNIQUE INDEX i on s.people: 2 40 41",
    ]


def test_locations_have_a_line_if_one_statement_can_be_meant(rehearser):
    found = checks(
        rehearser,
        "ALTER TABLE users ADD n int;\nALTER TABLE users ALTER email SET NOT NULL;",
        "ALTER TABLE users ALTER age DROP DEFAULT;\nALTER TABLE users ALTER age SET NOT NULL;",
        "ALTER TABLE logs ADD UNIQUE (user_id);\nALTER TABLE logs RENAME TO lines;\nALTER TABLE lines ADD m int;",
    )
    assert {each.constraint: str(each.location) for each in found} == {
        "SET NOT NULL on users.email": "sql/2_new.sql:2:1",
        "SET NOT NULL on users.age": "sql/3_new.sql",
        "UNIQUE logs_user_id_key on lines": "sql/4_new.sql",
    }


def test_hostile_names(rehearser):
    table, column, key, check = ('"t\'%s $1;--"', '"a ""b"" \\ $$"', '"🔑 %I"', '"c\n%(x)s"')
    found = checks(
        rehearser,
        f"ALTER TABLE {table} ALTER {column} SET NOT NULL, ADD CONSTRAINT {check} CHECK ({column} <> 'x''y');"
        f"ALTER TABLE {table} ADD CONSTRAINT {column} UNIQUE ({column});",
        schema=f"CREATE TABLE {table} ({key} text PRIMARY KEY, {column} text);",
        rows=f"INSERT INTO {table} VALUES ('k,1', NULL), ('\n\x1b[31m', 'x''y'), ('{'z' * 50}', 'x''y')",
    )
    assert sorted((each.kind, each.rows, each.keys) for each in found) == [
        ("check", 2, ()),  # a key that is a text isn't shown: it may be an email address
        ("not_null", 1, ()),
        ("unique", 2, ()),
    ]


def test_composite_keys_and_foreign_keys(rehearser):
    found = checks(
        rehearser,
        "ALTER TABLE c ADD CONSTRAINT simple FOREIGN KEY (x, y) REFERENCES p;"
        "ALTER TABLE c ADD CONSTRAINT whole FOREIGN KEY (x, y) REFERENCES p MATCH FULL;"
        "ALTER TABLE c ADD CONSTRAINT u UNIQUE (x, y);",
        schema="CREATE TABLE p (a bigint, b text, PRIMARY KEY (a, b)); CREATE TABLE c (lang int, n int, x int, y varchar(5), PRIMARY KEY (n, lang));",
        rows="INSERT INTO p VALUES (1, 'a'); INSERT INTO c VALUES (7, 1, 1, 'a'), (6, 1, 1, NULL), (6, 2, 2, 'a'), (6, 3, NULL, NULL), (7, 4, 1, 'a')",
    )
    assert texts(found) == [
        "FOREIGN KEY simple on c: 1 (2, 6)",
        "FOREIGN KEY whole on c: 2 (1, 6) (2, 6)",
        "UNIQUE u on c: 2 (1, 7) (4, 7)",
    ]


def test_many_rows_are_counted_up_to_a_bound(rehearser):
    rows = "INSERT INTO users SELECT n, NULL, 1 FROM generate_series(1, 5000) n"
    assert texts(checks(rehearser, "ALTER TABLE users ALTER email SET NOT NULL", rows=rows)) == [
        "SET NOT NULL on users.email: 1000+ 1 2 3"
    ]


def test_an_empty_table(rehearser):
    found = checks(rehearser, "ALTER TABLE users ALTER email SET NOT NULL, ADD n int NOT NULL", rows="")
    assert texts(found) == [
        "SET NOT NULL on users.email: 0",
        "ADD COLUMN users.n NOT NULL without a default: 0",
    ]


def test_partitions_and_children(rehearser):
    found = checks(
        rehearser,
        "ALTER TABLE events ALTER v SET NOT NULL, ADD CONSTRAINT c CHECK (v <> 'x'), ADD CONSTRAINT u UNIQUE (id, v);"
        "ALTER TABLE parent ADD CONSTRAINT no_inherit CHECK (v <> 'x') NO INHERIT, ADD CONSTRAINT all_of_them CHECK (v <> 'y');"
        "ALTER TABLE parent ADD CONSTRAINT p UNIQUE (v); ALTER TABLE events ADD n int NOT NULL;",
        schema="CREATE TABLE events (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);"
        "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20);"
        "CREATE TABLE parent (id int PRIMARY KEY, v text); CREATE TABLE child (extra int) INHERITS (parent);",
        rows="INSERT INTO events VALUES (1, 'x'), (11, NULL), (12, NULL);"
        "INSERT INTO parent VALUES (1, 'y'); INSERT INTO child VALUES (2, 'x'), (3, 'y')",
    )
    assert texts(found) == [
        "SET NOT NULL on events.v: 2 11 12",
        "ADD COLUMN events.n NOT NULL without a default: 3 1 11 12",
        "CHECK c on events: 1 1",
        "UNIQUE u on events: 0",
        "CHECK no_inherit on parent: 0",
        "CHECK all_of_them on parent: 2 1 3",
        "UNIQUE p on parent: 0",
    ]


def test_a_detached_partition_is_not_final(rehearser):
    found = checks(
        rehearser,
        "ALTER TABLE events DETACH PARTITION events_1; ALTER TABLE events ALTER v SET NOT NULL;",
        schema="CREATE TABLE events (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
        "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);",
        rows="INSERT INTO events VALUES (1, NULL)",
    )
    assert texts(found) == ["SET NOT NULL on events.v: 1 1 now"]


def test_domains(rehearser):
    found = checks(
        rehearser,
        "ALTER DOMAIN code ADD CONSTRAINT short CHECK (VALUE IS NOT NULL AND length(VALUE) < 3); ALTER DOMAIN code SET NOT NULL;",
        schema="CREATE DOMAIN code AS text; CREATE TABLE t (id int PRIMARY KEY, value code, other text);",
        rows="INSERT INTO t VALUES (1, 'ab'), (2, 'abc'), (3, NULL)",
    )
    assert texts(found) == [
        "NOT NULL of domain code on t.value: 1 3",
        "CHECK short of domain code on t.value: 2 2 3",
    ]


@pytest.mark.parametrize(
    ("old", "new", "values", "expected"),
    [
        ("text", "varchar(3)", ["abc", "abcd", "abc  ", "äöü"], 1),
        ("bigint", "int", [2147483647, 2147483648, -2147483648, -2147483649], 2),
        ("numeric(10,4)", "numeric(4,1)", ["999.94", "999.95", "-999.95", "NaN"], 2),
        ("numeric", "int", ["2147483647.4", "2147483647.5", "1.5"], 1),
        ("int", "numeric(3,1)", [99, 100], 1),
        ("varchar(9)", "varchar(4)", ["abcd", "abcde"], 1),
        ("int", "text", [1], None),
    ],
)
def test_narrower_types(rehearser, old, new, values, expected):
    rows = "; ".join(f"INSERT INTO t (v) VALUES ('{value}')" for value in values)
    found = checks(
        rehearser, f"ALTER TABLE t ALTER v TYPE {new}", schema=f"CREATE TABLE t (v {old})", rows=rows
    )
    assert [each.rows for each in found] == ([] if expected is None else [expected])
    if expected:
        assert found[0].fails
        assert rehearser.site.fails()


def test_a_conversion_is_not_a_check(rehearser):
    found = checks(rehearser, "ALTER TABLE users ALTER email TYPE varchar(1) USING left(email, 1)")
    assert found == []


def test_what_can_not_be_checked_says_why(rehearser):
    found = checks(
        rehearser,
        "CREATE FUNCTION ok(text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';"
        "ALTER TABLE users ADD CONSTRAINT c CHECK (ok(email)); CREATE TABLE teams (id int PRIMARY KEY);"
        "ALTER TABLE logs ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES teams;"
        "ALTER TABLE users ALTER age TYPE bigint; ALTER TABLE users ADD CONSTRAINT a CHECK (age > 0);"
        "ALTER TABLE users ADD CONSTRAINT whole CHECK (users IS NOT NULL);",
    )
    assert sorted(texts(found)) == [
        "CHECK a on users: the migrations change users.age",
        "CHECK c on users: it uses functions, and the migrations change functions",
        "CHECK whole on users: it uses whole rows or system columns",
        "FOREIGN KEY f on logs: it references a table that the migrations create",
    ]
    assert not any(each.fails for each in found)


def test_row_security_and_privileges(rehearser):
    found = checks(
        rehearser,
        "ALTER TABLE users ALTER email SET NOT NULL; ALTER TABLE logs ALTER line SET NOT NULL;",
        schema=SCHEMA
        + "ALTER TABLE users ENABLE ROW LEVEL SECURITY; ALTER TABLE users FORCE ROW LEVEL SECURITY; REVOKE SELECT ON logs FROM CURRENT_USER;",
        rows="",
    )
    why = "row security or missing privileges hide rows from this role"
    assert texts(found) == [f"SET NOT NULL on logs.line: {why}", f"SET NOT NULL on users.email: {why}"]


def test_an_error_shows_no_value(rehearser):
    found = checks(
        rehearser,
        "ALTER TABLE logs ADD CONSTRAINT number CHECK (line::int > 0); ALTER TABLE users ALTER email SET NOT NULL;",
    )
    assert texts(found) == [
        "CHECK number on logs: PostgreSQL reports SQLSTATE 22P02",
        "SET NOT NULL on users.email: 4 4 9 31",
    ]


def test_a_time_limit(rehearser, monkeypatch):
    monkeypatch.setattr(
        request, "_SETTINGS", request._SETTINGS.replace(f"'{request.TIME_LIMIT_SECONDS}s'", "'200ms'")
    )
    schema = SCHEMA + (
        "CREATE FUNCTION slow(text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT pg_sleep(10) IS NOT NULL';"
    )
    found = checks(
        rehearser,
        "ALTER TABLE logs ADD CONSTRAINT a CHECK (line <> 'x'), ADD CONSTRAINT b CHECK (slow(line)); ALTER TABLE users ALTER email SET NOT NULL;",
        schema=schema,
    )
    late = "the time limit of 5 s was reached"
    assert set(texts(found)) <= {
        "CHECK a on logs: 1",
        *(f"{each.constraint}: {late}" for each in found),
        "SET NOT NULL on users.email: 4 4 9 31",
    }
    assert f"CHECK b on logs: {late}" in texts(found)


def test_live_is_only_read(rehearser):
    """A function of a check that writes is refused, and one that may do anything isn't called."""
    body = "'BEGIN INSERT INTO public.logs VALUES (''spied''); RETURN true; END'"
    schema = SCHEMA + (
        f"CREATE FUNCTION spy(text) RETURNS bool LANGUAGE plpgsql AS {body};"
        f"CREATE FUNCTION liar(text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS {body};"
        "CREATE FUNCTION hidden(text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN public.spy($1); END';"
    )
    found = checks(
        rehearser,
        "ALTER TABLE users ADD CONSTRAINT a CHECK (spy(email)); ALTER TABLE users ADD CONSTRAINT b CHECK (liar(email));"
        "ALTER TABLE users ADD CONSTRAINT c CHECK (hidden(email)), ADD CONSTRAINT d CHECK (pg_sleep(1) IS NOT NULL);"
        "ALTER TABLE users ADD CONSTRAINT e CHECK (query_to_xml('SELECT 1', true, true, email) IS NOT NULL);",
        schema=schema,
    )
    assert [each.reason for each in found] == [
        "it uses volatile functions",
        "PostgreSQL reports SQLSTATE 0A000",
        "PostgreSQL reports SQLSTATE 25006",
        "it uses volatile functions",
        "it uses volatile functions",
    ]
    assert rehearser.site.sql("SELECT count(*) AS n FROM logs WHERE line = 'spied'") == [{"n": 0}]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (SqlFailed(f"ERROR: {MULTIPLE_COMMANDS_ERROR}"), "the platform has no read-only transactions"),
        (SqlFailed(NOT_READ_ONLY_MESSAGE), "the platform has no read-only transactions"),
        (SqlFailed("gone", sqlstate="08006"), "PostgreSQL reports SQLSTATE 08006"),
        (Unreachable("no answer"), "no answer"),
        ([], FORMAT),
        ([{"set_config": "on"}], FORMAT),
        ([{request.RESULTS_COLUMN: "[]"}], FORMAT),
    ],
)
def test_an_endpoint_that_can_not_check(rehearser, monkeypatch, answer, reason):
    """The plan is made anyway."""

    def respond(project: str, query: str) -> object:
        if request.RESULTS_COLUMN not in query:
            return ask(project, query)
        if isinstance(answer, Exception):
            raise answer
        return answer

    site = rehearser.site
    site.deploy_sql(SCHEMA)
    site.write("sql/2_new.sql", "ALTER TABLE users ALTER email SET NOT NULL")
    live, ask = copy.copy(site.api), site.api.sql
    monkeypatch.setattr(live, "sql", respond)
    found = rehearse(live, site.api, site.plan(), COMMAND).plan.rehearsal
    assert found is not None
    assert [each.reason for each in found.row_checks] == [reason]
    assert found.done
