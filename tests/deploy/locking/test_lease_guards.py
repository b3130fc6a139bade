"""What the database refuses a deploy whose lease has expired, and what concurrent writers can't break."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg
import pytest
from started_platform import RunningPlatform, create_project

from mosaic_deploy.errors import LockLost
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.failed_step import StepFailed
from mosaic_deploy.live.database.runner import MAX_LOCK_ATTEMPTS, MAX_STEPS_PER_CALL, Runner
from mosaic_deploy.live.ledger import rows
from mosaic_deploy.live.ledger.lease_sql import LeaseRequest, release_lease_sql
from mosaic_deploy.live.ledger.tables import install_sql
from mosaic_deploy.model.event import Waiting
from mosaic_deploy.model.snapshot import Object, ObjectState
from mosaic_deploy.sql.execution.batch import compile_batch
from mosaic_deploy.sql.execution.plain import compile_plain
from mosaic_deploy.sql.execution.records import record_failure_sql
from mosaic_deploy.sql.execution.split import split_steps
from mosaic_deploy.sql.execution.step import SqlSession, Step
from mosaic_deploy.sql.parse import parse

TOKEN = "guards"


@dataclass
class Bench:
    """A project with tracking tables, and a superuser's connection to its database."""

    api: Api
    project: str
    url: str
    admin: psycopg.Connection[tuple[object, ...]]
    pauses: list[float] = field(default_factory=list)

    def sql(self, query: str) -> list[dict[str, object]]:
        return self.api.sql(self.project, query)

    def lease(self, seconds: float) -> None:
        """Replaces the lease by one that expires after `seconds`, and forgets migrations and objects."""
        self.sql(
            "do $$ begin drop table if exists public.t, public.u cascade; delete from mosaic_deploy.migrations; "
            "delete from mosaic_deploy.objects; delete from mosaic_deploy.settings; delete from mosaic_deploy.lease; "
            "insert into mosaic_deploy.lease (holder, token, acquired_at, expires_at) "
            f"values ('{TOKEN}', '{TOKEN}', now(), now() + interval '{seconds} seconds'); end $$"
        )

    def run(self, steps: list[Step], *, single_transaction: bool = False, **session: str) -> list[object]:
        self.pauses = []
        runner = Runner(
            self.api,
            self.project,
            SqlSession(TOKEN, "deploy", **session),
            single_transaction=single_transaction,
            sleep=self.pauses.append,
        )
        return list(runner.run(steps))


@pytest.fixture(scope="module")
def bench(platform: RunningPlatform) -> Iterator[Bench]:
    state = json.loads((platform.home / "state.json").read_text())
    server = f"127.0.0.1:{state['postgres_port']}"
    project = create_project(platform.url, platform.api_key, "guards")
    with Api(platform.url, ApiKey(platform.api_key)) as api:
        api.sql(project, install_sql())
        url = str(api.call(endpoints.READ_CREDENTIALS, project=project)["database_url"])
        admin = f"postgresql://mosaic:{state['postgres_password']}@{server}/{url.rpartition('/')[2]}"
        with psycopg.connect(admin, autocommit=True) as connection:
            yield Bench(api, project, url, connection)


def steps_of(sql: str, version: int = 1) -> list[Step]:
    steps = split_steps(parse(sql))
    file = f"{version}_a.sql"
    return [
        Step(str(version), file, "c", "s", "", sql, number, len(steps), step)
        for number, step in enumerate(steps, 1)
    ]


