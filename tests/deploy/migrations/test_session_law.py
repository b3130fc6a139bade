"""A file does the same as under `psql -f`: whole, and with every step in a session of its own.

MOSAIC_SESSION_EXAMPLES sets the number of generated files.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, assume, event, given, note, settings
from hypothesis import strategies as st
from started_platform import RunningPlatform, create_project

from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.failed_step import StepFailed
from mosaic_deploy.live.database.runner import Runner
from mosaic_deploy.live.ledger.tables import install_sql
from mosaic_deploy.sql.execution.split import StepSql, TransactionControlError, split_steps
from mosaic_deploy.sql.execution.step import SqlSession, Step
from mosaic_deploy.sql.parse import parse
from mosaic_deploy.sql.uncarried import refuse_uncarried

EXAMPLES = int(os.environ.get("MOSAIC_SESSION_EXAMPLES", "6"))
BASE = """
drop schema if exists a, b cascade;
create schema a; create schema b;
do $do$
declare one text;
begin
  for one in select format('drop %s if exists %s cascade', case relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass)
    from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'S')
      and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e') loop
    execute one;
  end loop;
  drop type if exists public.mood; drop function if exists public.f(text); drop procedure if exists public.p(text);
end $do$;
grant usage, create on schema a, b, public to {role};
do $do$
declare s text;
begin
  foreach s in array array['a', 'b', 'public'] loop
    execute format('create type %I.mood as enum (''calm'')', s);
    execute format('create table %I.t (id serial primary key, note text)', s);
    execute format('create table %I.m (mood %I.mood)', s, s);
    execute format('create function %I.f(n text) returns text immutable language sql as $$ select %L || n $$', s, s);
    execute format('grant all on all tables in schema %I to {role}; grant all on all sequences in schema %I to {role}', s, s);
  end loop;
end $do$;
create procedure public.p(text) language plpgsql as $$ begin
  insert into t (note) values ($1 || current_user); commit; insert into t (note) values (current_setting('timezone'));
end $$;
delete from mosaic_deploy.migrations;
"""
SEEN = """
select 'relation', n.nspname, c.relname, c.relkind::text, pg_get_userbyid(c.relowner)
  from pg_class c join pg_namespace n on n.oid = relnamespace where nspname in ('a', 'b', 'public')
union all select 'index', schemaname, tablename, indexname, indexdef from pg_indexes where schemaname in ('a', 'b', 'public')
union all select 'enum', t.typnamespace::regnamespace::text, t.typname, e.enumlabel, '' from pg_enum e
  join pg_type t on t.oid = enumtypid
