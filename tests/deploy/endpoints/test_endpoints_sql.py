"""Every kind of SQL endpoint applies the same migrations with the same result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from started_platform import RunningPlatform

from mosaic_deploy.deploy.rehearsal import rehearse
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.event import ApplyDone, ApplyFailed
from tests.deploy.conftest import Site
from tests.sampling import sampled

VARIANTS = [
    "one-statement,wrapped,other-connection",
    "one-statement",
    "shared-session",
    "wrapped",
    "shared-session,wrapped",
    "other-connection",
]


@pytest.fixture(scope="module", params=sampled(VARIANTS, 3))
def variant(request, platform_with) -> tuple[str, RunningPlatform]:
    return request.param, platform_with(request.param)


@pytest.fixture
def there(variant, tmp_path, monkeypatch) -> Iterator[Site]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "site").mkdir()
    _, running = variant
    with Api(running.url, ApiKey(running.api_key)) as api:
        yield Site(tmp_path / "site", api, tmp_path.name)


FILES = {
    "1_t.sql": "create table t (id int primary key);\ninsert into t values (1);",
    "2_path.sql": "create schema s; set search_path = s; create table inside (id int);",
    "3_into.sql": "insert into t values (2); select id as n into copied from t;",
    "4_savepoint.sql": "savepoint a; insert into t values (3); release a;",
    "5_lock.sql": "lock table t in exclusive mode; insert into t values (4);",
    "6_empty.sql": "-- nothing",
    "7_function.sql": "create function f() returns int language sql begin atomic select 1; select 2; end;",
    "8_enum.sql": "create type e as enum ('a'); alter type e add value 'b';",
    "9_last.sql": "insert into t values (f() + 3);",
}


def test_a_history(there):
    for name, text in FILES.items():
        there.write(f"sql/{name}", text)
    there.write("www/index.html", "<p>hello")
    there.manifest(
        database={"migrations": "sql"}, static={"dir": "www"}, auth={"magic_link": {"redirect_url": "/"}}
    )
    there.apply()
    assert [row["id"] for row in there.sql("select id from t order by id")] == [1, 2, 3, 4, 5]
    assert there.sql("select count(*)::int as n from copied") == [{"n": 2}]
    assert there.sql("select to_regclass('s.inside') is not null as there") == [{"there": True}]


def test_a_failure_keeps_earlier_migrations(there):
    there.write("sql/1_a.sql", "create table a (id int);")
    there.write("sql/2_b.sql", "create table b (id int);\nselect 1/0;")
    there.manifest(database={"migrations": "sql"})
    error = there.fails().error
    assert (str(error.location), error.sqlstate) == ("sql/2_b.sql:2:1", "22012")
    found = there.sql("select to_regclass('a') is not null as a, to_regclass('b') is not null as b")
    assert found == [{"a": True, "b": False}]
    there.write("sql/2_b.sql", "create table b (id int);")
    there.apply()


def test_a_refused_copy_row_is_located(there):
    there.write("sql/1_t.sql", "create table t (id int unique);\ncopy t from stdin;\n1\n2\n1\n\\.\n")
    there.manifest(database={"migrations": "sql"})
    error = there.fails().error
    assert (str(error.location), error.sqlstate, error.detail) == (
        "sql/1_t.sql:5:1", "23505", "Key (id)=(1) already exists.",
    )  # fmt: skip


def test_outside_a_transaction(there, variant):
    there.write("sql/1_t.sql", "create table t (id int); create index concurrently i on t (id); vacuum t;")
    there.manifest(database={"migrations": "sql"})
    last = there.run()[-1]
    if "wrapped" in variant[0]:
        assert isinstance(last, ApplyFailed)
        assert last.error.sqlstate == "25001"
        assert "each request in a transaction" in str(last.error.hint)
        return
    assert there.plan().plan.changes == ()
    assert there.sql("select indisvalid as v from pg_index where indexrelid = 'i'::regclass") == [{"v": True}]


SESSION = {
    "1_live.sql": "create schema a; create schema b; create table a.t (id int); create table b.t (id int);"
    "create table t (id int); create type a.mood as enum ('calm'); create table a.m (mood a.mood);",
    "2_enum.sql": "set search_path = a; alter type mood add value 'ok'; insert into m values ('ok');",
    "3_begin.sql": "set search_path = b; set my.word = 'w'; begin; insert into t values (3);"
    " create table word as select current_setting('my.word') as said; commit; select 1 as n into made;",
    "4_limit.sql": "select set_config('search_path', 'a', false); set statement_timeout = '1min'; insert into t values (4);",
    "5_temporary.sql": "create temp table t (id int); insert into t values (5); prepare q as select 1; set search_path = b;",
    "6_after.sql": "prepare q as select 2; insert into t values (6); savepoint s; release s;",
}


@pytest.mark.parametrize("limit", [{}, {"statement_timeout": "20s"}], ids=["untimed", "timed"])
def test_a_files_session_ends_with_it(there, limit):
    """Each file has its settings in every step, and the next file, on the same connection or not, has none of them."""
    there.manifest(database={"migrations": "sql", **limit})
    for name, text in SESSION.items():
        there.write(f"sql/{name}", text)
    there.apply()
    rows = "select 'a' as t, id from a.t union all select 'b', id from b.t union all select 'public', id from public.t"
    assert there.sql(f"{rows} order by 1, 2") == [
        {"t": t, "id": n} for t, n in (("a", 4), ("b", 3), ("public", 6))
    ]
    assert there.sql("select mood::text as m, said, n from a.m, b.word, b.made") == [
        {"m": "ok", "said": "w", "n": 1}
    ]
    shown = there.sql(
        "select current_setting('search_path') as path, current_setting('statement_timeout') as limit"
    )
    assert shown == [{"path": '"$user", public', "limit": "5min"}]


def test_settings_of_a_procedure_that_fails_do_not_stay(there, variant):
    """It has committed, and with that its settings, on a connection that others may get."""
    there.write(
        "sql/1_live.sql",
        "create schema a; create procedure p() language plpgsql as $$ begin commit; raise 'no'; end $$;",
    )
    there.manifest(database={"migrations": "sql"})
    there.apply()
    there.write("sql/2_call.sql", "set search_path = a, public;\ncall p();")
    assert str(there.fails().error.location) == "sql/2_call.sql:2:1"
    there.sql("delete from mosaic_deploy.migrations where version = '2'")
    there.write("sql/2_call.sql", "create table made (id int);")
    there.apply()
    assert there.sql("select to_regclass('public.made') is not null as there") == [{"there": True}]


COMMITTING = {
    "call": "create procedure p() language plpgsql as $$ begin {body} end $$;\ncall p();",
    "do": "do $$ begin {body} end $$;",
}


@pytest.mark.parametrize("form", COMMITTING)
def test_settings_that_a_committing_block_makes_do_not_stay(there, variant, form):
    """In an endpoint that wraps requests it can't commit, and that is all: nothing is unknown, nothing is asked."""
    body = (
        "create table made (id int); commit; perform set_config('search_path', 'nowhere', false); "
        "set session default_transaction_read_only = on; set session statement_timeout = '1ms';"
    )
    there.write("sql/1_t.sql", "create table t (id int);")
    there.write("sql/2_p.sql", COMMITTING[form].format(body=body))
    there.write("sql/3_t.sql", "insert into t values (3); create table u (id int);")
    there.manifest(database={"migrations": "sql"})
    if "wrapped" in variant[0]:
        for _ in range(2):
            error = there.fails().error
            assert (error.sqlstate, error.location.file) == ("2D000", "sql/2_p.sql")
            assert error.mutation_state != "unknown"
            assert "runs each request in a transaction" in error.hint
            assert error.hint.endswith("or write it without COMMIT")
        assert there.sql("select to_regclass('public.made') as made") == [{"made": None}]
        return
    there.apply()
    there.write("sql/4_t.sql", "insert into t values (4);")
    there.apply()
    assert there.sql("select id from public.t order by id") == [{"id": 3}, {"id": 4}]


