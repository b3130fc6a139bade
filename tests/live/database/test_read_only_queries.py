"""Read-only queries on every kind of SQL endpoint, and attempts to write with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import httpx
import pytest
from started_platform import create_project

from mosaic_deploy.errors import OperationUnknown, SqlFailed
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.read_only import ReadResult, run_read_only
from mosaic_deploy.sql.parse import parse
from mosaic_deploy.sql.read_only import read_only_query

SETUP = """
create table t (id int primary key);
insert into t values (1), (2), (3);
create sequence s;
create function w_v() returns int language plpgsql volatile as
  $$ begin insert into public.t values (coalesce((select max(id) from public.t), 0) + 1); return 1; end $$;
create function w_i() returns int language plpgsql immutable as $$ begin return public.w_v(); end $$;
create function on_again() returns int language plpgsql as
  $$ begin set transaction read write; return public.w_v(); end $$;
create function set_again() returns int language plpgsql immutable as
  $$ begin perform set_config('transaction_read_only', 'off', true); return public.w_v(); end $$;
create function committing() returns int language plpgsql immutable as
  $$ begin commit; return public.w_v(); end $$;
create function undoing() returns int language plpgsql immutable as
  $$ begin begin set local transaction_read_only = off; exception when others then null; end;
     return public.w_v(); end $$;
create schema evil;
create function evil.row_number() returns bigint language plpgsql as $$ begin return public.w_v(); end $$;
create function evil.octet_length(text) returns int language plpgsql immutable as $$ begin return public.w_v(); end $$;
create function evil.said_on(text, text) returns boolean language plpgsql immutable as
  $$ begin return public.w_v() = 1; end $$;
create operator evil.= (leftarg = text, rightarg = text, function = evil.said_on);
create operator evil.<> (leftarg = text, rightarg = text, function = evil.said_on);
"""


@dataclass(frozen=True)
class There:
    variant: str
    api: Api
    project: str

    @property
    def one(self) -> bool:
        return "one-statement" in self.variant

    def ask(self, query: str, limit: int = 100, size: int | None = None) -> ReadResult:
        return run_read_only(self.api, self.project, read_only_query(query, limit, size))

    def ids(self) -> list[int]:
        return [row["id"] for row in self.api.sql(self.project, "select id from public.t order by id")]

    @contextmanager
    def set_for_new_connections(self, name: str, value: str) -> Iterator[bool]:
        """Yields whether it is certainly in effect: reused connections keep the old value."""
        database = self.api.sql(self.project, "select current_database() as n")[0]["n"]
        before = self.api.sql(self.project, f"show {name}")
        self.api.sql(self.project, f'alter database "{database}" set {name} = {value}')
        try:
            in_force = "other-connection" in self.variant
            assert not in_force or self.api.sql(self.project, f"show {name}") != before
            yield in_force
        finally:
            self.api.sql(self.project, f'alter database "{database}" reset {name}')


VARIANTS = ["", "one-statement", "wrapped", "other-connection", "one-statement,wrapped,other-connection"]


@pytest.fixture(scope="module", params=VARIANTS, ids=[each or "plain" for each in VARIANTS])
def there(request, platform_with) -> Iterator[There]:
    running = platform_with(request.param)
    project = create_project(running.url, running.api_key, "reading")
    with Api(running.url, ApiKey(running.api_key)) as api:
        made = There(request.param, api, project)
        setup = SETUP.replace("$$", "$b$")
        api.sql(project, f"do $do$ begin execute $all${setup}$all$; end $do$")
        yield made


ATTACKS = {
    "volatile": "select w_v()",
    "folded": "select w_i()",
    "folded in values": "values (w_i())",
    "folded in limit": "select 1 limit w_i()",
    "folded in offset": "select 1 offset w_i()",
    "folded in where": "select id from t where id = w_i()",
    "folded in with": "with a as (select w_i() as n) select * from a",
    "set transaction": "select on_again()",
    "set_config in a function": "select set_again()",
    "set_config beside": "select set_config('transaction_read_only', 'off', true), w_v()",
    "undone": "select undoing()",
    "commit": "select committing()",
    "nextval": "select nextval('s')",
    "setval": "select setval('s', 7)",
    "large object": "select lo_create(0)",
}


@pytest.mark.parametrize("query", ATTACKS.values(), ids=ATTACKS)
def test_nothing_is_written(there: There, query: str) -> None:
    with pytest.raises(SqlFailed) as failed:
        there.ask(query)
    # 25001: transaction read-write mode must be set before any query; 2D000: a function can't commit.
    assert failed.value.sqlstate in {"25006", "25001", "2D000"}, failed.value.message
    assert there.ids() == [1, 2, 3]
    assert there.api.sql(there.project, "select is_called from s") == [{"is_called": False}]


@pytest.mark.parametrize(
    "query", ["select w_i()", "select 1 limit w_i()", "values (w_i())", "insert into t values (w_i())"]
)
def test_explaining_writes_nothing(there: There, query: str) -> None:
    with pytest.raises((SqlFailed, OperationUnknown)) as refused:
        there.ask(f"explain {query}")
    assert there.ids() == [1, 2, 3]
    if there.one:
        assert "no read-only transactions" in refused.value.message
    else:
        assert refused.value.sqlstate == "25006"


@pytest.mark.parametrize("how", ["update", "no key update", "share", "key share"])
@pytest.mark.parametrize(
    "query", ["select * from t for {}", "select * from (select * from t for {}) as inner_one"]
)
def test_locking_reads_are_rejected(there: There, query: str, how: str) -> None:
    with pytest.raises(SqlFailed) as failed:
        there.ask(query.format(how))
    # As a single statement PostgreSQL rejects it earlier, because it isn't read-only.
    assert failed.value.sqlstate == ("0A000" if there.one else "25006")


def test_functions_and_operators_of_the_user_are_not_called(there: There) -> None:
    """A search path that hides PostgreSQL's functions."""
    with there.set_for_new_connections("search_path", "evil, public, pg_catalog") as in_force:
        assert there.ask("select 1 as a", size=1000) == ReadResult([{"a": 1}], 1)
        if in_force:
            with pytest.raises(SqlFailed) as failed:
                there.ask("select 'a'::text = 'b'::text")
            assert failed.value.sqlstate == "25006"
    assert there.ids() == [1, 2, 3]