union all select 'invalid', '', '', indexrelid::regclass::text, '' from pg_index where not indisvalid
order by 1, 2, 3, 4, 5
"""


@dataclass
class Bench:
    """A project whose database is put back before every run."""

    api: Api
    project: str
    url: str
    role: str
    psql_program: Path
    said: str = ""

    def reset(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(BASE.format(role=self.role))

    def psql(self, text: str) -> list[tuple[object, ...]] | None:
        """What is there after psql has run the file; None if a statement failed."""
        self.reset()
        ended = subprocess.run(
            [self.psql_program, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-", self.url],
            input=text, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        self.said = ended.stderr
        return None if ended.returncode else self.seen()

    def apply(
        self, steps: list[StepSql], *, whole: bool, one_statement: bool = False
    ) -> list[tuple[object, ...]]:
        self.reset()
        steps = [
            Step("1", "1_a.sql", "c", "s", "", "", number, len(steps), step)
            for number, step in enumerate(steps, 1)
        ]
        session = SqlSession("law", "law")
        for part in [steps] if whole else [[step] for step in steps]:
            runner = Runner(self.api, self.project, session)
            runner.multi_statement = not one_statement
            try:
                list(runner.run(part))
            except StepFailed as failed:
                raise AssertionError(
                    f"step {failed.step.number}, statement {failed.statement}: {failed.message}"
                ) from None
        return self.seen()

    def seen(self) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            found: list[tuple[object, ...]] = connection.execute(SEEN).fetchall()
            for _, schema, table, kind, _ in list(found):
                if kind == "r":
                    # Without IDs: a block that is rolled back draws numbers in psql, but isn't run here.
                    columns = "note" if table == "t" else "*"
                    rows = connection.execute(f'select {columns} from "{schema}"."{table}"').fetchall()
                    found.append((schema, table, sorted(map(str, rows))))
        return found


@pytest.fixture(scope="module")
def bench(platform: RunningPlatform) -> Iterator[Bench]:
    state = json.loads((platform.home / "state.json").read_text())
    psql = next(Path(state["postgres_folder"]).glob("installation-*/**/bin/psql"))
    admin = f"postgresql://mosaic:{state['postgres_password']}@127.0.0.1:{state['postgres_port']}/postgres"
    project = create_project(platform.url, platform.api_key, "law")
    role = f"law_{os.getpid()}"
    with (
        Api(platform.url, ApiKey(platform.api_key)) as api,
        psycopg.connect(admin, autocommit=True) as superuser,
    ):
        api.sql(project, install_sql())
        api.sql(
            project,
            "insert into mosaic_deploy.lease (holder, token, acquired_at, expires_at) "
            "values ('law', 'law', now(), now() + interval '1 day')",
        )
        found = api.call(endpoints.READ_CREDENTIALS, project=project)
        superuser.execute(f'create role {role}; grant {role} to "{found["user"]}"')
        yield Bench(api, project, str(found["database_url"]), role, psql)


def check(bench: Bench, text: str) -> None:
    """Asserts the law. Raises TransactionControlError for a file that is refused."""
    text = text.replace("ROLE_NAME", bench.role)
    steps = split_steps(parse(text))
    refuse_uncarried(steps)
    expected = bench.psql(text)
    assert expected is not None, bench.said
    assert bench.apply(steps, whole=True) == expected
    if len(steps) > 1:
        assert bench.apply(steps, whole=False) == expected


CASES = {
    "reset all in an earlier step, with a role": "set role none; set statement_timeout = '5min'; reset all;\n"
    "begin; set role ROLE_NAME; commit;\nset search_path = a;\nbegin; create table x7 (id int); end;",
    "enum": "set search_path = a; alter type mood add value 'ok'; insert into m values ('ok');",
    "own transaction": "set search_path = a; begin; create table made (id int); commit; drop table m;",
    "concurrently": "set search_path = a; create index concurrently i on t (lower(f(note)));",
    "several schemas": "drop table a.t; set search_path = a, b; create index concurrently i on t (note); drop table m;",
    "drop concurrently": "set search_path = a; create index i on t (note); create index i on b.t (note);"
    "drop index concurrently if exists i; reindex table concurrently t; vacuum t; select 1;",
    "role": "set role ROLE_NAME; begin; create table made (id int); commit; create table too (id int); vacuum made;"
    "create table three (id int); reset role; vacuum; create table four (id int);",
    "escaped name": 'set search_path = a; create index i on t (note); create index i on b.t (note); drop index concurrently U&"!0069"'
    " uescape '!';",
    "enum in other words": "set search_path = a; alter type mood add value 'it''s'; insert into m values ($$it's$$), (E'it\\x27s');",
    "call": "set search_path = b, public; set role ROLE_NAME; set time zone 'Asia/Tokyo'; call p('x'); insert into t (note)"
    " values (current_user);",
    "do": "set search_path = b; do $$ begin insert into t (note) values ('x'); commit; insert into t (note) values ('y');"
    " end -- done\n $$; insert into t (note) values ('z');",
    "reset": "set search_path = a; vacuum; reset search_path; vacuum; create table made (id int);",
    "default": "set search_path = a; set search_path to default; vacuum; create table made (id int);",
    "reset all": "set search_path = a; set role ROLE_NAME; reset all; vacuum; create table made (id int);",
    "discard all": "set search_path = a; set role ROLE_NAME; discard all; create table made (id int);",
    "set_config": "select set_config('search_path', 'a', false); vacuum; create table made (id int);",
    "computed": "set search_path = a; select set_config('search_path', 'b, ' || current_setting('search_path'), false);"
    "vacuum; set search_path = public; vacuum; create table made (id int);",
    "local": "begin; set local search_path = a; create table made (id int); commit; create table made (id int);",
    "local config": "begin; select set_config('search_path', 'a', true); commit; create table made (id int);",
    "savepoint": "begin; savepoint x; set search_path = a; rollback to x; commit; create table made (id int);",
    "released": "begin; savepoint x; set search_path = a; release x; commit; create table made (id int);",
    "rolled back": "begin; set search_path = a; create table gone (id int); rollback; create table made (id int);",
    "commit alone": "set search_path = a; alter type mood add value 'ok'; commit; insert into m values ('ok'); end; rollback;",
    "begin twice": "begin; create table x (id int); begin; create table y (id int); commit; abort;",
    "time zone": "set timezone = 'Asia/Tokyo'; vacuum; insert into t (note) values (current_setting('TimeZone'));",
    "limits": "set statement_timeout = '1min'; set lock_timeout = '7s'; vacuum; insert into t (note) values"
    " (current_setting('statement_timeout') || current_setting('lock_timeout'));",
    "role and limit": "set statement_timeout = '1min'; set role ROLE_NAME; create table made (id int); vacuum made; create table"
    " too (id int);",
    "own setting": "set my.tenant = 'x'; vacuum; insert into t (note) values (current_setting('my.tenant'));",
    "role within": "set role ROLE_NAME; begin; set search_path = a; savepoint x; release x; commit; create table made (id int);",
    "quoted": "create schema \"A b\"; set search_path = \"A b\", b; begin; create table made (id int); commit; drop schema \"A b\" cascade;",
    "temporary": "create temp table x as select 1 as id; insert into t (note) select id::text from x; drop table x; vacuum;",
    "temporary again": "begin; create temp table x (id int) on commit drop; commit; begin; create temp table x (id int); commit;",
    "prepared": "prepare q as insert into t (note) values ('q'); execute q; vacuum; prepare r as select 1; execute r;",
    "hold": "declare c cursor with hold for select 1; vacuum; select 1;",
    "sequence": "insert into t (note) values ('x'); begin; insert into t (note) values ('y'); select currval('t_id_seq'); commit;",
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_case(bench: Bench, case: str) -> None:
    check(bench, CASES[case])


@pytest.mark.parametrize(
    "case", ["own transaction", "role", "call", "do", "computed", "limits", "prepared", "local"]
)
def test_an_endpoint_that_takes_one_statement(bench: Bench, case: str) -> None:
    text = CASES[case].replace("ROLE_NAME", bench.role).replace("current_setting('statement_timeout') ||", "")
    expected = bench.psql(text)
    assert expected is not None, bench.said
    assert bench.apply(split_steps(parse(text)), whole=True, one_statement=True) == expected


PATHS = ["a", "b", "a, b", "'b'", "b, public", '"$user", a']
BETWEEN = [
    *(f"set search_path = {path}" for path in PATHS),
    "reset search_path",
    "reset all",
    "set role ROLE_NAME",
    "reset role",
    "set role none",
    "select set_config('search_path', 'b', false)",
    "select set_config('search_path', current_setting('search_path') || ', a', false)",
    "set time zone 'Asia/Tokyo'",
    "set lock_timeout = '9s'",
    "set statement_timeout = '5min'",
    "set my.word = 'w'",
]
WORK = [
    "insert into t (note) values (current_setting('timezone') || current_user || current_setting('lock_timeout'))",
    "insert into t (note) values (coalesce(current_setting('my.word', true), '') || current_setting('role'))",
    "create table x{n} (id int)",
    "update t set note = note || '!'",
    "savepoint s; set search_path = a; rollback to s; release s",
    "savepoint s; set search_path = b; release s",
    "create temp table y{n} as select note from t; insert into t (note) select 'y' from y{n} limit 1",
    "select note into z{n} from t",
]
OWNER_ONLY = [
    "alter type mood add value 'v{n}'",
    "alter type mood add value 'v{n}'; insert into m values ('v{n}')",
    "create index i{n} on t (note)",
]
ALONE = [
    "create index concurrently i{n} on t (note)",
    "reindex table concurrently t",
    "vacuum t",
    "drop index concurrently if exists i1",
    "do $$ begin insert into t (note) values (current_user); commit; insert into t (note) values ('d'); end $$",
    "call public.p('c')",
    "discard all",
    "commit",
]


@st.composite
def files(draw: st.DrawFn) -> str:
    """A file of blocks and statements that psql nearly always applies."""
    numbers = count(1)
    inside = st.sampled_from(
        [*WORK, *BETWEEN, "set local search_path = b", "set local role ROLE_NAME", *OWNER_ONLY]
    )

    def one(text: str) -> str:
        owner = "reset role; " if text in (*OWNER_ONLY, *ALONE[:4]) else ""
        # Savepoints need a transaction.
        text = f"begin; {text}; commit" if text.startswith("savepoint") else text
        return owner + text.replace("{n}", str(next(numbers)))

    parts = []
    for _ in range(draw(st.integers(2, 7))):
        if draw(st.integers(0, 3)):
            parts.append(one(draw(st.sampled_from([*WORK, *BETWEEN, *BETWEEN, *OWNER_ONLY, *ALONE]))))
        else:
            end = draw(st.sampled_from(["commit", "commit", "rollback", "end"]))
            within = [draw(inside).replace("{n}", str(next(numbers))) for _ in range(draw(st.integers(1, 4)))]
            parts.append(f"begin; {'; '.join(within)}; {end}")
    return ";\n".join(parts) + ";"


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
@given(files())
def test_generated_files(bench: Bench, text: str) -> None:
    note(text)
    assume(bench.psql(text.replace("ROLE_NAME", bench.role)) is not None)
    try:
        check(bench, text)
    except TransactionControlError as error:
        event(f"refused: {error.message[:50]}")
