"""Statements outside a transaction whose response is lost, on a server that finishes them."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from mosaic_deploy.errors import LockLost, ResponseInvalid
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.outside_transaction import run_outside_transaction
from mosaic_deploy.model.event import ApplyDone, ApplyFailed
from mosaic_deploy.sql.execution.outside_transaction import compile_completion
from mosaic_deploy.sql.execution.split import split_steps
from mosaic_deploy.sql.execution.step import SqlSession, Step
from mosaic_deploy.sql.parse import parse
from tests.deploy.conftest import Site
from tests.deploy.faults import Dying, Finishing, LosingAnswers, is_sql
from tests.sampling import sampled


@pytest.fixture
def table(site):
    site.write(
        "sql/1_t.sql", "create table t (id int); create index old on t (id); create table other (id int);"
    )
    site.manifest(database={"migrations": "sql"})
    site.apply()
    return site


def blocked(site, seconds: float, sql: str = "insert into t values (99)") -> threading.Thread:
    """A transaction that makes concurrent index builds wait."""
    project = site.project_id
    block = f"do $$ begin {sql}; perform pg_sleep({seconds}); end $$"
    thread = threading.Thread(target=lambda: site.api.sql(project, block))
    thread.start()
    time.sleep(0.3)
    return thread


def sent(transport: Finishing) -> list[str]:
    """The statements about indexes that were sent, without queries that mention them."""
    queries = [json.loads(request.content)["query"] for request in transport.sent if is_sql(request)]
    return [query for query in queries if re.match(r"(create|drop|reindex)\b", query, re.IGNORECASE)]


LOST = {
    "create": "create index concurrently i on t (id);",
    "create if not exists": "create index concurrently if not exists i on t (id);",
    "unique": "create unique index concurrently i on t (id);",
    "drop": "drop index concurrently old;",
    "reindex": "reindex index concurrently old;",
}


@pytest.mark.parametrize("what", LOST)
def test_a_statement_that_is_still_running_is_waited_for(table, api_over, what):
    """As behind a gateway with a time limit. It is sent once, and what it builds is neither dropped nor built again."""
    table.write("sql/2_b.sql", LOST[what])
    planned = table.plan()
    blocker = blocked(table, 1.5)
    transport = Finishing(lambda request: is_sql(request, "index concurrently "))
    last = table.run(planned, api=api_over(transport))[-1]
    blocker.join()
    transport.join()
    assert isinstance(last, ApplyDone), last
    assert [response.status_code for response in transport.responses] == [200], (
        "the first one wasn't disturbed"
    )
    # REINDEX is harmless twice, and its effect can't be seen, so it is sent again.
    assert sent(transport) == [LOST[what].rstrip(";")] * (2 if what == "reindex" else 1)
    assert table.plan().plan.changes == ()
    invalid = "select count(*)::int as n from pg_index where not indisvalid"
    assert table.sql(invalid) == [{"n": 0}]


@pytest.mark.parametrize("what", ["create", "drop"])
def test_the_next_run_waits_for_a_statement_of_a_crashed_one(table, api_over, what):
    table.write("sql/2_b.sql", LOST[what])
    planned = table.plan()
    blocker = blocked(table, 2)

    class Crashing(Finishing):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if self._threads:
                raise httpx.ConnectError("the machine is gone", request=request)
            return super().handle_request(request)

    crashed = Crashing(lambda request: is_sql(request, "index concurrently "))
    assert isinstance(table.run(planned, api=api_over(crashed))[-1], ApplyFailed)
    table.sql("update mosaic_deploy.lease set expires_at = now()")
    table.apply()
    blocker.join()
    crashed.join()
    assert [response.status_code for response in crashed.responses] == [200]


def test_an_index_to_drop_that_never_was_is_an_error_every_time(table):
    table.write("sql/2_b.sql", "drop index concurrently missing;")
    for _ in range(2):
        assert table.fails().error.sqlstate == "42704"


CALLS = {
    "call": "call p();",
    "do": "do $$ begin insert into t values (1); commit; end $$;",
}


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize(
    "loses", [LosingAnswers, lambda lose: Dying(0, lose, after=True)], ids=["once", "dead"]
)
def test_a_statement_that_was_never_sent_is_not_asked_about(
    table, api_over, what, loses: Callable[..., object]
):
    """The response to the note before it is lost."""
    table.write(
        "sql/2_p.sql",
        "create procedure p() language plpgsql as $$ begin insert into t values (1); commit; end $$;",
    )
    table.apply()
    table.write("sql/3_c.sql", CALLS[what])
    transport = loses(lambda request: is_sql(request, "mosaic_claim"))
    last = table.run(api=api_over(transport))[-1]
    if isinstance(transport, Dying):
        # The platform is gone, so the note stays, and the next run has to ask.
        assert isinstance(last, ApplyFailed)
        return
    assert isinstance(last, ApplyDone), last
    assert table.sql("select id from t") == [{"id": 1}]


def test_a_note_that_is_lost_every_time_is_withdrawn(table, api_over):
    table.write(
        "sql/2_p.sql",
        "create procedure p() language plpgsql as $$ begin insert into t values (1); commit; end $$;",
    )
    table.apply()
    table.write("sql/3_c.sql", "call p();")

    class Losing(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = super().handle_request(request)
            if is_sql(request, "mosaic_claim"):
                response.read()
                raise httpx.ReadError("reset", request=request)
            return response

    assert isinstance(table.run(api=api_over(Losing()))[-1], ApplyFailed)
    table.apply()
    assert table.sql("select id from t") == [{"id": 1}]


def step(text: str) -> Step:
    [step] = split_steps(parse(text))
    return Step("77", "77_x.sql", "c", "s", "", text, 1, 1, step)


def recorded(table, project: str) -> list[dict[str, object]]:
    return table.api.sql(project, "select steps_done from mosaic_deploy.migrations where version = '77'")


def take_lease(table, token: str, minutes: int = 1) -> None:
    table.sql(
        "insert into mosaic_deploy.lease (holder, token, acquired_at, expires_at) "
        f"values ('h', '{token}', now(), now() + interval '{minutes} minute')"
    )


@pytest.mark.parametrize(
    ("token", "text", "error"),
    [
        ("other", "create index concurrently old on t (id)", "lease_expired"),
        ("other", "vacuum t", "lease_expired"),
        ("mine", "create index concurrently nowhere on t (id)", "index_missing"),
        ("mine", "create index concurrently if not exists nowhere on t (id)", "index_missing"),
        ("mine", "create index concurrently old on t (id)", None),
        ("mine", "vacuum t", None),
    ],
)
def test_the_end_of_a_step_is_recorded_only_with_the_lease_and_its_index(table, token, text, error):
    project = table.project_id
    take_lease(table, token)
    query = compile_completion(step(text), SqlSession("mine", "d"))
    if error is None:
        table.sql(query)
        assert recorded(table, project) == [{"steps_done": 1}]
    else:
        with pytest.raises(Exception, match=error):
            table.sql(query)
        assert recorded(table, project) == []


def test_the_end_of_a_step_is_recorded_if_nobody_took_the_expired_lease(table):
    project = table.project_id
    take_lease(table, "mine", minutes=-1)
    table.sql(compile_completion(step("vacuum t"), SqlSession("mine", "d")))
    assert recorded(table, project) == [{"steps_done": 1}]


def test_a_deploy_that_lost_its_lease_stops_waiting(table, api_over):
    take_lease(table, "mine")
    project = table.project_id
    blocker = blocked(table, 2)
    transport = Finishing(lambda request: is_sql(request, "create index concurrently"))

    def lose_lease(_: float) -> None:
        table.api.sql(project, "update mosaic_deploy.lease set token = 'other'")

    with pytest.raises(LockLost):
        run_outside_transaction(
            api_over(transport),
            project,
            step("create index concurrently i on t (id)"),
            SqlSession("mine", "d"),
            lose_lease,
        )
    blocker.join()
    transport.join()
    assert recorded(table, project) == [{"steps_done": 0}]


@pytest.mark.parametrize(
    "facts",
    [
        '{"code":"statement_failed","version":"9","step":1,"statement":1}',
        '{"code":"statement_failed","version":"2","step":7,"statement":1}',
        '{"code":"statement_failed","version":"2","step":1,"statement":5}',
        '{"code":"statement_failed","version":"2","step":1,"statement":-1}',
        '{"code":"step_applied","version":"9","step":1}',
    ],
)
@pytest.mark.parametrize("limit", [{}, {"statement_timeout": "20s"}], ids=["batch", "plain"])
def test_an_error_about_a_step_that_was_not_sent(table, api_over, facts, limit):
    table.write("sql/2_b.sql", "select 1;")
    table.manifest(database={"migrations": "sql", **limit})

    class Confused(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if is_sql(request, "mosaic_batch") or is_sql(request, "mosaic_guard"):
                error = {"code": "sql_error", "message": f"mosaic-deploy:{facts}"}
                return httpx.Response(400, json={"success": False, "error": error}, request=request)
            return super().handle_request(request)

    error = table.run(api=api_over(Confused()))[-1].error
    assert isinstance(error, ResponseInvalid)
    assert error.mutation_state == "unknown"
    table.apply()


@pytest.fixture
def finishing(platform_with) -> Iterator[Api]:
    running = platform_with("finishing")
    with Api(running.url, ApiKey(running.api_key)) as api:
        yield api


def test_an_endpoint_that_finishes_what_its_client_left(finishing, tmp_path, monkeypatch):
    """A real one: the client gives up while the index is built, and the next run finds it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    site = Site(tmp_path, finishing, "site")
    site.write("sql/1_t.sql", "create table t (id int);")
    site.manifest(database={"migrations": "sql"})
    site.apply()
    site.write("sql/2_b.sql", LOST["create"])
    planned = site.plan()
    blocker = blocked(site, 2.5)

    class Impatient(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if is_sql(request, '"create index concurrently'):
                # A copy: the client shares one between all its requests.
                request.extensions["timeout"] = {**request.extensions["timeout"], "read": 0.5}
            return super().handle_request(request)

    with Api(finishing.url, finishing.key, transport=Impatient()) as api:
        last = site.run(planned, api=api)[-1]
    blocker.join()
    assert isinstance(last, ApplyDone), last
    assert site.sql("select indisvalid as v from pg_index where indexrelid = 'i'::regclass") == [{"v": True}]


def test_the_error_that_left_the_outcome_unknown_is_kept(table):
    table.write("sql/2_b.sql", "do $$ begin commit; perform pg_terminate_backend(pg_backend_pid()); end $$;")
    messages = [table.fails().error.message for _ in range(2)]
    assert messages[0].startswith(
        "step 1 of 1 was sent and failed (run SQL: lost the connection to the database"
    )
    assert "terminating connection due to administrator command" in messages[0]
    assert messages[1].startswith("step 1 of 1 was begun before, and it isn't known")


STATEMENTS = {**LOST, "batch": "insert into t values (7);"}


@pytest.mark.parametrize("what", sampled(STATEMENTS, 2))
@pytest.mark.parametrize("times", [1, 99], ids=["once", "always"])
def test_an_internal_error_after_the_statement_took_effect(table, api_over, what, times):
    """It isn't PostgreSQL's refusal, so nothing is called rolled back, and the next run finishes."""
    table.write("sql/2_b.sql", STATEMENTS[what])
    left = [times]

    class Broken(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = super().handle_request(request)
            if (
                not (is_sql(request, " index concurrently ") or is_sql(request, "mosaic_batch"))
                or not left[0]
            ):
                return response
            left[0] -= 1
            response.read()
            error = {"code": "internal_error", "message": "worker crashed"}
            return httpx.Response(500, json={"success": False, "error": error}, request=request)

    last = table.run(api=api_over(Broken()))[-1]
    if times == 1:
        assert isinstance(last, ApplyDone), last
    elif isinstance(last, ApplyFailed):
        state = "committed" if what == "batch" else "unknown"
        assert (last.error.code, last.error.mutation_state) == ("server_failed", state)
        table.sql("update mosaic_deploy.lease set expires_at = now()")
        table.apply()
    assert table.plan().plan.changes == ()
    if what == "batch":
        assert table.sql("select id from t") == [{"id": 7}]


class Wrapping(httpx.BaseTransport):
    """An endpoint that runs each request in a transaction, and reports PostgreSQL's messages without their SQLSTATE."""

    def __init__(self) -> None:
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if re.search(rb"(?i)\bcommit;", request.read()):
            return httpx.Response(400, json={"success": False, "error": "invalid transaction termination"})
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


def test_a_block_that_cant_commit_is_known_without_a_sqlstate(site, api_over):
    site.write("sql/1_p.sql", "do $$ begin commit; end $$;")
    site.manifest(database={"migrations": "sql"})
    for _ in range(2):
        error = site.run(site.plan(), api_over(Wrapping()))[-1].error
        assert error.hint.endswith("or write it without COMMIT")
        assert error.mutation_state != "unknown"
