"""What PostgreSQL says about a migration reaches the user: notices, rows, times, and the line of an error in a body."""

from __future__ import annotations

import contextlib
import json
import threading

import httpx
import pytest

from mosaic_deploy.errors import SqlFailed
from mosaic_deploy.live.database import progress
from mosaic_deploy.live.ledger.deploys import read_deploys
from mosaic_deploy.model.event import (
    ApplyDone,
    ChangeDone,
    ChangeStarted,
    Event,
    Noted,
    StepDone,
    StillRunning,
)

# Each way that a migration is sent: many per request, one by one as plain statements, outside a transaction.
CARRIERS = {"batch": {}, "plain": {"statement_timeout": "20s"}}


def _migrations(site, files: dict[str, str], **database: object) -> None:
    for name, text in files.items():
        site.write(f"sql/{name}", text)
    site.manifest(database={"migrations": "sql", **database})


def _done(events) -> dict[str, ChangeDone]:
    assert isinstance(events[-1], ApplyDone), events[-1]
    return {
        event.change.address.partition(":")[2]: event
        for event in events
        if isinstance(event, ChangeDone) and event.steps
    }


@pytest.mark.parametrize("carrier", CARRIERS)
def test_rows_and_notices_are_those_of_each_migration(site, carrier) -> None:
    files = {
        "1_t.sql": "create table t (id int); insert into t select generate_series(1, 5); insert into t values (6);",
        "2_n.sql": "set client_min_messages = warning; do $$ begin raise notice 'no'; raise warning 'w'; end $$;",
        "3_u.sql": "update t set id = id + 10 where id > 2; delete from t where id < 2; drop table if exists nope;",
        "4_c.sql": "with new as (select 1) insert into t select * from new; create table c as select * from t;",
        "5_m.sql": "merge into t using c on false when not matched then insert values (1);",
        "6_e.sql": "create index t_id on t (id);",
    }
    _migrations(site, files, **CARRIERS[carrier])
    reports = {
        name: [(one.rows, [n.message for n in one.notices]) for one in event.steps]
        for name, event in _done(site.run()).items()
    }
    assert reports == {
        "1_t.sql": [({"inserted": 6}, [])],
        "2_n.sql": [({}, ["w"])],
        "3_u.sql": [({"updated": 4, "deleted": 1}, ['table "nope" does not exist, skipping'])],
        "4_c.sql": [({"inserted": 7}, [])],
        "5_m.sql": [({"merged": 6}, [])],
        "6_e.sql": [({}, [])],
    }


def test_times_of_a_file_in_steps_cover_all_its_steps(site) -> None:
    text = "create table t (id int); select pg_sleep(0.4);\ncreate index concurrently i on t (id);\nselect pg_sleep(0.2);"
    _migrations(site, {"1_t.sql": text, "2_u.sql": "create table u (id int);"})
    events = site.run()
    first, second = _done(events).values()
    assert first.seconds >= 0.6 > second.seconds
    assert [one.seconds >= least for one, least in zip(first.steps, (0.4, 0.0, 0.2), strict=True)] == [
        True
    ] * 3
    assert [(e.number, e.total) for e in events if isinstance(e, StepDone)] == [(1, 3), (2, 3)]


@pytest.mark.parametrize("carrier", CARRIERS)
def test_an_error_in_a_body_is_at_its_line(site, carrier) -> None:
    text = (
        "create table t (id int);\ncreate function f(a int) returns int language plpgsql as $$\nbegin\n"
        "  insert into t values (a / 0);\n  return 1;\nend $$;\n"
        "do $$\nbegin\n  raise notice 'so far';\n  perform f(1);\nend $$;\n"
    )
    _migrations(site, {"1_t.sql": text}, **CARRIERS[carrier])
    error = site.fails().error
    assert (error.location.file, error.location.line, error.location.column) == ("sql/1_t.sql", 4, 3)
    assert error.calls == (
        "PL/pgSQL function f(integer) line 3 at SQL statement",
        "PL/pgSQL function inline_code_block line 4 at PERFORM",
    )
    assert error.notices == ("NOTICE: so far",)


def test_an_error_in_a_body_outside_a_transaction_is_at_its_line(site) -> None:
    text = "set work_mem = '8MB';\ndo $$\nbegin\n  commit;\n  raise exception 'no';\nend $$;"
    _migrations(site, {"1_t.sql": text})
    error = site.fails().error
    assert (error.location.line, error.location.column) == (5, 3)
    assert error.calls == ("PL/pgSQL function inline_code_block line 4 at RAISE",)


