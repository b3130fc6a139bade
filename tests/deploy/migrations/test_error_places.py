"""A failed statement is located where PostgreSQL locates it when it is sent alone."""

from __future__ import annotations

import json

import psycopg
import pytest

from mosaic_deploy.errors import Location, MigrationFailed, MigrationInvalid, MigrationUnknownName
from mosaic_deploy.sql.parse import line_and_column
from tests.deploy.migrations.test_migrations import history, tables

BEFORE = """create schema l;
create table t (id int primary key, ünï text, "My Col" int);
create table u (id int);
create type mood as enum ('a');"""

POSITIONS = {
    "column": "select ünï,\n  nope from t",
    "qualified column": "select t.id, t.nope from t",
    "column in a comment and a text": "select 'nope /* é', /* nope /* */ */\n  nope from t",
    "quoted column": 'select "My Col", "my col" from t',
    "inserted column": "insert into t (id, nope) values (1, 2)",
    "updated column": "update t set ünï = 'x', nope = 1",
    "column in a subquery": "delete from u where id in (\n\tselect nope from t)",
    "ambiguous column": "select 1, id from t, u",
    "ungrouped column": "select ünï, count(*) from t",
    "from clause": "select t.id, x.id from t",
    "relation": "insert into nosuch values (1)",
    "relation with schema": "select * from t join l.nosuch n on true",
    "type": "create table a (id int, b nosuch)",
    "array type with schema": "create table a (id int,\n  b l.nosuch[])",
    "function": "select 🎉 from (select 'é' as 🎉) s where nofunc(1)",
    "function with schema": "select id, l.nofunc(id) from t",
    "operator": "select ünï = 1 from t",
    "literal": "insert into t (id, ünï) values (1, 'x'), ('abc', 'y')",
    "enum literal": "select 'é', 'zz'::mood",
    "body of a function in SQL": "create function f() returns int language sql as $$\n  select 1;\n  select nope;\n$$",
    "quoted body in SQL": "create function f() returns int as '\n  select ''é'', nope from t\n' language sql",
    "body": "create function f() returns int language plpgsql as $$\nbegin\n  retrun 1;\nend $$",
}


def alone(platform, project: str, statement: str) -> int | None:
    """PostgreSQL's position, from 1, when the statement is sent by a PostgreSQL client."""
    state = json.loads((platform.home / "state.json").read_text())
    url = f"postgresql://mosaic:{state['postgres_password']}@127.0.0.1:{state['postgres_port']}/{project}"
    with psycopg.connect(url, autocommit=True) as connection, pytest.raises(psycopg.Error) as caught:
        connection.execute(statement.encode())
    position = caught.value.diag.statement_position
    return int(position) if position else None


def database(platform, site) -> str:
    import httpx

    url = f"{platform.url}/v1/project/{site.project_id}/credentials"
    return str(httpx.get(url, headers={"X-API-Key": platform.api_key}).json()["database"])


def found_by_plan_or_apply(site) -> Location:
    """The location of the error: of what the plan finds, else of the statement that fails."""
    try:
        error = site.fails().error
    except (MigrationInvalid, MigrationUnknownName) as found:
        return found.problems[0].location
    assert isinstance(error, MigrationFailed)
    return error.location


def test_locations_match_postgresql(platform, site):
    history(site, m1_before=BEFORE)
    site.apply()
    name = database(platform, site)
    for what, statement in POSITIONS.items():
        position = alone(platform, name, statement)
        assert position is not None, what
        text = f"-- é\nselect 1;\n  {statement};\n"
        site.write("sql/2_wrong.sql", text)
        location = found_by_plan_or_apply(site)
        line, column, line_text = line_and_column(text, text.index(statement) + position - 1)
        assert str(location) == f"sql/2_wrong.sql:{line}:{column}", what
        assert location.text == line_text


def test_a_migration_of_twenty_thousand_statements(site):
    """It is one step and one request, and an error is located at its line."""
    rows = "".join(f"insert into a (id, name) values ({n}, 'né {n}');\n" for n in range(20_000))
    history(site, m1_a=f"create table a (id int primary key, name text);\n{rows}")
    site.write(
        "sql/1_a.sql", (site.root / "sql/1_a.sql").read_text() + "insert into a values (7, 'again');\n"
    )
    error = site.fails().error
    assert (str(error.location), error.sqlstate) == ("sql/1_a.sql:20002:1", "23505")
    assert tables(site) == set()
    site.write("sql/1_a.sql", f"create table a (id int primary key, name text);\n{rows}")
    before = site.api.traffic.requests
    planned = site.plan()
    assert [change.steps for change in planned.plan.changes] == [1]
    site.run(planned)
    assert site.api.traffic.requests - before < 12
    assert site.sql("select count(*)::int as n, max(name) as m from a") == [{"n": 20_000, "m": "né 9999"}]
    assert site.plan().plan.changes == ()
