"""`migrate baseline` and `migrate import` on the real platform.

The tables of other tools are created with their own statements.
"""

from __future__ import annotations

import hashlib
import zlib

import pytest

from mosaic_deploy.deploy.history.adopt import BASELINE, IMPORT, plan_baseline, plan_import
from mosaic_deploy.errors import HistoryImportRefused, ProjectNotFound
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.api.projects import wait_until_running
from mosaic_deploy.model.event import ApplyDone
from mosaic_deploy.model.other_tools.tools import TOOLS
from mosaic_deploy.model.snapshot import Project
from tests.deploy.faults import Dying, is_write
from tests.deploy.histories import expire, history, known, pending, sql, states, tables, write

THREE = {
    "m0001_a": "create table a (id int);",
    "m0002_b": "create table b (id int);",
    "m0003_c": "create table c (id int);",
}
DBMATE = 'CREATE TABLE "schema_migrations" ("version" varchar NOT NULL PRIMARY KEY)'
GOLANG = 'CREATE TABLE "schema_migrations" (version bigint not null primary key, dirty boolean not null)'
FLYWAY = """CREATE TABLE "flyway_schema_history" ("installed_rank" INT NOT NULL, "version" VARCHAR(50),
  "description" VARCHAR(200) NOT NULL, "type" VARCHAR(20) NOT NULL, "script" VARCHAR(1000) NOT NULL,
  "checksum" INTEGER, "installed_by" VARCHAR(100) NOT NULL, "installed_on" TIMESTAMP NOT NULL DEFAULT now(),
  "execution_time" INTEGER NOT NULL, "success" BOOLEAN NOT NULL,
  CONSTRAINT "flyway_schema_history_pk" PRIMARY KEY ("installed_rank"))"""
SUPABASE = (
    "CREATE TABLE supabase_migrations.schema_migrations "
    "(version text NOT NULL PRIMARY KEY, statements text[], name text)"
)
PRISMA = """CREATE TABLE _prisma_migrations (id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL,
  finished_at TIMESTAMPTZ, migration_name VARCHAR(255) NOT NULL, logs TEXT, rolled_back_at TIMESTAMPTZ,
  started_at TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0)"""
ALEMBIC = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
    "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)


@pytest.fixture
def database(site):
    """A running project with tables that was never deployed to."""
    made = site.api.call(endpoints.CREATE_PROJECT, body={"name": site.name})["project_id"]
    for _ in wait_until_running(site.api, Project(made, site.name, status="provisioning"), timeout=20):
        pass
    site.api.sql(made, "create table a (id int)")
    site.api.sql(made, "create table b (id int)")
    return made


def baseline(site, version: str, api=None) -> list:
    return write(site, plan_baseline(site.api, known(site), version), BASELINE, api)


def taken_over(site, tool: str, table: str | None = None) -> list[str]:
    planned = plan_import(site.api, known(site), TOOLS[tool], table)
    events = write(site, planned, IMPORT)
    assert isinstance(events[-1], ApplyDone), events[-1]
    return [note.code for note in planned.plan.notes]


def test_baseline_records_without_running(site, database):
    history(site, **THREE)
    before = known(site)
    assert isinstance(baseline(site, "2")[-1], ApplyDone)
    assert not before.ledger.exists
    assert states(site) == {"1": "applied", "2": "applied", "3": "pending"}
    assert {entry.origin for entry in known(site).ledger.entries} == {"baseline"}
    assert pending(site) == ["migration:0003_c.sql"]
    site.apply()
    assert tables(site) == {"a", "b", "c"}
    rows = sql(site, "select status from mosaic_deploy.deploys order by serial")
    assert [row["status"] for row in rows] == ["baseline", "done"]


def test_a_baseline_records_checksums_and_steps(site, database):
    history(site, m1_a="create table a (id int); create index concurrently i on a (id);")
    sql(site, "create index i on a (id)")
    baseline(site, "1")
    rows = sql(site, "select steps, steps_done from mosaic_deploy.migrations")
    assert rows == [{"steps": 2, "steps_done": 2}]
    site.write(
        "sql/1_a.sql",
        "-- now with a comment\ncreate table a (id int); create index concurrently i on a (id);",
    )
    assert pending(site) == []


