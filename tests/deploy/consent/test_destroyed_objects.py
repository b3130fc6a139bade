"""What a plan says of the database objects that migrations destroy, and of tables without rows."""

from __future__ import annotations

import pytest

from mosaic_deploy.cli.render.text.plan import plan_lines, summary_line
from mosaic_deploy.cli.visible_text import safe_text
from mosaic_deploy.errors import MigrationFailed
from mosaic_deploy.model.hazard import HazardSeverity
from tests.deploy.conftest import Site

LIVE = """
create extension citext;
create domain short as text;
create table old (id int primary key);
create table books (id bigint primary key, fax text, title citext, d short);
insert into books values (1, 'f', 't', 's');
create table kid (id int references old);
create view v as select title from books;
create view vv as select * from v;
create policy pp on books using (fax is not null);
alter table books enable row level security;
create index bt on books (title);
create function fb(b books) returns text language sql as 'select 1';
create schema junk;
create table junk.a (id int);
create sequence junk.s;
create type mood as enum ('fine');
"""
DESTROYED = {
    "drop table kid; drop table old": "2 to destroy (table kid, table old)",
    "alter table books drop column d": "1 to destroy (column books.d)",
    "drop table old cascade": "2 to destroy (table old, constraint kid_id_fkey on kid)",
    "alter table books drop column fax cascade": "2 to destroy (column books.fax, policy pp on books)",
    "drop extension citext cascade": "4 to destroy (extension citext, column books.title, view v, view vv)",
    "drop domain short cascade": "2 to destroy (domain short, column books.d)",
    "drop schema junk cascade": "3 to destroy (schema junk, sequence junk.s, table junk.a)",
    "drop view v cascade": "2 to destroy (view v, view vv)",
    "drop policy pp on books; drop index bt; drop function fb": "3 to destroy (policy pp on books, index bt, function fb)",
    "alter table old drop constraint old_pkey cascade": "2 to destroy (constraint old_pkey on old, constraint kid_id_fkey on kid)",
    "alter table books rename column fax to tel; alter table books drop column tel": "1 to destroy (column books.tel)",
    "do $$ begin drop table if exists kid; end $$": "1 to destroy (table kid)",
    "drop view vv; create view vv as select 1; drop index bt; create index bt on books (d)": "0 to destroy",
    "drop table kid; create table kid (id int)": "1 to destroy (table kid)",
    "drop table if exists nix; drop view if exists nix; drop function if exists nix(int)": "0 to destroy",
    "create table made (i int); alter table made add column j int; drop table made": "0 to destroy",
    "alter table books add column z int; alter table books drop column z": "0 to destroy",
    "delete from books": "0 to destroy; deletes rows of books",
    "alter type mood rename to mood_old; create type mood as enum ('sad'); drop type mood_old": "0 to destroy",
    "alter type mood rename to mood_old; drop type mood_old": "1 to destroy (type mood_old)",
}


@pytest.fixture
def books(site: Site) -> Site:
    return site.deploy_sql(LIVE)


def test_the_summary_counts_and_names_destroyed_objects(books: Site) -> None:
    for text, destroyed in DESTROYED.items():
        books.write("sql/2_next.sql", text)
        plan = books.plan().plan
        # A file that destroys nothing but rows is shown as a change.
        made = "0 to add, 1 to change" if "deletes rows" in destroyed else "1 to add, 0 to change"
        assert summary_line(plan) == f"Plan: {made}, {destroyed}.", text
        assert plan.counts.destroy == int(destroyed.split()[0])


def test_a_long_list_is_cut_and_files_are_counted(books: Site) -> None:
    books.write("public/a.html", "x")
    books.manifest(database={"migrations": "sql"}, static={"dir": "public", "prune": True, "keep": 0})
    books.apply()
    (books.root / "public/a.html").unlink()
    books.write("public/b.html", "x")
    drops = "; ".join(f"drop table t{number}" for number in range(8))
    books.write("sql/2_made.sql", "; ".join(f"create table t{number} (i int)" for number in range(8)))
    books.apply()
    books.write("sql/3_next.sql", drops)
    books.write("public/c.html", "x")
    (books.root / "public/b.html").unlink()
    assert summary_line(books.plan().plan) == (
        "Plan: 2 to add, 0 to change, 9 to destroy "
        "(table t0, table t1, table t2, table t3, table t4, 3 more objects, 1 file)."
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("alter table books drop column fax", "\x1b[31m    - 2_next.sql  drops column books.fax\x1b[0m"),
        ("alter table books add column z int", "\x1b[32m    + 2_next.sql  alters books\x1b[0m"),
        ("delete from books", "\x1b[31m    ~ 2_next.sql  deletes from books\x1b[0m"),
    ],
)
def test_the_changes_line_shows_destruction_in_red(books: Site, text: str, line: str) -> None:
    books.write("sql/2_next.sql", text)
    assert line in [safe_text(each, terminal=True) for each in plan_lines(books.plan().plan)]


def test_cascade_lists_what_goes_with_the_object(books: Site) -> None:
    books.write("sql/2_next.sql", "drop view v cascade;\ndrop domain short cascade;\ndrop type mood cascade;")
    assert {(str(h.severity), h.message) for h in books.plan().plan.hazards} == {
        ("destructive", "drops view v, and with it view vv"),
        ("destructive", "drops domain short, and with it column books.d"),
        ("destructive", "drops type mood, which nothing uses"),
    }


