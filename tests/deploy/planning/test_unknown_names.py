"""A plan fails for tables and columns that can't exist, and only for those."""

from __future__ import annotations

import pytest

from mosaic_deploy.deploy.planning.unknown_names import own_table_hint
from mosaic_deploy.errors import MigrationUnknownName
from mosaic_deploy.model.other_tools.tools import OWN_TABLES
from mosaic_deploy.sql.parse import LARGE_TEXT
from tests.deploy.conftest import Site

LIVE = """
create table books (id int primary key, fax text, "Title" text);
create schema s;
create table s.hidden (i int);
create view v as select * from books;
create table par (d date) partition by range (d);
create table par1 partition of par for values from ('2020-01-01') to ('2021-01-01');
create extension pg_trgm;
create function full_name(books) returns text language sql as 'select 1';
create type pair as (a int, b text);
create table pairs of pair;
create function make_table(name text) returns int language plpgsql as $$ begin
  execute format('create table %I (x int)', name); return 1;
end $$;
create function log_row() returns trigger language plpgsql as $$ begin
  execute format('create table if not exists %I (x int)', 'day_' || new.day); alter table books add column if not exists seen int;
  return new;
end $$;
create table days (day text);
create trigger log before insert on days for each row execute function log_row();
"""
NO_BOKS, NO_FX = "table boks doesn't exist", "table books has no column fx"
UNKNOWN = {
    "insert into boks values (1)": (13, NO_BOKS, "did you mean books?"),
    "select 1; select * from boks": (25, NO_BOKS, "did you mean books?"),
    "with x as (select * from boks) select * from x": (26, NO_BOKS, "did you mean books?"),
    "select id, (select 1 from boks limit 1) from books": (27, NO_BOKS, "did you mean books?"),
    "alter table boks add column a int": (13, NO_BOKS, "did you mean books?"),
    "create table k (id int references boks)": (35, NO_BOKS, "did you mean books?"),
    "create view w as select * from boks": (32, NO_BOKS, "did you mean books?"),
    "truncate boks": (10, NO_BOKS, "did you mean books?"),
    "drop table boks": (12, NO_BOKS, "did you mean books?"),
    "drop policy p on boks": (18, NO_BOKS, "did you mean books?"),
    "grant select on boks to public": (17, NO_BOKS, "did you mean books?"),
    "create index on boks (id)": (17, NO_BOKS, "did you mean books?"),
    "insert into s.hiden values (1)": (13, "table s.hiden doesn't exist", "did you mean s.hidden?"),
    "select * from hidden": (15, "table hidden doesn't exist", "did you mean s.hidden?"),
    "drop table books cascade; insert into books values (1)": (39, "table books doesn't exist", "dropped by sql/2_next.sql:1"),
    "drop table if exists boks; select * from boks": (42, NO_BOKS, "did you mean books?"),
    "drop function if exists boks(); select * from boks": (47, NO_BOKS, "did you mean books?"),
    "alter table books rename to libri; select * from books": (50, "table books doesn't exist", "renamed to libri by sql/2_next.sql:1"),
    "create table boks2 (id int); select * from boks": (44, NO_BOKS, "did you mean books?"),
    "update books set fx = 'a'": (18, NO_FX, "did you mean fax?"),
    "insert into books (id, fx) values (1, 'a')": (24, NO_FX, "did you mean fax?"),
    "delete from books where fx is null": (25, NO_FX, "did you mean fax?"),
    "select b.fx from books b": (8, NO_FX, "did you mean fax?"),
    "select id from books group by fx": (31, NO_FX, "did you mean fax?"),
    "select id from books order by fx": (31, NO_FX, "did you mean fax?"),
    "create table if not exists nix (id int references boks)": (51, NO_BOKS, "did you mean books?"),
    "create schema sub create table boks (i int); select id from books; select fx from books": (75, NO_FX, "did you mean fax?"),
    "insert into books (id) values (1); select * from boks": (50, NO_BOKS, "did you mean books?"),
    "create view w as select fx from books": (25, NO_FX, "did you mean fax?"),
    "alter table books drop column fx": (31, NO_FX, "did you mean fax?"),
    "alter table books alter column fx set not null": (32, NO_FX, "did you mean fax?"),
    "alter table books rename column fx to y": (33, NO_FX, "did you mean fax?"),
    "alter table books add constraint u unique (fx)": (23, NO_FX, "did you mean fax?"),
    "create index on books (fx)": (24, NO_FX, "did you mean fax?"),
    "create table k (id int references books (fx))": (24, NO_FX, "did you mean fax?"),
    "create policy p on books using (fx = 'a')": (33, NO_FX, "did you mean fax?"),
    "comment on column books.fx is 'a'": (25, NO_FX, "did you mean fax?"),
    "create table n (fax text); select fx from n": (35, "table n has no column fx", "did you mean fax?"),
    "alter table books rename fax to tel; update books set fax = 'a'": (
        55, "table books has no column fax", "renamed to tel by sql/2_next.sql:1",
    ),
    "alter table books drop column fax; select fax from books": (
        43, "table books has no column fax", "dropped by sql/2_next.sql:1",
    ),
}  # fmt: skip
KNOWN = [
    "select ctid, b.full_name from books b",
    "set search_path = s, public; select * from hidden; insert into hidden values (1)",
    "select set_config('search_path', 's', false); select * from hidden",
    "with x as (select 1) select * from x",
    "create temp table tt (i int); insert into tt values (1); drop table tt",
    "create table pg_temp.tt (i int); insert into tt (i) values (1); alter table tt rename to uu; select i from pg_temp.uu; drop table uu",
    "create table pg_temp.books (x int); insert into books (x) values (1); drop table books; select id from books",
    "create view pg_temp.tv as select 1 as one; select one from tv; create sequence pg_temp.ts; select last_value from ts",
    "create type pg_temp.pr as (a int); create table pg_temp.of_pr of pg_temp.pr; insert into of_pr (a) values (1)",
    "create function pg_temp.one() returns int language sql as 'select 1'; select pg_temp.one() from books",
    "set search_path = pg_temp, public; create table tt (i int); insert into tt (i) values (1); select i from pg_temp.tt",
    "set search_path = pg_temp; create table books (x int); insert into books (x) values (1); select x from pg_temp.books",
    "begin; create temp table books (x int) on commit drop; insert into books (x) values (1); commit; select id from books",
    "create temp table books (x int); alter table books rename column x to y; alter table books rename to bb; select y from bb; select id from books",
    "select * from pg_class; select * from information_schema.tables; select * from pg_catalog.pg_type",
    "alter table par add column z int; insert into par1 (d, z) values ('2020-02-02', 1)",
    "alter table books add column a int, alter column a set not null",
    "do $$ begin create table dyn (i int); end $$; insert into dyn values (1)",
    "do $$ begin execute 'create table ' || quote_ident('dd') || '(i int)'; end $$; insert into dd values (1)",
    "do $$ begin insert into boks values (1); exception when others then null; end $$",
    "create function f() returns void language sql as 'create table made (i int)'; select f(); select * from made",
    "select id as x from books order by x",
    "select * from books b for update of b",
    "create table n (id serial); alter sequence n_id_seq restart; select * from n_id_seq; grant select on n_id_seq to public",
    "alter table books rename to libri; insert into libri (id) values (9)",
    "alter table books set schema s; insert into s.books (id) values (9)",
    "create table cc (like books); insert into cc (fax) values ('1')",
    "create table ch (x int) inherits (books); insert into ch (fax) values ('1')",
    "create table self (id int primary key, up int references self (id))",
    "drop table if exists nix; alter table if exists nix add column a int; alter table books drop column if exists nix",
    "create or replace view v as select *, 1 as one from books; select one from v",
    "insert into books (id) values (1) on conflict (id) do update set fax = excluded.fax where books.fax is null",
    "update books set fax = x.a from (select 1 as a) x",
    "merge into books using (values (1)) w(i) on books.id = w.i when matched then do nothing",
    "alter table books rename constraint books_pkey to bp; alter index bp rename to bq",
    "create table if not exists books (id int, extra int); select id from books",
    "alter table books rename column fax to f2; update books set f2 = 'a'",
    "select * from books where id in (select i from s.hidden where i = id)",
    "create table g (a int, b int generated always as (a * 2) stored); create unique index on g ((a + b)) where b > 1",
    "drop table books cascade; create table books (other int); select other from books",
    "create function body() returns int language sql begin atomic select id from books; end",
    # Functions called like columns.
    "create function fn(books) returns text immutable language sql as 'select 1::text'; select b.fn from books b; create index on books ((books.fn)); create policy q on books using (books.fn = '')",
    # Names that PostgreSQL gives to expressions.
    "select fax, count(*) from books group by fax order by count; select lower(fax) from books group by lower; select coalesce(fax, '') from books order by coalesce",
    'select case when id > 1 then 1 end from books order by "case"; create view w as select exists (select 1) from books order by exists',
    # What isn't read if the object is there.
    "create table if not exists books (other int primary key, up int references books (other), x int references nix)",
    "alter table books add column if not exists fax text references nix (id)",
    # Relations that aren't tables, and those that come with tables.
    "create type comp as (x int); comment on column comp.x is 'x'; create table of_comp (like comp); create type s.comp as (x int); comment on column s.comp.x is 'x'",
    "alter type pair rename attribute a to first cascade; insert into pairs (first) values (1)",
    "create table n (id int generated always as identity (sequence name own_ids)); select last_value from own_ids; grant select on own_ids to public",
    "alter table books add constraint fax_once unique (fax); alter table fax_once rename to one_fax; create index on books (id); alter table books_id_idx rename to by_id",
    "create schema sub create table books (x int) create view seen as select * from books; select fax from books; insert into sub.books (x) values (1)",
    "set search_path = information_schema, public; select table_name from tables",
    "begin; create temp table books (x int); discard temp; insert into books (id) values (1); commit",
    # Tables and columns made by dynamic SQL, functions and triggers.
    "do $$ declare n text; begin foreach n in array array['aa', 'bb'] loop execute format('create table %I (i int)', n); end loop; end $$; insert into aa values (1)",
    "do $$ begin for i in 1..2 loop execute 'create table part_' || i || ' (x int)'; end loop; end $$; insert into part_2 values (1)",
    "do $$ declare c text := 'zc'; begin c := c || 'd'; execute format('alter table books add column %I int', c); end $$; update books set zcd = 1 where true",
    "do $$ declare c text; begin select 'zv' into c; execute format('create view %I as select 1 as one', c); end $$; select one from zv",
    "select coalesce(make_table('q1'), 1); insert into q1 values (1)",
    "do $$ declare x int; begin x := make_table('q2'); end $$; insert into q2 values (1)",
    "create domain d as int check (make_table('q3') = value); select 1::d; insert into q3 values (1)",
    "create function op(text, int) returns int language sql as 'select make_table($1)'; create operator === (leftarg = text, rightarg = int, function = op); select 'q4'::text === 1; insert into q4 values (1)",
    "create table defaults (a int, b int default make_table('q5')); insert into defaults values (1); insert into q5 values (1)",
    "insert into days values ('a'); insert into day_a values (1); insert into books (id, seen) values (99, 1)",
]  # fmt: skip