def test_a_file_with_a_syntax_error_is_recorded_as_it_is(site, database):
    history(site, m1_dump="\\connect x\ncopy a from stdin;\n1\n\\.\n", m2_b="create table b (id int);")
    planned = plan_baseline(site.api, known(site), "2")
    assert [note.code for note in planned.plan.notes] == ["recorded_unparsed"]
    write(site, planned, BASELINE)
    assert pending(site) == []


def test_a_baseline_can_be_extended_until_a_migration_ran(site, database):
    history(site, **THREE)
    baseline(site, "1")
    assert [change.file for change in plan_baseline(site.api, known(site), "2").plan.changes] == [
        "0002_b.sql"
    ]
    baseline(site, "2")
    assert plan_baseline(site.api, known(site), "2").plan.empty
    site.apply()
    with pytest.raises(HistoryImportRefused) as caught:
        plan_baseline(site.api, known(site), "3")
    assert [p.location.file for p in caught.value.problems] == ["sql/0003_c.sql"]


def test_refused_baselines(site):
    history(site, **THREE)
    with pytest.raises(ProjectNotFound):
        plan_baseline(site.api, known(site), "1")
    site.manifest(database={"migrations": "empty"})
    (site.root / "empty").mkdir()
    site.apply()
    history(site)
    with pytest.raises(HistoryImportRefused, match="no tables"):
        plan_baseline(site.api, known(site), "1")
    sql(site, "create function f() returns int language sql as 'select 1'")
    with pytest.raises(HistoryImportRefused, match="no migration 4"):
        plan_baseline(site.api, known(site), "4")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("point", range(6))
def test_a_crash_during_a_baseline(site, api_over, database, monkeypatch, point, after):
    monkeypatch.setattr("mosaic_deploy.deploy.history.amend._MAX_ROWS", 1)
    history(site, **THREE)
    baseline(site, "2", api_over(Dying(point, is_write, after=after)))
    if known(site).ledger.exists:
        expire(site)
    planned = plan_baseline(site.api, known(site), "2")
    if not planned.plan.empty:
        assert isinstance(write(site, planned, BASELINE)[-1], ApplyDone)
    assert pending(site) == ["migration:0003_c.sql"]


def test_import_from_dbmate(site, database):
    history(site, **THREE)
    sql(site, DBMATE)
    sql(site, "INSERT INTO schema_migrations VALUES ('0001'), ('0002')")
    assert taken_over(site, "dbmate") == []
    assert states(site) == {"1": "applied", "2": "applied", "3": "pending"}
    assert {entry.origin for entry in known(site).ledger.entries} == {"import"}
    site.apply()


def test_import_from_golang_migrate(site, database):
    site.write("sql/0001_a.up.sql", THREE["m0001_a"])
    site.write("sql/0001_a.down.sql", "drop table a;")
    history(site, m0002_b=THREE["m0002_b"], m0003_c=THREE["m0003_c"])
    sql(site, GOLANG)
    sql(site, "INSERT INTO schema_migrations VALUES (2, true)")
    with pytest.raises(HistoryImportRefused, match="failed"):
        plan_import(site.api, known(site), TOOLS["golang-migrate"], None)
    sql(site, "UPDATE schema_migrations SET dirty = false")
    taken_over(site, "golang-migrate")
    assert pending(site) == ["migration:0003_c.sql"]


def test_import_from_flyway(site, database):
    history(site, **THREE)
    sql(site, FLYWAY)
    columns = "installed_rank, version, description, type, script, installed_by, execution_time, success"
    sql(
        site,
        f"INSERT INTO flyway_schema_history ({columns}) VALUES "
        "(0, NULL, '<< Flyway Schema Creation >>', 'SCHEMA', '\"public\"', 'u', 0, true),"
        "(1, '1', '<< Flyway Baseline >>', 'BASELINE', '<< Flyway Baseline >>', 'u', 0, true),"
        "(2, '002', 'b', 'SQL', 'V002__b.sql', 'u', 1, true),"
        "(3, '3', 'c', 'SQL', 'V3__c.sql', 'u', 1, true), (4, '3', 'c', 'UNDO_SQL', 'U3__c.sql', 'u', 1, true),"
        "(5, NULL, 'views', 'SQL', 'R__views.sql', 'u', 1, true)",
    )
    assert taken_over(site, "flyway") == []
    assert pending(site) == ["migration:0003_c.sql"]


