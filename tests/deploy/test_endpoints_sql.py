"""SQL endpoints of every kind the documentation leaves open: each applies the same history to the same end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from started_platform import RunningPlatform, run_platform

from mosaic_deploy.live.client import Api, ApiKey
from mosaic_deploy.model.event import ApplyFailed
from tests.deploy.conftest import Site

VARIANTS = ["one-statement", "wrapped", "other-connection", "one-statement,wrapped,other-connection"]


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request, tmp_path_factory) -> Iterator[tuple[str, RunningPlatform]]:
    home = tmp_path_factory.mktemp("variant")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOSAIC_LOCAL_SQL", request.param)
        document = run_platform(home, "start")
    assert document["exit_code"] == 0, document
    yield request.param, RunningPlatform(document["url"], document["api_key"], home)
    assert run_platform(home, "reset")["exit_code"] == 0


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


def test_a_failure_keeps_what_came_before(there):
    there.write("sql/1_a.sql", "create table a (id int);")
    there.write("sql/2_b.sql", "create table b (id int);\nselect 1/0;")
    there.manifest(database={"migrations": "sql"})
    error = there.fails().error
    assert (str(error.location), error.sqlstate) == ("sql/2_b.sql:2:1", "22012")
    found = there.sql("select to_regclass('a') is not null as a, to_regclass('b') is not null as b")
    assert found == [{"a": True, "b": False}]
    there.write("sql/2_b.sql", "create table b (id int);")
    there.apply()


def test_outside_a_transaction(there, variant):
    there.write("sql/1_t.sql", "create table t (id int); create index concurrently i on t (id); vacuum t;")
    there.manifest(database={"migrations": "sql"})
    last = there.run()[-1]
    if "wrapped" in variant[0]:
        assert isinstance(last, ApplyFailed)
        assert last.error.sqlstate == "25001"
        assert "each call in a transaction" in str(last.error.hint)
        return
    assert there.plan().plan.changes == ()
    assert there.sql("select indisvalid as v from pg_index where indexrelid = 'i'::regclass") == [{"v": True}]


def test_statements_with_a_time_limit(there, variant):
    there.write("sql/1_t.sql", "create table t (id int); insert into t values (1);")
    there.manifest(database={"migrations": "sql", "statement_timeout": "20s"})
    there.apply()
    assert there.sql("select id from t") == [{"id": 1}]


def test_all_or_none(there):
    there.write("sql/1_a.sql", "create table a (id int);")
    there.write("sql/2_b.sql", "select 1/0;")
    there.manifest(database={"migrations": "sql", "transaction": "all"})
    there.fails()
    assert there.sql("select to_regclass('a') is null as gone") == [{"gone": True}]
    there.write("sql/2_b.sql", "select 1;")
    there.apply()