@pytest.fixture
def books(site: Site) -> Site:
    return site.deploy_sql(LIVE)


def test_unknown_names_fail_the_plan(books: Site) -> None:
    for text, (column, message, hint) in UNKNOWN.items():
        books.write("sql/2_next.sql", text)
        with pytest.raises(MigrationUnknownName) as caught:
            books.plan()
        [problem] = caught.value.problems
        assert str(problem.location) == f"sql/2_next.sql:1:{column}", text
        assert problem.message == message, text
        assert hint is None or problem.hint == hint, text


def test_names_that_may_exist_pass(books: Site) -> None:
    for text in KNOWN:
        books.write("sql/2_next.sql", text)
        books.plan()


def test_what_a_new_project_has_passes(site: Site) -> None:
    site.deploy_sql(
        "create table t (id int); create function f(t) returns int language sql as 'select 1'; select t.f from t;"
        "grant select on pg_proc to current_user; set search_path = information_schema; select count(*) from tables"
    )


def test_every_unknown_name_is_reported_at_once(site: Site) -> None:
    """Also for a project that doesn't exist yet, which costs no request."""
    site.write("sql/1_a.sql", "create table t (id int);\ninsert into u values (1);")
    site.write("sql/2_b.sql", "select x from t;\nselect id from t;")
    site.manifest(database={"migrations": "sql"})
    with pytest.raises(MigrationUnknownName) as caught:
        site.plan()
    assert [(str(each.location), each.message) for each in caught.value.problems] == [
        ("sql/1_a.sql:2:13", "table u doesn't exist"),
        ("sql/2_b.sql:1:8", "table t has no column x"),
    ]