WAYS: dict[str, tuple[str, dict[str, object]]] = {
    "batch": ("create table t (id int)", {}),
    "single transaction": ("create table t (id int)", {"single_transaction": True}),
    "plain": ("create table t (id int)", {"statement_timeout": "20s"}),
    "outside a transaction": ("create index concurrently i on u (id)", {}),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_step_is_refused_after_the_lease_has_expired(bench: Bench, way: str) -> None:
    """The row of the lease is still there, with the token: nobody has taken it over yet."""
    sql, options = WAYS[way]
    relations = "select relname from pg_class where relname in ('t', 'i')"
    bench.lease(-1)
    bench.sql("create table u (id int)")
    with pytest.raises(LockLost):
        bench.run(steps_of(sql), **options)
    assert bench.sql(relations) == []
    assert bench.sql("select version from mosaic_deploy.migrations") == []
    bench.sql("update mosaic_deploy.lease set expires_at = now() + interval '1 minute'")
    bench.run(steps_of(sql), **options)
    assert len(bench.sql(relations)) == 1


@pytest.mark.parametrize(("seconds", "begun"), [(-1, 1), (60, -1)])
def test_the_failure_of_a_step_is_recorded_only_under_the_lease(
    bench: Bench, seconds: int, begun: int
) -> None:
    bench.lease(seconds)
    bench.sql(
        "insert into mosaic_deploy.migrations (version, file, checksum, semantic_checksum, steps, steps_done, "
        "step_begun, source, deploy_id, applied_by) values (1, '1_a.sql', 'c', 's', 1, 0, 1, '', 'deploy', 'me')"
    )
    [step] = steps_of("vacuum")
    bench.sql(record_failure_sql(step, SqlSession(TOKEN, "deploy")))
    assert bench.sql("select step_begun as begun from mosaic_deploy.migrations") == [{"begun": begun}]


def test_nobody_takes_the_lease_while_the_failure_of_a_step_waits_for_its_row(bench: Bench) -> None:
    bench.lease(60)
    bench.sql(
        "insert into mosaic_deploy.migrations (version, file, checksum, semantic_checksum, steps, steps_done, "
        "step_begun, source, deploy_id, applied_by) values (1, '1_a.sql', 'c', 's', 1, 0, 1, '', 'deploy', 'me')"
    )
    [step] = steps_of("vacuum")
    record = record_failure_sql(step, SqlSession(TOKEN, "deploy"))
    with psycopg.connect(bench.url) as blocking:
        blocking.execute("select from mosaic_deploy.migrations for update")
        waiting = threading.Thread(target=bench.sql, args=(record,))
        waiting.start()
        while not blocking.execute("select 1 from pg_locks where not granted").fetchone():
            time.sleep(0.02)
        with psycopg.connect(bench.url) as other, pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("select from mosaic_deploy.lease for update nowait")
        blocking.commit()
        waiting.join()
    assert bench.sql("select step_begun as begun from mosaic_deploy.migrations") == [{"begun": -1}]


WRITES = {
    "upsert": rows.upsert_objects_sql(
        "static", [Object("a", "0" * 64, 2, ObjectState.LIVE), Object("b", "0" * 64, 2)], TOKEN, "deploy"
    ),
    "delete": rows.delete_objects_sql("static", ["a"], TOKEN),
    "setting": rows.write_setting_sql("auth.magic_link", {"x": 2}, TOKEN, "deploy"),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_to_the_ledger_needs_a_lease_that_has_not_expired(bench: Bench, write: str) -> None:
    everything = (
        "select (select json_agg(o order by path) from mosaic_deploy.objects o)::text as objects, "
        "(select json_agg(s) from mosaic_deploy.settings s)::text as settings"
    )
    bench.lease(-1)
    bench.sql(
        "insert into mosaic_deploy.objects (kind, path, sha256, size, state, deploy_id) "
        "values ('static', 'a', repeat('1', 64), 1, 'live', 'earlier')"
    )
    bench.sql(
        "insert into mosaic_deploy.settings (name, value, deploy_id) values ('auth.magic_link', '{}', 'earlier')"
    )
    before = bench.sql(everything)
    assert bench.sql(WRITES[write]) == [{"held": 0, "written": 0}]
    assert bench.sql(everything) == before
    bench.sql("update mosaic_deploy.lease set expires_at = now() + interval '1 minute'")
    [answer] = bench.sql(WRITES[write])
    assert answer["held"] == 1
    assert bench.sql(everything) != before


def test_a_digest_of_rows_that_change_meanwhile_is_not_saved(bench: Bench) -> None:
    """The statement that ends a deploy reads the rows, then waits for another writer."""
    bench.lease(60)
    bench.sql(
        "insert into mosaic_deploy.objects (kind, path, sha256, size, state, deploy_id) "
        "values ('static', 'a', repeat('1', 64), 1, 'live', 'earlier')"
    )
    claim = LeaseRequest(bench.project, TOKEN, TOKEN, "deploy", "p", 0)
    with psycopg.connect(bench.url) as other:
        other.execute("update mosaic_deploy.objects set size = 2")
        release = threading.Thread(target=bench.sql, args=[release_lease_sql(claim, "done", {})])
        release.start()
        blocked = "select count(*) from pg_stat_activity where %s = any(pg_blocking_pids(pid))"
        while bench.admin.execute(blocked, [other.info.backend_pid]).fetchone() == (0,):
            assert release.is_alive(), "it didn't wait"
            time.sleep(0.01)
        other.commit()
        release.join()
    assert bench.sql("select token from mosaic_deploy.lease") == []
    now = rows.digest_query("sums.kind")
    [found] = bench.sql(f"select sum, ({now}) as now from mosaic_deploy.sums where kind = 'static'")
    assert found["sum"] in (None, found["now"])


def test_a_table_lock_is_tried_for_six_times(bench: Bench) -> None:
    bench.lease(60)
    bench.sql("create table t (id int)")
    with psycopg.connect(bench.url) as other:
        other.execute("lock table t in access exclusive mode")
        with pytest.raises(StepFailed) as caught:
            bench.run(steps_of("alter table t add column n int"), lock_timeout="20ms")
    assert caught.value.sqlstate == "55P03"
    assert len(bench.pauses) == MAX_LOCK_ATTEMPTS - 1 == 5
    assert sum(bench.pauses) > 5, "seconds for a busy table to become free"


def test_attempts_are_counted_per_step(bench: Bench) -> None:
    """A lock that was waited for leaves the next step all of its attempts."""
    bench.lease(60)
    bench.sql("create table t (id int)")
    bench.sql("create table u (id int)")
    with psycopg.connect(bench.url) as first, psycopg.connect(bench.url) as second:
        first.execute("lock table t in access exclusive mode")
        second.execute("lock table u in access exclusive mode")
        runner = Runner(bench.api, bench.project, SqlSession(TOKEN, "deploy", lock_timeout="20ms"))
        runner.sleep = lambda _: None
        waits = 0
        for event in runner.run(
            [*steps_of("alter table t add n int"), *steps_of("alter table u add n int", 2)]
        ):
            if isinstance(event, Waiting):
                waits += 1
                if waits == 5:
                    first.rollback()
                if waits == 10:
                    second.rollback()
    assert waits == 10
    assert bench.sql("select count(*)::int as n from mosaic_deploy.migrations") == [{"n": 2}]


def calls(bench: Bench, steps: list[Step]) -> list[int]:
    """How many steps each of the calls that ran `steps` committed."""
    bench.lease(60)
    return [len(done) for done in bench.run(steps)]  # type: ignore[arg-type]


def test_a_call_has_at_most_512_kb_of_sql(bench: Bench) -> None:
    text = "select '" + "x" * 200 * 1024 + "'"
    assert calls(bench, [s for n in range(1, 6) for s in steps_of(text, n)]) == [2, 2, 1]
    comment = "select 1 -- " + "x" * 200 * 1024
    assert calls(bench, [s for n in range(1, 4) for s in steps_of(comment, n)]) == [2, 1]


def test_a_step_that_is_larger_is_sent_alone(bench: Bench) -> None:
    large, small = "select '" + "x" * 600 * 1024 + "'", "select 1"
    steps = [s for n, text in enumerate([small, large, small], 1) for s in steps_of(text, n)]
    assert calls(bench, steps) == [1, 1, 1]


def test_a_call_has_at_most_a_hundred_steps(bench: Bench) -> None:
    steps = [s for n in range(1, 103) for s in steps_of("select 1", n)]
    assert calls(bench, steps) == [MAX_STEPS_PER_CALL, 2]


@pytest.mark.parametrize("options", [{}, {"single_transaction": True}, {"statement_timeout": "20s"}])
def test_a_migrations_row_is_written_by_the_deployers_role(bench: Bench, options: dict[str, object]) -> None:
    """`SET ROLE` lasts until the session ends; the role may not write to the tracking tables."""
    bench.lease(60)
    [own] = bench.sql("select current_user::text as name")
    bench.admin.execute(
        "do $$ begin if not exists (select from pg_roles where rolname = 'guards_role') then "
        f'create role guards_role; end if; end $$; grant guards_role to "{own["name"]}"; '
        "grant create, usage on schema public to guards_role"
    )
    bench.run(steps_of("set role guards_role; create table public.t (id int)"), **options)
    assert bench.sql("select pg_get_userbyid(relowner)::text as o from pg_class where relname = 't'") == [
        {"o": "guards_role"}
    ]
    assert bench.sql("select applied_by from mosaic_deploy.migrations") == [{"applied_by": own["name"]}]
    assert bench.sql("select current_user::text as name") == [own]


@pytest.mark.parametrize("timeout", [None, "20s"], ids=["batch", "plain"])
def test_a_connection_keeps_its_own_search_path(bench: Bench, timeout: str | None) -> None:
    """A pooler may have set it, and the connection is used again after the migration."""
    bench.lease(60)
    [step] = steps_of("set search_path = pg_catalog; create table public.t (id int)")
    session = SqlSession(TOKEN, "deploy", statement_timeout=timeout)
    with psycopg.connect(bench.url, autocommit=True) as connection:
        connection.execute("set search_path = public, pg_temp")
        text = compile_plain([step], session).text if timeout else compile_batch([step], session)
        connection.execute(text)
        assert connection.execute("show search_path").fetchone() == ("public, pg_temp",)
    assert bench.sql("select version from mosaic_deploy.migrations") == [{"version": "1"}]