def test_import_from_supabase(site, database):
    history(
        site,
        m20240101000000_a=THREE["m0001_a"],
        m20240102000000_b=THREE["m0002_b"],
        m20240103000000_c=THREE["m0003_c"],
    )
    sql(site, "CREATE SCHEMA supabase_migrations")
    sql(site, SUPABASE)
    sql(
        site,
        "INSERT INTO supabase_migrations.schema_migrations VALUES ('20240101000000'), ('20240102000000')",
    )
    taken_over(site, "supabase")
    assert pending(site) == ["migration:20240103000000_c.sql"]


def test_import_from_prisma(site, database):
    history(site, m20210101000000_init=THREE["m0001_a"], m20210102000000_b=THREE["m0002_b"])
    sql(site, PRISMA)
    rows = "INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at, rolled_back_at, started_at)"
    sql(site, f"{rows} VALUES ('1', 'x', '20210101000000_init', now(), NULL, now())")
    sql(site, f"{rows} VALUES ('2', 'x', '20210102000000_b', NULL, NULL, now())")
    with pytest.raises(HistoryImportRefused) as caught:
        plan_import(site.api, known(site), TOOLS["prisma"], None)
    assert [p.location.file for p in caught.value.problems] == ["20210102000000_b"]
    sql(site, "UPDATE _prisma_migrations SET rolled_back_at = now() WHERE id = '2'")
    taken_over(site, "prisma")
    assert pending(site) == ["migration:20210102000000_b.sql"]


def test_baseline_refuses_what_is_not_there(site, database):
    """SQL16: `orders` isn't in the database; nor is a column that a later file adds."""
    history(
        site,
        m0001_a="create table a (id int);\nalter table a add column note text;",
        m0002_b="create table b (id int, dropped int);\nalter table b drop column dropped;\ncreate view v as table b;"
        "\ndrop view v;\ncreate table old (id int);\nalter table old rename to gone;\ndrop table gone;",
        m0003_orders="create table orders (id int);",
    )
    with pytest.raises(HistoryImportRefused) as caught:
        plan_baseline(site.api, known(site), "3")
    assert [f"{p.location}: {p.message}" for p in caught.value.problems] == [
        "sql/0001_a.sql:2:1: adds column note to a, which doesn't have it",
        "sql/0003_orders.sql:1:1: creates table orders, which doesn't exist",
    ]
    planned = plan_baseline(site.api, known(site), "3", allow_mismatch=True)
    assert [note.code for note in planned.plan.notes] == ["recorded_mismatch", "recorded_mismatch"]
    sql(site, "alter table a add column note text; create table orders (id int)")
    assert plan_baseline(site.api, known(site), "3").plan.notes == ()


@pytest.mark.parametrize(
    "text",
    [
        "create table x (id int); do $$ begin execute 'drop table ' || 'x'; end $$;",
        "create table x (id int); do $$ begin drop table x; end $$;",
        "create temp table x (id int);",
        "create table pg_temp.x (id int); create view pg_temp.y as select 1; create table pg_temp.z as select 1;",
        "create temp table x (id int); create view y as table x;",
        "create temp table x (id int); alter table x rename to y; alter table y add column other int;",
        "create temp table a (id int) on commit drop; alter table a add column x int; alter table a rename to b;",
        "create table pg_temp.a (id int); alter table a rename id to x; drop table a;",
        "do $$ begin create temp table a (id int); end $$; alter table a add column x int;",
        "begin; create temp table a (id int) on commit drop; alter table a add column x int; commit;",
        "set search_path = pg_temp; create table x (id int);",
        "set schema 'app'; create table x (id int);",
        "select 1 as x into temp x; alter table x add column y int;",
        "set search_path = app; create table x (id int);",
        "create schema app; create table app.x (id int); drop schema app cascade;",
        "create table x (id int) partition by list (id); create table y partition of x default; drop table x;",
        "create table x (id int); alter table x set schema app; drop table app.x;",
        "create table x (id int); create view y as table x; drop table x cascade;",
        "create table if not exists a (id int, other int);",
    ],
)
def test_baseline_doubts_only_what_is_certain(site, database, text):
    history(site, m0001_a="create table a (id int, other int);", m0002_x=text)
    sql(site, "alter table a add column other int")
    assert plan_baseline(site.api, known(site), "2").plan.notes == ()


