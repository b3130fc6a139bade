"""What a later step needs of its session and can't have is refused; what is harmless isn't."""

import pytest

from mosaic_deploy.sql.execution.split import TransactionControlError, split_steps
from mosaic_deploy.sql.parse import parse
from mosaic_deploy.sql.uncarried import refuse_uncarried

REFUSED = [
    ("select setseed(0.5); vacuum; «select random();", "draws random numbers after setseed()"),
    ("set seed = 0.5; vacuum; «do $$ begin perform random(); end $$;", "draws random numbers after SET seed"),
    ("create function f() returns float language sql as 'select random()'; select setseed(0.5); vacuum; «select f();",
     "draws random numbers"),
    ("«alter role current_user set search_path = a; vacuum; select 1;", "is set for new connections"),
    ("«alter database d set timezone = 'UTC'; vacuum; select 1;", "is set for new connections"),
    ("set search_path = a; «do $$ declare y t.i%TYPE; begin commit; end $$;", "looks up t.i%TYPE before"),
    ("set search_path = a; «do $$ declare x int; y t%rowtype; begin commit; end $$;", "looks up t%rowtype before"),
    ("set search_path = a; «do $$ declare x constant mood := 'x'; begin commit; end $$;", "looks up mood before"),
    ("set search_path = a; «do $$ begin declare z mood[]; begin commit; end; end $$;", "looks up mood before"),
    ("select 1; «set standard_conforming_strings = off; select 'a\\''; drop table x; --';", "changes standard_conforming"),
    ("«set local standard_conforming_strings to default; select 1;", "changes standard_conforming_strings"),
    ("«select set_config('standard_conforming_strings', 'off', false);", "changes standard_conforming_strings"),
    ("«alter role current_user set standard_conforming_strings = off;", "changes standard_conforming_strings"),
    ("«do $$ begin set standard_conforming_strings = off; end $$;", "changes standard_conforming_strings"),
    ("«do $$ begin execute 'set standard_conforming_strings' || x; end $$;", "changes standard_conforming_strings"),
    ("«do $$ begin alter role a set standard_conforming_strings = off; end $$;", "changes standard_conforming_strings"),
    ("«do $$ begin execute format('set search_path = %I', s); end $$; vacuum; select 1;", "search_path is set to a value"),
    ("«do $$ begin execute 'set role ' || s; end $$; vacuum; select 1;", "role is set to a value"),
    ("«create function f() returns text language sql as $$ select set_config('standard_conforming_strings', 'off', true) $$;",
     "changes standard_conforming_strings"),
    ("«create function f() returns int language sql set standard_conforming_strings = off as 'select 1';",
     "changes standard_conforming_strings"),
    ("«create function f() returns int language plpython3u as 'standard_conforming_strings';",
     "changes standard_conforming_strings"),
    ("create temp table x (id int); vacuum; «insert into x values (1);", "uses temporary x"),
    ("create temp table x (id int); vacuum; «drop table if exists x;", "uses temporary x"),
    ("create temp table x (id int); vacuum; «do $$ begin delete from X; end $$;", "uses temporary x"),
    ("select 1 as id into temp x; vacuum; «select 'x'::regclass;", "uses temporary x"),
    ("create temp sequence x; vacuum; «select nextval('x');", "uses temporary x"),
    ("create table pg_temp.x (id int); vacuum; «select id from pg_temp.x;", "uses temporary x"),
    ("create function pg_temp.f() returns int language sql as 'select 1'; vacuum; «select pg_temp.f();", "temporary f"),
    ("do $$ begin create temp table x (id int); end $$; vacuum; «table x;", "uses temporary x"),
    ("create temp table x (id int); create function f() returns void language sql as 'delete from x'; vacuum; vacuum; "
     "«select f();", "uses temporary x"),
    ("«do $$ begin set search_path = a; end $$; vacuum; select 1;", "search_path is set to a value"),
    ("«do $$ begin perform set_config('search_path', 'a', false); end $$; vacuum;", "search_path is set to a value"),
    ("create function f() returns void language plpgsql as $$ begin set role x; end $$; «select f(); vacuum;", "role is set"),
    ("«select set_config('search_path', name, false) from t; vacuum;", "search_path is set to a value"),
    ("«select set_config(name, 'x', false) from t; vacuum;", "a setting is set to a value"),
    ("begin; «do $$ begin set timezone = 'UTC'; end $$; commit; begin; select 1; commit;", "timezone is set to a value"),
    ("«set local search_path = a; vacuum; create table t (id int);", "SET LOCAL search_path ends with this step"),
    ("«set session characteristics as transaction isolation level serializable; begin; select 1; commit;", "at BEGIN"),
    ("prepare q as select 1; vacuum; «execute q;", "uses prepared statement q"),
    ("declare c cursor with hold for select 1; vacuum; select 1; «fetch c;", "uses cursor c"),
    ("«select pg_advisory_lock(1); create index concurrently i on t (id); select pg_advisory_unlock(1);", "a lock that"),
    ("insert into t values (1); vacuum; «insert into u values (currval('s'));", "calls currval()"),
    ("insert into t values (1); vacuum; «select lastval();", "calls lastval()"),
    ("set my.x = 'a'; «do $$ #variable_conflict error\nbegin commit; end $$;", "set them in the block"),
    ("set my.x = 'a'; «do language plpython3u $$ plpy.commit() $$;", "set them in the block"),
    ("set role x; «create database d;", "name the owner"),
    ("set default_tablespace = fast; «create index concurrently i on t (id);", "write TABLESPACE"),
    ("set timezone = 'UTC'; «create index concurrently i on t (id) where at > '2026-01-01';", "timezone has no effect"),
    ("select set_config('search_path', current_setting('x'), false); «vacuum t;", "write the schemas in the names"),
    ("set search_path = a; «drop index concurrently cascade cascade;", "write the schemas in the names"),
    ("set search_path = a; «create index concurrently on t (b x.my_ops, c my_ops);", "write the schemas in the names"),
    ("«set client_encoding = 'LATIN1'; insert into t values ('é');", "sets client_encoding to LATIN1"),
    ("«set names 'win1252'; vacuum; comment on table t is '“';", "sets client_encoding to win1252"),
    ("«select set_config('client_encoding', 'latin1', false); select 'é';", "sets client_encoding to latin1"),
    ("«select set_config('client_encoding', name, false) from t; select 'é';", "to a value that isn't known"),
    ("«do $$ begin perform set_config('client_encoding', 'EUC_JP', false); end $$; select 'é';", "to EUC_JP"),
    ("«do $$ begin set client_encoding = latin1; end $$; select 'é';", "sets client_encoding to latin1"),
    ("begin; «set local client_encoding = latin1; select 'é'; commit;", "sets client_encoding to latin1"),
    ("select 'ü'; set client_encoding = utf8; «set client_encoding = latin2; select 'é';", "to latin2"),
    ("«set client_encoding = latin1; create table t (\"naïve\" int);", "sets client_encoding to latin1"),
]  # fmt: skip
ALLOWED = [
    "select setseed(0.5); insert into r select random(); vacuum; select 1;",
    "select setseed(0.5); vacuum; select setseed(0.5); select random();",
    "create temp table x (id int); vacuum; with x as (select 5 as id) insert into r select id from x;",
    "alter role somebody set search_path = a; vacuum; select 1;",
    "vacuum; alter database d set timezone = 'UTC';",
    "set client_encoding = 'LATIN1'; insert into t values ('e'); -- é",
    "insert into t values ('é'); set client_encoding = 'LATIN1'; select 1;",
    "set client_encoding = 'UTF-8'; set names 'utf_8'; set client_encoding to Unicode; select 'é';",
    "set client_encoding = 'SQL_ASCII'; select set_config('client_encoding', 'utf8', false); select 'é';",
    "set names 'latin1'; select 1; reset client_encoding; select 'é';",
    "set names 'latin1'; set client_encoding to default; select 'é';",
    "set names 'latin1'; reset all; select 'é'; set names 'latin1'; discard all; select 'é';",
    "begin; set local client_encoding = latin1; commit; select 'é';",
    "do $$ begin set standard_conforming_strings = on; perform set_config('standard_conforming_strings', 'on', true); "
    "raise notice '%', current_setting('standard_conforming_strings'); end $$;",
    "create function f() returns text language sql set standard_conforming_strings = on as "
    "$$ select current_setting('standard_conforming_strings') $$;",
    "set standard_conforming_strings = on; insert into t values ('standard_conforming_strings'); show standard_conforming_strings;",
    "create temp table x (id int); insert into x values (1); do $$ begin set search_path = a; end $$; select currval('s');",
    "create temp table x (id int) on commit drop; vacuum; insert into x values (1);",
    "create temp table x (id int); drop table x; vacuum; insert into x values (1);",
    "create temp table x (id int); discard temp; vacuum; insert into x values (1);",
    "create temp table x (id int); vacuum; insert into public.x values (1); select x.y from z x;",
    "create temp table x (id int); vacuum; create table xy (x int);",
    "do $$ begin set search_path = a; end $$; set search_path = b; vacuum; select 1;",
    "do $$ begin set search_path = a; end $$; reset all; vacuum; select 1;",
    "do $$ begin set local search_path = a; perform set_config('x.y', 'z', true); end $$; vacuum; select 1;",
    "do $$ begin set lock_timeout = '1s'; end $$; vacuum; select 1;",
    "create function f() returns void language sql set search_path = a as 'select 1'; select f(); vacuum; select 1;",
    "create function f() returns void language plpgsql as $$ begin set role x; end $$; vacuum;",
    "select set_config('search_path', 'a', false); select set_config('x.y', 'z', true) from t; vacuum t;",
    "begin; set local search_path = a; commit; vacuum; select 1;",
    "set local lock_timeout = '1s'; vacuum; select 1;",
    "set session characteristics as transaction read write; begin; select 1; commit;",
    "prepare q as select 1; execute q; vacuum; prepare q as select 1; execute q;",
    "begin; declare c cursor for select 1; fetch c; commit; vacuum; select 1;",
    "select pg_advisory_xact_lock(1); vacuum; select 1;",
    "select pg_advisory_lock(1); select pg_advisory_unlock(1); vacuum; select 1;",
    "vacuum; insert into t values (1) returning id; select currval('s');",
    "vacuum; select nextval('s'), 1; select currval('s');",
    "listen x; vacuum; notify x;",
    "set role x; set lock_timeout = '1s'; create index concurrently i on t (id); vacuum;",
    "set default_tablespace = fast; create index concurrently i on t (id) tablespace slow;",
    "set timezone = 'UTC'; create index concurrently i on t (id);",
    "set search_path = a; do $$ begin commit; end $$; call p(1);",
    "create function f() returns void language sql begin atomic end; vacuum; select f();",
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_a_later_step_needs_is_refused(text: str, message: str) -> None:
    at = text.index("«")
    with pytest.raises(TransactionControlError) as caught:
        refuse_uncarried(split_steps(parse(text.replace("«", ""))))
    assert message in caught.value.message
    assert caught.value.offset == at


@pytest.mark.parametrize("text", ALLOWED)
def test_what_is_harmless_is_allowed(text: str) -> None:
    refuse_uncarried(split_steps(parse(text)))