def test_a_resumed_file_may_name_what_its_first_steps_renamed(site: Site) -> None:
    site.write("sql/1_a.sql", "create table a (id int);")
    site.manifest(database={"migrations": "sql"})
    site.apply()
    site.write("sql/2_b.sql", "begin; alter table a rename to b; commit; insert into b values (1 / 0);")
    site.fails()
    site.write("sql/2_b.sql", "begin; alter table a rename to b; commit; insert into b values (1);")
    site.apply()


def test_statements_of_a_large_file_may_be_of_any_kind(site: Site) -> None:
    """A file of this size keeps no parse trees."""
    site.write(
        "sql/1_a.sql",
        f"set timezone = 'UTC';\ncreate table t (a text);\ninsert into t values ('{'x' * LARGE_TEXT}');",
    )
    site.manifest(database={"migrations": "sql"})
    site.plan()
    site.write("sql/2_b.sql", f"select 1; insert into u values (1); select '{'x' * LARGE_TEXT}'")
    with pytest.raises(MigrationUnknownName):
        site.plan()


def test_the_history_table_of_a_tool_that_a_migration_mentions(site: Site) -> None:
    site.write("sql/2_a.sql", "delete from public._sqlx_migrations where version = 1;")
    site.manifest(database={"migrations": "sql"})
    with pytest.raises(MigrationUnknownName) as caught:
        site.plan()
    hint = caught.value.hint or ""
    assert hint.startswith("_sqlx_migrations is the history table of sqlx")
    for name in OWN_TABLES:
        site.write("sql/1_history.sql", own_table_hint(name).rpartition(": ")[2])
        site.write("sql/2_a.sql", f"delete from {name} where true;")
        site.plan()