NEEDS_NO_CONSENT = [
    "drop table kid; drop table old",
    "drop table old cascade",
    "truncate kid",
    "delete from kid",
    "alter table kid drop column id",
    "drop schema junk cascade",
    "insert into kid select 1 where false; delete from kid",
]
NEEDS_CONSENT = [
    "delete from books",
    "alter table books drop column fax",
    "begin; insert into kid select 1 where false; commit; delete from kid",
]


def test_tables_without_rows_need_no_consent(books: Site) -> None:
    for text in NEEDS_NO_CONSENT:
        books.write("sql/2_next.sql", text)
        plan = books.plan().plan
        assert not plan.to_confirm, text
        assert HazardSeverity.RISKY in {hazard.severity for hazard in plan.hazards}, text
    for text in NEEDS_CONSENT:
        books.write("sql/2_next.sql", text)
        assert books.plan().plan.to_confirm, text


def test_a_table_whose_rows_are_deleted_holds_none(books: Site) -> None:
    books.sql("delete from books")
    books.write(
        "sql/2_next.sql",
        "drop table kid; drop view v cascade; create view v as select 1; create view vv as select 2;",
    )
    assert not books.plan().plan.to_confirm
    books.write("sql/2_next.sql", "drop table books cascade")
    assert books.plan().plan.to_confirm, "views go with it"
    books.apply()


def test_protected_tables_stay_protected(books: Site) -> None:
    books.manifest(database={"migrations": "sql"}, policy={"protected_tables": ["kid"]})
    books.write("sql/2_next.sql", "drop table kid")
    assert books.plan().plan.denied


@pytest.mark.parametrize(
    "text",
    [
        "drop table kid",
        "begin isolation level serializable; select 1; delete from kid; commit;",
        "-- mosaic: transaction=false\nselect 1;\ntruncate kid;",
    ],
)
def test_rows_that_come_after_the_plan_stop_the_step(books: Site, text: str) -> None:
    books.write("sql/2_next.sql", text)
    planned = books.plan()
    assert not planned.plan.to_confirm
    books.sql("insert into old values (1)")
    books.sql("insert into kid values (1)")
    error = books.fails(planned=planned).error
    assert isinstance(error, MigrationFailed)
    assert "table public.kid holds rows now" in error.message
    assert books.sql("select count(*) as n from kid") == [{"n": 1}]
    assert books.plan().plan.to_confirm


def test_a_seed_is_checked_too(books: Site) -> None:
    books.write("seeds/1.sql", "delete from kid")
    books.manifest(database={"migrations": "sql", "seeds": ["seeds/1.sql"]})
    planned = books.plan()
    assert not planned.plan.to_confirm
    books.sql("insert into old values (1)")
    books.sql("insert into kid values (1)")
    assert "table public.kid holds rows now" in books.fails(planned=planned).error.message


def test_rows_of_a_child_are_not_told_as_none(site: Site) -> None:
    site.deploy_sql(
        "create table parent (a text); create table child () inherits (parent); insert into child values ('x');"
        "create table alone (a text); create table heir () inherits (alone);"
    )
    site.write("sql/2_next.sql", "alter table parent drop column a; alter table alone drop column a")
    told = [(one.message, one.severity, one.cascades_to) for one in site.plan().plan.hazards]
    assert told == [
        ("drops column parent.a (no rows of its own)", HazardSeverity.DESTRUCTIVE, ("public.child",)),
        ("drops column alone.a (no rows)", HazardSeverity.RISKY, ("public.heir",)),
    ]


PARENTS_WITH_ROWS = """
create table ev (id int, t text) partition by range (id);
create table ev_1 partition of ev for values from (1) to (10);
create table ev_2 partition of ev for values from (10) to (20);
create table ev_3 partition of ev for values from (20) to (40) partition by range (id);
create table ev_3a partition of ev_3 for values from (20) to (30);
create table ev_3b partition of ev_3 for values from (30) to (40);
create table ev_d partition of ev default;
insert into ev values (11), (31);
create table parent (a text);
create table kid () inherits (parent);
create table grandkid (b text) inherits (kid);
insert into parent values ('x');
"""


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("alter table ev detach partition ev_1; drop table ev_1", {("public.ev_1",)}),
        ("drop table ev_3a; truncate only ev_d; drop table ev_d", {("public.ev_3a",), ("public.ev_d",)}),
        ("truncate kid; drop table grandkid", {("public.kid", "public.grandkid"), ("public.grandkid",)}),
    ],
)
def test_rows_of_a_parent_are_not_rows_of_its_child(
    site: Site, text: str, tables: set[tuple[str, ...]]
) -> None:
    site.deploy_sql(PARENTS_WITH_ROWS)
    site.write("sql/2_next.sql", text)
    planned = site.plan()
    assert not planned.plan.to_confirm
    found = [one for one in planned.plan.hazards if one.empty_tables]
    assert {one.empty_tables for one in found} == tables
    assert all("(no rows)" in one.message for one in found)
    site.apply(planned=planned)


def test_rows_that_a_file_inserts_through_the_parent_count(site: Site) -> None:
    site.deploy_sql(PARENTS_WITH_ROWS)
    site.write("sql/2_next.sql", "insert into ev values (2)")
    site.write("sql/3_drop.sql", "drop table ev_1")
    assert site.plan().plan.to_confirm
