"""Attempts to bypass `policy`: each is denied and destroys nothing."""

from __future__ import annotations

import pytest

from mosaic_deploy.errors import EffectsExceedConsent, PolicyDenied
from tests.deploy.conftest import Site
from tests.sampling import sampled

LIVE = """
create schema attic;
create table plain (id int primary key, note text, at timestamptz, cost numeric(9, 4));
create table customers (id int primary key);
create table orders (id int primary key, note text, at timestamptz, cost numeric(9, 4),
  customer int references customers on delete cascade);
create table seen (id int, day date) partition by range (day);
create table seen_1 partition of seen for values from ('2025-01-01') to ('2026-01-01');
create table seen_2 partition of seen for values from ('2026-01-01') to ('2027-01-01');
create table queue (id int);
create view orders_view as select id, note from orders;
create view orders_view_2 as select id from orders_view where id > 0;
create view counted as select count(*) as n from orders;
create rule gone as on update to queue do also delete from orders where id = new.id;
create function wipe() returns void language sql as 'delete from orders';
create function wipe_deep() returns int language plpgsql as $$ begin perform wipe(); return 1; end $$;
create function wipe_any(name text) returns void language plpgsql as
  $$ begin execute 'delete from ' || name; end $$;
create function look(name text) returns bigint language plpgsql as
  $$ declare n bigint; begin execute format('select count(*) from %I', name) into n; return n; end $$;
create function keep_row() returns trigger language plpgsql as $$ begin return new; end $$;
create procedure wipe_all() language plpgsql as $$ begin truncate orders cascade; end $$;
insert into customers values (1), (2);
insert into orders values (1, 'a', now(), 1.2345, 1), (2, 'b', now(), 1.2345, 2);
insert into plain values (1, 'a', now(), 1.2345);
insert into seen values (1, '2025-05-05'), (2, '2026-05-05');
"""
COUNTS = (
    "select (select count(*) from orders)::int as orders, (select count(*) from seen)::int as seen, "
    "(select string_agg(note || cost, ',' order by id) from orders) as kept, (select min(cost)::text from plain) as cost, "
    "(select min(note) from plain) as note"
)
THERE = [{"orders": 2, "seen": 2, "kept": "a1.2345,b1.2345", "cost": "1.2345", "note": "a"}]

