"""Settings that the role or the database has by default hold for migrations and for the tracking tables."""

from __future__ import annotations

from itertools import product

import httpx
import psycopg
import pytest

from mosaic_deploy.errors import MigrationFailed, MigrationInvalid, SqlFailed
from mosaic_deploy.live.api import endpoints
from tests.deploy.histories import history, pending, tables
from tests.sampling import sampled

SLOW = "create table t{0} (id int);\nselect pg_sleep({1});"


def set_default(site, setting: str, value: str) -> None:
    """Sets it for new connections, and ends those that the platform has."""
    credentials = site.api.call(endpoints.READ_CREDENTIALS, project=site.project_id)
    whose = f'database "{credentials["database"]}"'
    with psycopg.connect(credentials["database_url"], autocommit=True) as own:
        own.execute("set default_transaction_read_only = off")
        own.execute(f"alter {whose} set {setting} = '{value}'")
        own.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )


class SlowEndsSession(httpx.BaseTransport):
    """A platform on which the role's transaction_timeout holds; ours turns it off, so it ends the session otherwise."""

    def __init__(self) -> None:
        self.inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read().replace(b"pg_sleep(9)", b"pg_terminate_backend(pg_backend_pid())")
        headers = {name: text for name, text in request.headers.items() if name != "content-length"}
        answer = self.inner.handle_request(
            httpx.Request(request.method, request.url, headers=headers, content=body)
        )
        content = answer.read().replace(b"administrator command", b"transaction timeout")
        return httpx.Response(answer.status_code, content=content.replace(b"57P01", b"25P04"))

    def close(self) -> None:
        self.inner.close()


def test_a_transaction_timeout_names_the_migration_that_is_too_slow(site, api_over):
    """It ends the connection, which is known to have committed nothing of that migration."""
    history(site, m1_a="create table t1 (id int);")
    site.apply()
    for number, seconds in ((2, 0), (3, 0), (4, 9)):
        site.write(f"sql/{number}_s.sql", SLOW.format(number, seconds))
    failed = site.fails(api=api_over(SlowEndsSession()))
    assert isinstance(failed.error, MigrationFailed)
    assert (failed.error.location.file, failed.error.sqlstate) == ("sql/4_s.sql", "25P04")
    assert "transaction_timeout of the role or the database" in failed.error.hint
    assert (tables(site), pending(site)) == ({"t1", "t2", "t3"}, ["migration:4_s.sql"])
    site.write("sql/4_s.sql", SLOW.format(4, 0))
    site.apply()


def test_a_read_only_database_is_named(site):
    history(site, m1_a="create table t1 (id int);")
    site.apply()
    set_default(site, "default_transaction_read_only", "on")
    site.write("sql/2_b.sql", "create table t2 (id int);")
    error = site.fails().error
    assert isinstance(error, SqlFailed)
    assert "default_transaction_read_only" in error.hint
    set_default(site, "default_transaction_read_only", "off")
    site.apply()


ATTACK = "select 'a\\', ' ; drop table t2; --';"
"""With standard_conforming_strings off, its second statement drops the table."""


def test_a_database_with_other_strings_is_refused(site):
    history(site, m1_a="create table t1 (v text); create table t2 (id int); insert into t2 values (1);")
    site.apply()
    set_default(site, "standard_conforming_strings", "off")
    for sql in (
        ATTACK,
        f"set lock_timeout = '9s'; begin; {ATTACK} commit;",
        "create index concurrently on t1 (v) where v <> '\\';",
        "reset all;",
        "do $$ begin commit; end $$;",
    ):
        site.write("sql/2_s.sql", sql)
        error = site.fails().error
        assert isinstance(error, MigrationFailed)
        assert error.location.file == "sql/2_s.sql"
        assert "standard_conforming_strings is off in this database" in error.message
        assert "SET standard_conforming_strings = on with `mosaic-deploy sql`" in error.hint
        assert tables(site) == {"t1", "t2"}
        assert pending(site) == ["migration:2_s.sql"]
    set_default(site, "standard_conforming_strings", "on")
    site.write("sql/2_s.sql", ATTACK)
    site.apply()