def test_settings_outside_a_transaction(there, variant):
    there.write("sql/1_live.sql", SESSION["1_live.sql"])
    there.write(
        "sql/2_alone.sql",
        "set search_path = a; create index concurrently i on t (id);\n"
        "do $$ begin insert into t values (2); commit; end $$;\ninsert into t values (3);",
    )
    there.manifest(database={"migrations": "sql"})
    last = there.run()[-1]
    if "wrapped" in variant[0]:
        assert isinstance(last, ApplyFailed)
        return
    assert there.sql("select schemaname as s from pg_indexes where indexname = 'i'") == [{"s": "a"}]
    assert [row["id"] for row in there.sql("select id from a.t order by 1")] == [2, 3]
    wrong = "create index concurrently j on t (id) where nothing() > 1;"
    there.write("sql/3_wrong.sql", f"set search_path = a;\n{wrong}")
    assert str(there.fails().error.location) == f"sql/3_wrong.sql:2:{wrong.index('nothing') + 1}"


def test_statements_with_a_time_limit(there, variant):
    there.write("sql/1_t.sql", "create table t (id int); insert into t values (1);")
    there.manifest(database={"migrations": "sql", "statement_timeout": "20s"})
    there.apply()
    assert there.sql("select id from t") == [{"id": 1}]