ALWAYS = [
    "merge into orders using customers on true when matched then delete;",
    "merge into orders o using customers c on o.id = c.id + 9 when not matched by source then delete;",
    "insert into queue with gone as (delete from orders returning id) select id from gone;",
    "create table copied as with gone as (delete from plain returning id) select id from gone;",
    "explain analyze delete from orders;",
    "delete from orders using customers;",
    "delete from orders where id = id;",
    "delete from orders where id is not null;",
    "delete from orders where not (1 > 2) or note = 'x';",
    "update orders set note = 'x' where 2 > 1;",
    "truncate only orders;",
    "delete from orders_view;",
    "update orders_view set note = 'x';",
    "alter table orders alter note type varchar(9) using '';",
    "alter table plain alter note type varchar(1) using ''::varchar(1);",
    "alter table plain alter cost type int;",
    "alter table plain alter cost type numeric(9, 2);",
    "create procedure p() language plpgsql as $$ begin execute 'delete from ' || 'orders'; end $$; call p();",
    "call wipe_all();",
    "do $$ declare r record; begin for r in delete from orders returning id loop end loop; end $$;",
    "do $$ begin execute 'do $x$ begin delete from orders; end $x$'; end $$;",
    "do $$ begin set search_path = attic, public; delete from orders; end $$;",
]
"""The plan shows them."""
INDIRECTLY = [
    "create function f() returns void language sql as 'delete from orders'; select f();",
    "create function f() returns void begin atomic delete from orders; end; select f();",
    "create function f() returns void language plpgsql as $$ begin if now() > 'epoch' then drop table orders cascade; end if; "
    "end $$; alter function f() rename to g; do $$ declare x text := g(); begin end $$;",
    "create function f() returns trigger language plpgsql as $$ begin delete from orders; return new; end $$;"
    "create trigger t after insert on queue for each row execute function f(); insert into queue values (1);",
    "create rule r as on insert to plain do also delete from orders; insert into plain values (9);",
    "create function f() returns int language sql as 'delete from orders; select 1';"
    "alter table plain add column extra int default f();",
    "select wipe();",
    "select wipe_deep();",
    "select wipe_any('orders');",
    "insert into queue select wipe_deep();",
    "do $$ begin perform wipe(); end $$;",
    "do $$ declare q text := 'delete from orders'; begin execute q; end $$;",
    "do $$ begin execute format('%s from orders', 'delete'); end $$;",
    "do $$ begin execute format('delete from %I', 'ord' || 'ers'); end $$;",
    "do $$ begin execute chr(100) || 'elete from orders'; end $$;",
    "do $$ declare c refcursor; x int; begin open c for execute 'delete from ' || 'orders' || ' returning id'; "
    "fetch c into x; end $$;",
    "create table top (id int, day date) partition by range (day); "
    "alter table top attach partition seen for values from ('2025-01-01') to ('2027-01-01'); truncate top;",
    "create view v as select * from orders; delete from v;",
    "select * from query_to_xml('select wipe()', true, false, '');",
    "select * from query_to_xml('select ' || 'wipe()', true, false, '');",
    "select * from ts_stat('select wipe_deep()::text::tsvector');",
    "create function w(int, int) returns int language plpgsql as $$ begin delete from orders; return 1; end $$; "
    "create aggregate a(int) (sfunc = w, stype = int, initcond = '0'); select a(id) from plain;",
    "create function w(int, int) returns bool language plpgsql as $$ begin delete from orders; return true; end $$; "
    "create operator === (leftarg = int, rightarg = int, function = w); select 1 === 2;",
    "create function w(int) returns bool language plpgsql as $$ begin delete from orders; return true; end $$; "
    "create domain d as int check (w(value)); select 5::d;",
    "create function w(int) returns bool language plpgsql as $$ begin delete from orders; return true; end $$; "
    "create domain d as int; alter domain d add check (w(value)); select 5::d;",
    "create function w(int) returns bool language plpgsql as $$ begin delete from orders; return true; end $$; "
    "create policy p on plain using (w(id)); alter table plain enable row level security; "
    "alter table plain force row level security; select * from plain;",
    "create function w(int) returns int language plpgsql as $$ begin delete from orders; return 1; end $$; "
    "create view v as select w(id) from plain; select * from v;",
    "create function w(int) returns text language plpgsql as $$ begin delete from orders; return 'x'; end $$; "
    "alter table plain alter note set default w(1); insert into plain (id) values (99);",
    "create function w(int) returns int language plpgsql as $$ begin delete from orders; return 1; end $$; "
    "create table n (a int, b int default w(1)); insert into n (a) values (1);",
    "create function w(int) returns int language plpgsql as $$ begin delete from orders; return 1; end $$; "
    "create function g(a int default w(1)) returns int language sql as 'select a'; select g();",
    "create function w(int) returns bool language plpgsql as $$ begin delete from orders; return true; end $$; "
    "create trigger t before insert on queue for each row when (w(new.id)) "
    "execute function keep_row(); insert into queue values (1);",
    "create function w(int) returns bool language plpgsql as $$ begin delete from orders; return true; end $$; "
    "create rule r as on insert to queue where w(new.id) do also select 1; insert into queue values (1);",
    "create type m as (a int); create function w(text) returns m language plpgsql as "
    "$$ begin delete from orders; return row(1); end $$; create cast (text as m) with function w(text); select '1'::text::m;",
]
"""Only the measurement shows them."""
PROTECTED = [
    "delete from orders where id = 1;",
    "with gone as (delete from orders where id = 1 returning id) select id from gone;",
    "update orders set note = 'x' where id = 1;",
    "insert into orders values (1, 'x') on conflict (id) do update set note = excluded.note;",
    "merge into orders o using customers c on o.id = c.id when matched then delete;",
    "merge into orders o using customers c on o.id = c.id when matched then update set note = 'x';",
    "delete from orders_view where id = 1;",
    "delete from orders_view_2 where id = 1;",
    "delete from customers where id = 1;",
    "update queue set id = 1;",
    "drop table seen_1;",
    "truncate seen_1;",
    "delete from seen_2 where id = 2;",
    "alter table seen detach partition seen_1;",
    "create view v as select * from orders; alter table orders rename to x; delete from v where id = 1;",
    "alter table orders rename to x;",
    "alter table orders set schema attic;",
    "alter schema public rename to old;",
    "create rule r as on insert to orders do instead nothing;",
    "create rule r as on update to queue do also delete from orders where id = 1;",
    "alter table orders alter note type text using left(note, 0);",
    "do $$ declare r record; begin for r in select id from orders loop delete from orders where id = r.id; end loop; end $$;",
]
"""The plan shows them, if `orders` and `seen` are protected."""
PROTECTED_INDIRECTLY = [
    "create table top (id int, day date) partition by range (day); alter table top attach partition seen "
    "for values from ('2025-01-01') to ('2027-01-01'); alter table top rename to roof; drop table roof;",
    "create table keys (id int primary key); insert into keys values (1), (2); alter table orders add foreign key (id) "
    "references keys on delete cascade; delete from keys where id = 1;",
    "do $$ begin execute format('alter table %I rename to x', 'or' || 'ders'); end $$; drop table x cascade;",
    "create type t as (a int); create function f() returns void language sql as "
    "'delete from orders where id = 1'; select f();",
]
"""Only the measurement shows them."""
PEACEFUL = [
    "select look('orders');",
    "insert into orders values (3, 'c') on conflict do nothing;",
    "alter table orders add column paid boolean; update orders set paid = true where id = 1;",
    "update orders set note = 'none' where note is null;",
    "create table copied as select * from orders; delete from copied where id = 1; truncate copied; drop table copied;",
    "select id into copied from orders; update copied set id = 7;",
    "create function later(name text) returns void language plpgsql as $$ begin execute 'drop table ' || name; end $$;",
    "create function touch() returns trigger language plpgsql as $$ begin new.note := 'x'; return new; end $$;"
    "create trigger t before update on orders for each row execute function touch();",
    "do $$ declare r record; begin for r in select tablename from pg_tables where schemaname = 'attic' loop "
    "execute format('analyze attic.%I', r.tablename); end loop; end $$;",
    "alter table plain alter note type varchar(90);",
    "drop view counted cascade; create view counted as select 1 as n;",
    "create view v as select look('orders'); create table n (a uuid default gen_random_uuid(), b bigint default look('plain'));",
    "select query_to_xml('select note from orders', true, false, '');",
    "create function w(id int) returns bool language sql stable as 'select id > 0'; create policy p on orders using (w(id));",
]