def test_baseline_still_looks_for_what_a_temporary_table_hides(site, database):
    history(
        site,
        m0001_a="create table a (id int);",
        m0002_x="create table x (id int);\ncreate temp table x (id int);\ndrop table x;",
        m0003_y="create temp table a (id int);\ndrop table a;\nalter table a add column y int;",
    )
    with pytest.raises(HistoryImportRefused) as caught:
        plan_baseline(site.api, known(site), "3")
    places = {str(problem.location) for problem in caught.value.problems}
    assert places == {"sql/0002_x.sql:1:1", "sql/0003_y.sql:3:1"}


ALL_KINDS = """create index concurrently missing_i on other (id);
create schema app;
create function f(n int) returns int language sql as 'select 1';
create procedure app.p() language sql as 'select 1';
create type mood as enum ('a');
create type app.pair as (a int, b int);
create domain d as text check (value <> '');
create sequence s;
create extension btree_gist;
alter table other add constraint positive check (id > 0);
alter table other add constraint only_once unique (id);
alter table other add constraint other_fk foreign key (id) references other (id);
create trigger t before insert on other for each row execute function suppress_redundant_updates_trigger();
create policy own on other using (true);
create materialized view m as select 1 as n;
create view app.v as select 1 as n;
alter table other alter column id type bigint;
alter table other add column "Note" text constraint short check ("Note" < 'x');
create table taken (id int);
create table made (id int constraint made_pk primary key, n numeric(4), constraint made_u unique (n));
alter table made alter n type text;
create rule r as on update to other do nothing;"""
"""Each statement on a line, on a database with `other (id int)` and what `CHANGED` makes."""
CHANGED = """create view taken as select 1 as id;
create table made (id int, n numeric(4))"""


def test_baseline_names_each_missing_object(site, database):
    history(site, m0001_all=ALL_KINDS)
    sql(site, f"create table other (id int); {CHANGED}")
    with pytest.raises(HistoryImportRefused) as caught:
        plan_baseline(site.api, known(site), "1")
    with_more = plan_baseline(site.api, known(site), "1", allow_mismatch=True)
    assert len(with_more.plan.notes) == len(caught.value.problems) == 20
    sql(site, "create schema app; create view app.v as select 1; create index missing_i on other (id)")
    with pytest.raises(HistoryImportRefused) as caught:
        plan_baseline(site.api, known(site), "1")
    assert [f"{p.location.line}: {p.message}" for p in caught.value.problems] == [
        "3: creates function f, which doesn't exist",
        "4: creates procedure app.p, which doesn't exist",
        "5: creates type mood, which doesn't exist",
        "6: creates type app.pair, which doesn't exist",
        "7: creates domain d, which doesn't exist",
        "8: creates sequence s, which doesn't exist",
        "9: creates extension btree_gist, which doesn't exist",
        "10: creates constraint positive on other, which doesn't exist",
        "11: creates constraint only_once on other, which doesn't exist",
        "12: creates constraint other_fk on other, which doesn't exist",
        "13: creates trigger t on other, which doesn't exist",
        "14: creates policy own on other, which doesn't exist",
        "15: creates materialized view m, which doesn't exist",
        "17: gives column id of other the type bigint, but it has integer",
        "18: adds column Note to other, which doesn't have it",
        "18: creates constraint short on other, which doesn't exist",
        "19: creates table taken, but the database has a view of that name",
        "20: creates constraint made_pk on made, which doesn't exist",
        "20: creates constraint made_u on made, which doesn't exist",
        "21: gives column n of made the type text, but it has numeric(4,0)",
    ]
    ran = ALL_KINDS.replace(" concurrently", "")
    sql(site, f"drop view taken, app.v; drop schema app; drop table made; drop index missing_i; {ran}")
    assert plan_baseline(site.api, known(site), "1").plan.notes == ()