def test_the_block_that_carries_a_call_is_not_part_of_the_error(site) -> None:
    text = "create procedure p() language plpgsql as $$ begin perform 1 / 0; end $$;\ncall p();"
    _migrations(site, {"1_t.sql": text})
    assert site.fails().error.calls == ("PL/pgSQL function p() line 1 at PERFORM",)


def test_seeds_report_their_rows(site) -> None:
    site.write("sql/1_t.sql", "create table t (id int);")
    site.write("seed.sql", "insert into t values (1), (2);")
    site.manifest(database={"migrations": "sql", "seeds": ["seed.sql"]})
    assert _done(site.run())["seed.sql"].steps[0].rows == {"inserted": 2}


class _WithoutNotices(httpx.HTTPTransport):
    """An endpoint that returns rows only."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        response.read()
        document = json.loads(response.content) if request.url.path.endswith("/sql") else {}
        if "notices" not in document:
            return response
        return httpx.Response(200, json={"success": True, "rows": document["rows"]})


def test_an_endpoint_that_drops_notices_is_reported_once(site, api_over) -> None:
    _migrations(site, {"1_t.sql": "create table t (id int);", "2_i.sql": "insert into t values (1);"})
    events = site.run(api=api_over(_WithoutNotices()))
    done = _done(events)
    assert [len(event.steps) for event in done.values()] == [1, 1]
    assert [e.note.code for e in events if isinstance(e, Noted) and e.note.code == "notices_dropped"] == [
        "notices_dropped"
    ]


def test_progress_of_a_long_step_is_reported(site, monkeypatch) -> None:
    monkeypatch.setattr(progress, "FIRST_REPORT", 0.1)
    _migrations(site, {"1_t.sql": "create table t (id int);"})
    site.apply()
    _migrations(site, {"2_i.sql": "create index concurrently i on t (id);"})
    _, reports = _run_behind_a_writer(
        site, lambda running: running.phase == "waiting for writers before build"
    )
    assert {running.file for running in reports} == {"2_i.sql"}
    assert "waiting for writers before build" in {running.phase for running in reports}


def test_the_file_that_runs_is_reported_if_several_are_sent_together(site, monkeypatch) -> None:
    monkeypatch.setattr(progress, "FIRST_REPORT", 0.1)
    _migrations(site, {"1_t.sql": "create table t (id int);"})
    site.apply()
    waiting = "lock table t in exclusive mode;"
    _migrations(site, {"2_a.sql": "select 1;", "3_b.sql": "select 2;", "4_c.sql": waiting})
    events, reports = _run_behind_a_writer(site, lambda running: running.file == "4_c.sql")
    assert reports[-1].file == "4_c.sql"
    started = [event.change.address for event in events if isinstance(event, ChangeStarted)]
    assert started == ["migration:2_a.sql"]


def _run_behind_a_writer(site, is_reached) -> tuple[list[Event], list[StillRunning]]:
    """Applies while another session writes to `t`, until `is_reached` of a report. Returns events and reports."""
    reports: list[StillRunning] = []
    planned, project = site.plan(), site.project_id

    def write_and_wait() -> None:
        with contextlib.suppress(SqlFailed):  # it is cancelled
            site.api.sql(project, "do $$ begin insert into t values (1); perform pg_sleep(60); end $$")

    def report(running: StillRunning) -> None:
        reports.append(running)
        if is_reached(running):
            site.api.sql(
                project,
                "select pg_cancel_backend(pid) from pg_stat_activity "
                "where query like '%pg_sleep(60)%' and pid <> pg_backend_pid()",
            )

    writer = threading.Thread(target=write_and_wait)
    writer.start()
    while not site.sql("select from pg_locks where relation = 't'::regclass and mode = 'RowExclusiveLock'"):
        assert writer.is_alive()
    events = site.run(planned, on_running=report)
    assert isinstance(events[-1], ApplyDone), events[-1]
    writer.join()
    return events, reports


def test_the_history_keeps_rows_notices_and_times(site) -> None:
    text = "create table t (id int); insert into t values (1); do $$ begin for i in 1 .. 25 loop raise notice '%', i; end loop; end $$;"
    _migrations(site, {"1_t.sql": text, "2_bad.sql": "select 1/0;"})
    site.fails()
    [deploy] = read_deploys(site.api, site.project_id, 5)
    found = deploy.sql["migration:1_t.sql"]
    assert (found["steps"], found["rows"], found["notices_omitted"]) == (1, {"inserted": 1}, 5)
    assert found["notices"][:2] == ["NOTICE: 1", "NOTICE: 2"]
    assert found["seconds"] >= 0
    assert list(deploy.sql) == ["migration:1_t.sql"]