def test_backslash_escapes(there: There) -> None:
    """To the parser it is one string; with this setting PostgreSQL would see COMMIT and DROP."""
    query = r"select 'a\'' as a; commit; drop table public.t; --'"
    with (
        there.set_for_new_connections("standard_conforming_strings", "off") as in_force,
        pytest.raises(SqlFailed) if in_force else suppress(SqlFailed),
    ):
        there.ask(query)
    assert there.ids() == [1, 2, 3]


def test_reading_queries_return_rows(there: There) -> None:
    assert there.ask("select id from t order by id desc", 2) == ReadResult([{"id": 3}, {"id": 2}], 2)
    assert there.ask("select id from t where false") == ReadResult([], 0)
    assert there.ask("select null as nothing").rows == [{"nothing": None}]
    assert there.ask("table t order by 1", 1).rows == [{"id": 1}]
    assert there.ask(r"select E'a\\b''\u0001é😀<&>]]>' as text -- end").rows == [
        {"text": "a\\b'\x01é😀<&>]]>"}
    ]
    assert there.ask("select 12345678901234567890.50 as n, 0.1::float8 as f").rows == [
        {"n": "12345678901234567890.50", "f": 0.1}
    ]
    assert there.ask("show transaction_read_only").rows == [{"transaction_read_only": "off"}]
    assert there.ask("select current_setting('transaction_read_only') as m").rows == [{"m": "on"}]


def test_explain(there: There) -> None:
    if there.one:
        with pytest.raises(OperationUnknown, match="no read-only transactions"):
            there.ask("explain select id from t")
    else:
        assert "QUERY PLAN" in there.ask("explain delete from t").rows[0]
        assert there.ids() == [1, 2, 3]


def test_rows_over_the_limit_are_not_sent(there: There) -> None:
    large = "select n, repeat('x', 1000000) as x from generate_series(1, 30) as n"
    found = there.ask(large, 20, 2_500_000)
    assert ([row["n"] for row in found.rows], found.total) == ([1, 2], 20)
    assert there.ask(large, 20, 1000) == ReadResult([], 20)


def test_what_a_read_only_transaction_allows(there: There) -> None:
    """As PostgreSQL documents. None of it writes."""
    assert there.ask("select pg_try_advisory_xact_lock(7) as held").rows == [{"held": True}]
    assert there.ask("select pg_terminate_backend(0) as ended").rows == [{"ended": False}]
    assert there.ask("select set_config('work_mem', '1MB', true) as set").rows == [{"set": "1MB"}]
    with pytest.raises(SqlFailed) as failed:
        there.ask("select * from dblink('', 'delete from t') as d(id int)")
    assert failed.value.sqlstate == "42883"


class _Splitting(httpx.BaseTransport):
    """A platform that runs the statements of a request one by one, and returns the rows of one."""

    def __init__(self, answered: int) -> None:
        self._answered = answered
        self._real = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answers = []
        for statement in parse(json.loads(request.read())["query"]):
            headers = {name: value for name, value in request.headers.items() if name != "content-length"}
            one = httpx.Request("POST", request.url, headers=headers, json={"query": statement.text})
            answer = self._real.handle_request(one)
            answer.read()
            answers.append(answer)
            if answer.status_code != 200:
                return answer
        return answers[self._answered]


class _AnsweringFirst(_Splitting):
    """A platform that runs them together, and returns the rows of the first: none."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._real.handle_request(request)
        answer.read()
        several = len(parse(json.loads(request.read())["query"])) > 1
        if several and answer.status_code == 200:
            return httpx.Response(200, json={"success": True, "data": []}, request=request)
        return answer


@pytest.mark.parametrize("transport", [_Splitting(-1), _Splitting(0), _AnsweringFirst(0)])
def test_endpoints_without_a_transaction_per_request(there: There, transport: httpx.BaseTransport) -> None:
    with Api(there.api.url, there.api.key, transport=transport) as api:
        split = There(there.variant, api, there.project)
        assert split.ask("select id from t order by id").rows == [{"id": 1}, {"id": 2}, {"id": 3}]
        for query in ("select w_i()", "values (w_v())", "select 1 limit w_i()"):
            with pytest.raises(SqlFailed) as failed:
                split.ask(query)
            assert failed.value.sqlstate == "25006"
        with pytest.raises((OperationUnknown, SqlFailed)):
            split.ask("explain select w_i()")
        with pytest.raises(OperationUnknown):
            split.ask("explain select 1")
    assert there.ids() == [1, 2, 3]


def test_later_requests_may_write(there: There) -> None:
    """The transaction was read-only, not the connection."""
    there.ask("select 1")
    there.api.sql(there.project, "insert into t values (99)")
    there.api.sql(there.project, "delete from t where id = 99")
    assert there.ids() == [1, 2, 3]