RAN = [
    "create table t (id int, n int constraint c check (n > 0), k int); create index i on t (n); alter table t drop n;",
    "create table t (id int, n int); create index i on t (n); alter table t rename n to m; alter table t drop m;",
    "create table t (id int); create index i on t (id); alter index i rename to j;",
    "create table t (id int constraint c unique); alter index c rename to j;",
    "create table t (id int); create unique index i on t (id); alter table t add constraint c unique using index i;",
    "create table t (id int constraint c unique); alter table t rename constraint c to d; alter table t drop constraint d;",
    "create table t (id int); create index i on t (id); alter table t rename to u; drop index i;",
    "create schema app; create table t (id int constraint c unique); create index i on t (id); alter table t set schema app;",
    "create schema app; create function app.f() returns int language sql as 'select 1'; alter schema app rename to b;",
    "create function f() returns int language sql as 'select 1'; alter function f() rename to g; drop function g;",
    "create function f() returns int language sql as 'select 1'; create function f(int) returns int language sql "
    "as 'select 1'; drop function f(int), f();",
    "create type e as enum ('a'); alter type e rename to f; create table t (x f); drop type f cascade;",
    "create domain d as int; create table t (x d, y int); create function f(d) returns int language sql as 'select 1'; "
    "drop domain d cascade;",
    "create table t (id int, x numeric(3), y timestamp(3), z varchar(7)[], w char, v bigserial, u float, s decimal(3, 1), "
    "r time(2) with time zone, q interval day to second, p bit varying(3), o int4[3], m real, l double precision);",
    "create table t (id serial); create sequence s owned by t.id; alter table t drop id;",
    "create table t (id int); create sequence s; alter sequence s owned by t.id; drop table t;",
    "create table p (id int, n int) partition by list (id); create table c (id int, n int); create index i on c (n); "
    "alter table p attach partition c default; alter table p drop n;",
    "create table p (id int, n int) partition by list (id); create table c partition of p default; "
    "create index i on c (n); create index j on p (n); drop index j; alter table p alter n type bigint;",
    "create table p (id int) partition by list (id); create table c partition of p default partition by list (id); "
    "create table d partition of c default; drop table p;",
    "create table p (id int); create table c () inherits (p); alter table p add n int; alter table p rename n to m;",
    "create table t (id int); create table u (id int primary key); alter table t add constraint fk foreign key (id) "
    "references u; create view v as table u; create materialized view m as table u; drop table u cascade;",
    "create function f() returns trigger language plpgsql as 'begin return new; end'; create table t (id int); "
    "create trigger g after insert on t execute function f(); create policy p on t using (true); drop function f() cascade;",
    "create table t (id int); create trigger g before update on t for each row execute function "
    "suppress_redundant_updates_trigger(); alter trigger g on t rename to h; create policy p on t using (true); "
    "alter policy p on t rename to q;",
    "create extension citext; create table t (x citext); drop extension citext cascade;",
    "create table t (id int constraint c unique); do $$ begin alter table t drop constraint c; end $$;",
    "create table t (id int); do $$ begin alter table t alter id type bigint; end $$;",
    "create table t (id int); create index i on t (id); do $$ declare n text; begin for n in select indexname from "
    "pg_indexes where tablename = 't' loop execute 'drop index ' || n; end loop; end $$;",
    "create function f() returns void language sql as 'drop table if exists t'; create table t (id int); select f();",
    "create function f(n text) returns void language plpgsql as $$ begin execute 'drop ' || 'index ' || n; end $$; "
    "create table t (id int); create index i on t (id); select f('i');",
    "create table t (id int); alter table if exists u add column n int; create index if not exists a on t (id);",
    "create table t (id int); begin; savepoint s; create index i on t (id); rollback to s; commit;",
    "set search_path = app; create schema app; create table t (id int); create index i on t (id);",
    "create temp table u (id int); create index i on u (id); alter table u add constraint c unique (id); "
    "create function pg_temp.f() returns int language sql as 'select 1'; create temp sequence s;",
    f"create table {'x' * 70} (id int constraint {'y' * 70} check (id > 0)); create index {'z' * 70} on {'x' * 70} (id);",
    'create table "T t" (id int constraint "c""1" check (id > 0)); create index "I" on "T t" (id);',
]
"""Texts after which each object that is still expected must exist."""


def test_baseline_finds_what_ran(site, database):
    for text in RAN:
        history(site, m0001_x=text)
        sql(
            site,
            "drop schema if exists app, b cascade; drop schema public cascade; create schema public; "
            "create extension if not exists btree_gist; create table a (id int)",
        )
        sql(site, f"{text} set search_path = default")
        planned = plan_baseline(site.api, known(site), "1", allow_mismatch=True)
        assert planned.plan.notes == (), text