RUNTIME = {
    "set transaction": "set transaction isolation level repeatable read;\nselect 1;\n  select 1/0;",
    "select into": "select 1 as n into made;\n\nselect 1/0;",
    "in a select into": "create table u (id int);\nselect 1/0 as n into made;",
    "second select into": "select 1 as n into made;\nselect 1 as n into made;",
    "savepoint": "savepoint a;\nselect 1;\nrelease a;\nselect 1/0;",
    "enum": "create type e as enum ('a');\nalter type e add value 'b';\nselect 'b'::e;\nselect 1/0;",
    "unique": "create table u (id int primary key);\ninsert into u values (1);\ninsert into u values (1);",
    "cancelled": "select 1;\ndo $$ begin raise sqlstate '57014'; end $$;",
    "assert": "select 1;\ndo $$ begin assert false; end $$;",
}
PLACES = dict.fromkeys(RUNTIME, ":2:1") | {
    "set transaction": ":3:3",
    "select into": ":3:1",
    "second select into": ":2:20",
    "savepoint": ":4:1",
    "enum": ":4:1",
    "unique": ":3:1",
    "cancelled": ":2:7",
    "assert": ":2:7",
}


@pytest.mark.parametrize("limit", [{}, {"statement_timeout": "20s"}], ids=["untimed", "timed"])
def test_locations_of_runtime_errors(there, variant, limit):
    """PostgreSQL reports no position for these; the statement is known nevertheless."""
    there.write("sql/1_a.sql", "create table a (id int);")
    there.manifest(database={"migrations": "sql", **limit})
    there.apply()
    found = {}
    for what, text in RUNTIME.items():
        there.write("sql/2_wrong.sql", text)
        found[what] = str(there.fails().error.location).removeprefix("sql/2_wrong.sql")
    # An endpoint with one statement per request can't run SET TRANSACTION.
    untaken = {"set transaction": ":1:1"} if "one-statement" in variant[0] else {}
    assert found == PLACES | untaken


DEFERRED = """create table p (id int primary key);
create table c (p int references p deferrable initially deferred);
insert into c values (7);"""


@pytest.mark.parametrize("limit", [{}, {"statement_timeout": "20s"}], ids=["untimed", "timed"])
def test_a_deferred_constraint_is_located_by_file(there, limit):
    there.write("sql/1_a.sql", "create table a (id int);")
    there.write("sql/2_c.sql", DEFERRED)
    there.write("sql/3_b.sql", "create table b (id int);")
    there.manifest(database={"migrations": "sql", **limit})
    failed = there.fails()
    assert (failed.failed, failed.error.code) == ("migration:2_c.sql", "migration_failed")
    assert (str(failed.error.location), failed.error.sqlstate) == ("sql/2_c.sql", "23503")
    there.write("sql/2_c.sql", f"{DEFERRED} insert into p values (7);")
    there.apply()


def test_statement_timeout(there, variant):
    there.write("sql/1_a.sql", "select 1;\nselect pg_sleep(20);")
    there.manifest(database={"migrations": "sql", "statement_timeout": "100ms"})
    if "one-statement" in variant[0]:
        return
    error = there.fails().error
    assert (str(error.location), error.sqlstate) == ("sql/1_a.sql:2:1", "57014")


def test_single_transaction(there):
    there.write("sql/1_a.sql", "create table a (id int);")
    there.write("sql/2_b.sql", "select 1/0;")
    there.manifest(database={"migrations": "sql", "transaction": "all"})
    there.fails()
    assert there.sql("select to_regclass('a') is null as gone") == [{"gone": True}]
    there.write("sql/2_b.sql", "select 1;")
    there.apply()


def test_a_rehearsed_plan(there, platform):
    """It is rehearsed on another platform."""
    there.deploy_sql("create table t (id int primary key);")
    files = {
        "2_a.sql": "alter table t add a int;",
        "3_b.sql": "alter table t add b int;",
        "4_c.sql": "savepoint x; alter table t add c int;",
    }
    for name, text in files.items():
        there.write(f"sql/{name}", text)
    with Api(platform.url, ApiKey(platform.api_key)) as stage:
        planned = rehearse(there.api, stage, there.plan(), "mosaic-deploy plan")
    rehearsal = planned.plan.rehearsal
    assert rehearsal is not None
    assert not rehearsal.not_rehearsed, rehearsal
    there.sql("alter table t add by_hand int")
    assert there.run(planned)[-1].error.code == "schema_changed"
    there.sql("alter table t drop by_hand")
    again = there.plan()
    last = there.run(replace(again, plan=replace(again.plan, rehearsal=rehearsal)))[-1]
    assert isinstance(last, ApplyDone), last.error