TURN_OFF = {
    "pg_settings": "update pg_settings set setting = 'off' where name = 'standard_conforming_strings';",
    "computed": "select set_config('standard_conforming' || '_strings', 'off', false);",
    "in a block": "do $$ begin perform set_config('standard_conforming' || '_strings', 'off', false); end $$;",
    "from a row": "do $$ declare r record; begin for r in select * from names loop "
    "perform set_config(r.name, 'off', false); end loop; end $$;",
    "a function": "create function f() returns text language sql as "
    "$$ select set_config('standard_conforming' || '_strings', 'off', false) $$; select f();",
}
AROUND = {
    "batch": "{0} {1}",
    "plain": "begin; {0} savepoint a; {1} commit;",
    "time limit": "set statement_timeout = '9s'; {0} {1}",
    "enum": "create type e as enum ('a'); alter type e add value 'b'; {0} {1} create table t3 (a e default 'b');",
    "later step": "{0} create index concurrently on t1 (v); {1}",
    "committing block": "do $$ begin commit; end $$; {0} {1}",
}


@pytest.mark.parametrize(("around", "turn_off"), sampled(product(AROUND, TURN_OFF), 4))
def test_a_statement_that_turns_strings_over_fails(site, around, turn_off):
    """However it names the setting: what comes after it would be read otherwise than it was checked."""
    history(site, m1_a="create table t1 (v text); create table t2 (id int); insert into t2 values (1);")
    site.write("sql/2_names.sql", "create table names as select 'standard_conforming_strings' as name;")
    site.apply()
    site.write("sql/3_s.sql", AROUND[around].format(TURN_OFF[turn_off], ATTACK))
    try:
        error = site.fails().error
        assert isinstance(error, MigrationFailed)
        assert "standard_conforming_strings" in error.message
    except MigrationInvalid as invalid:
        assert around == "later step"
        assert "isn't known before it runs" in str(invalid.problems)
    assert "t2" in tables(site)


CHANGE_PATH = {
    "function": "select use_a();",
    "insert": "insert into public.t1 select use_a();",
    "create table as": "create table public.q as select use_a() as v;",
    "default": "alter table public.t1 alter v set default use_a(); insert into public.t1 default values;",
    "trigger": "create function public.trg() returns trigger language plpgsql as $$ begin perform use_a(); "
    "return new; end $$; create trigger trg before insert on public.t1 for each row execute function public.trg(); "
    "insert into public.t1 values ('a');",
    "view": "create view public.w as select use_a() as v; select * from public.w;",
    "pg_settings": "update pg_settings set setting = 'a' where name = 'search_path';",
    "local": "select set_locally();",
}


@pytest.mark.parametrize(("plain", "change"), sampled(product([False, True], CHANGE_PATH), 3))
def test_a_step_may_not_need_what_only_the_session_knows(site, change, plain):
    """psql would create t3 in schema a. Each step has its own session, and the text doesn't say what it begins with."""
    history(
        site,
        m1_a="create table t1 (v text); create schema a; create function use_a() returns text language sql as "
        "$$ select set_config('search_path', 'a', false) $$; create function set_locally() returns text language sql "
        "as $$ select set_config('search_path', 'a', true) $$;",
    )
    site.apply()
    first = f"begin; savepoint s; {CHANGE_PATH[change]} commit;" if plain else CHANGE_PATH[change]
    site.write(
        "sql/2_b.sql", f"{first} create index concurrently on public.t1 (v); create table t3 (id int);"
    )
    try:
        error = site.fails().error
        assert isinstance(error, MigrationFailed)
        assert "changes search_path in this step" in error.message
    except MigrationInvalid as invalid:
        assert "isn't known before it runs" in str(invalid.problems)
    assert tables(site) == {"t1"}
    # What SET says is carried, and what the step undoes itself is no change.
    site.write(
        "sql/2_b.sql",
        f"{CHANGE_PATH[change]} set search_path = public; create index concurrently on t1 (v); create table t3 (id int);",
    )
    site.apply()
    assert {"t1", "t3"} <= tables(site)