def test_import_from_flyway_by_checksum_and_name(site, database):
    history(
        site, m1_a=THREE["m0001_a"], m17_add=THREE["m0002_b"], m18_more="select 1;\n", m19_new="select 2;"
    )
    sql(site, FLYWAY)
    insert = "INSERT INTO flyway_schema_history (installed_rank, version, description, type, script, checksum, installed_by, execution_time, success)"
    values = [
        ("1", "V1__a.sql", zlib.crc32(THREE["m0001_a"].encode())),
        ("17.1", "V17.1__add.sql", zlib.crc32(THREE["m0002_b"].encode())),
        ("17.2", "V17.2__more.sql", 12345),
    ]
    for rank, (version, script, checksum) in enumerate(values, 1):
        signed = checksum - (1 << 32) if checksum >= 1 << 31 else checksum
        sql(site, f"{insert} VALUES ({rank}, '{version}', 'x', 'SQL', '{script}', {signed}, 'me', 1, true)")
    with pytest.raises(HistoryImportRefused) as caught:
        plan_import(site.api, known(site), TOOLS["flyway"], None)
    assert [f"{p.location}: {p.message}" for p in caught.value.problems] == [
        "sql/18_more.sql: differs from what flyway applied (checksum)"
    ]
    planned = plan_import(site.api, known(site), TOOLS["flyway"], None, allow_mismatch=True)
    assert [change.file for change in planned.plan.changes] == ["1_a.sql", "17_add.sql", "18_more.sql"]


def test_import_from_prisma_with_equal_timestamps(site, database):
    """SQL17: of two migrations with the same number one gets another; the name and the checksum tell them apart."""
    history(site, m20240101000000_b=THREE["m0002_b"], m20240101000001_a=THREE["m0001_a"].replace(";", ";\n"))
    sql(site, PRISMA)
    text = THREE["m0001_a"].replace(";", ";\r\n")
    rows = "INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at)"
    sql(
        site, f"{rows} VALUES ('1', '{hashlib.sha256(text.encode()).hexdigest()}', '20240101000000_a', now())"
    )
    taken_over(site, "prisma")
    assert states(site) == {"20240101000000": "out_of_order", "20240101000001": "applied"}


def test_a_migration_of_the_same_number_is_not_the_one_that_was_applied(site, database):
    history(site, m20240101000000_b=THREE["m0002_b"])
    sql(site, PRISMA)
    rows = "INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at)"
    sql(site, f"{rows} VALUES ('1', 'x', '20240101000000_a', now())")
    with pytest.raises(HistoryImportRefused) as caught:
        plan_import(site.api, known(site), TOOLS["prisma"], None)
    assert [p.message for p in caught.value.problems] == [
        "has no file in the migrations folder; 20240101000000_b.sql has its number, but another name"
    ]


def test_import_from_alembic(site, database):
    history(
        site,
        m0001_ae1027a6acf1_a=THREE["m0001_a"],
        m0002_1975ea83b712_b=THREE["m0002_b"],
        m0003_27c6a30d7c24_c=THREE["m0003_c"],
    )
    sql(site, ALEMBIC)
    sql(site, "INSERT INTO alembic_version VALUES ('1975ea83b712')")
    taken_over(site, "alembic")
    assert pending(site) == ["migration:0003_27c6a30d7c24_c.sql"]


def test_another_table_name_and_skipped_files(site, database):
    history(site, **THREE)
    sql(site, "CREATE SCHEMA ops; CREATE TABLE c (id int)")
    sql(site, DBMATE.replace('"schema_migrations"', "ops.done"))
    sql(site, "INSERT INTO ops.done VALUES ('1'), ('3')")
    assert taken_over(site, "dbmate", "ops.done") == ["import_gap"]
    assert states(site) == {"1": "applied", "2": "out_of_order", "3": "applied"}


def test_refused_imports(site, database):
    history(site, **THREE)
    with pytest.raises(HistoryImportRefused, match="no table schema_migrations"):
        plan_import(site.api, known(site), TOOLS["dbmate"], None)
    sql(site, DBMATE)
    with pytest.raises(HistoryImportRefused, match="isn't the history table of golang-migrate"):
        plan_import(site.api, known(site), TOOLS["golang-migrate"], None)
    sql(site, "INSERT INTO schema_migrations VALUES ('1'), ('7')")
    with pytest.raises(HistoryImportRefused) as caught:
        plan_import(site.api, known(site), TOOLS["dbmate"], None)
    assert [p.location.file for p in caught.value.problems] == ["7"]
    assert not known(site).ledger.exists