@pytest.fixture
def full(site: Site) -> Site:
    return site.deploy_sql(LIVE)


def failure(site: Site, text: str) -> PolicyDenied | EffectsExceedConsent:
    """The error of the apply. Asserts that nothing is destroyed and that no option is offered."""
    site.write("sql/2_trick.sql", text)
    error = site.fails().error
    assert isinstance(error, PolicyDenied | EffectsExceedConsent), (text, error)
    assert not [action for action in error.next_actions if "--allow" in (action.command or "")], text
    assert site.sql(COUNTS) == THERE, text
    return error


def denied(site: Site, text: str) -> str:
    """Asserts that the plan is denied, and returns why."""
    error = failure(site, text)
    assert isinstance(error, PolicyDenied), text
    return str(error.problems[0])


def test_destructive_statements_are_denied_however_written(full: Site) -> None:
    full.manifest(database={"migrations": "sql"}, policy={"destructive": "deny"})
    for text in ALWAYS:
        said = denied(full, text)
        assert said.startswith("sql/2_trick.sql:1:"), said
        assert said.endswith("change the statement, or set policy.destructive to confirm"), said


def test_what_destroys_indirectly_is_rolled_back(full: Site) -> None:
    full.manifest(database={"migrations": "sql"}, policy={"destructive": "deny"})
    for text in INDIRECTLY:
        error = failure(full, text)
        assert isinstance(error, EffectsExceedConsent), text
        assert str(error.hint).endswith("policy.destructive is deny, which no option overrides"), text


PROTECTED_POLICY = {"destructive": "allow", "protected_tables": ["orders", "seen"]}


def is_about_protected(text: str) -> bool:
    return "plain alter" not in text and "from plain" not in text


def test_protected_tables_are_denied_under_any_name(full: Site) -> None:
    full.manifest(database={"migrations": "sql"}, policy=PROTECTED_POLICY)
    for text in [*PROTECTED, *filter(is_about_protected, ALWAYS)]:
        said = denied(full, text)
        assert said.startswith("sql/2_trick.sql:1:"), said
        assert "from policy.protected_tables" in said, said


def test_protected_tables_cannot_be_reached_indirectly(full: Site) -> None:
    full.manifest(database={"migrations": "sql"}, policy=PROTECTED_POLICY)
    for text in [*PROTECTED_INDIRECTLY, *filter(is_about_protected, INDIRECTLY)]:
        error = failure(full, text)
        said = str(error.problems[0] if isinstance(error, PolicyDenied) else error.hint)
        assert "policy.protected_tables" in said, text


@pytest.mark.parametrize("text", sampled(PEACEFUL, 3))
def test_harmless_statements_are_applied(full: Site, text: str) -> None:
    full.manifest(
        database={"migrations": "sql"}, policy={"destructive": "deny", "protected_tables": ["orders", "seen"]}
    )
    full.write("sql/2_next.sql", text)
    full.apply()


def test_an_ignore_comment_overrides_neither_confirmation_nor_policy(full: Site) -> None:
    text = "-- mosaic-ignore: delete_without_where looked at by two people\ndelete from orders;"
    full.write("sql/2_trick.sql", text)
    assert full.plan().plan.to_confirm
    full.manifest(database={"migrations": "sql"}, policy={"protected_tables": ["orders"]})
    assert full.plan().plan.denied


def test_a_renamed_table_stays_protected_under_both_names(full: Site) -> None:
    policy = {"destructive": "allow", "protected_tables": ["orders", "purchases"]}
    full.manifest(database={"migrations": "sql"}, policy=policy)
    full.write("sql/2_rename.sql", "alter table orders rename to purchases;")
    assert full.plan().plan.denied == ()
    full.write("sql/2_rename.sql", "alter table orders rename to purchases; drop table purchases;")
    assert full.plan().plan.denied
    policy["protected_tables"] = ["purchases"]
    full.manifest(database={"migrations": "sql"}, policy=policy)
    assert full.plan().plan.denied


def test_what_is_called_costs_no_request(full: Site) -> None:
    def requests() -> int:
        before = full.api.traffic.requests
        full.plan()
        return full.api.traffic.requests - before

    full.write("sql/2_next.sql", "select now(), nextval('x');")
    least = requests()
    full.write("sql/2_next.sql", "select now(), nextval('x'), count(*) from queue;")
    assert requests() == least + 1  # whether queue exists
    full.write("sql/2_next.sql", "select wipe_deep(), nextval('x') from queue;")
    assert requests() == least + 1
