"""Single transactions, lock timeouts, statements outside transactions, enum values."""

from __future__ import annotations

import json
import threading

import httpx
import psycopg
import pytest

from mosaic_deploy.deploy import PlanOptions
from mosaic_deploy.errors import ApiError, MigrationDiverged, MigrationFailed, MigrationInvalid
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.model.event import ApplyDone, ApplyFailed, Waiting
from mosaic_deploy.sql.execution.batch import compile_batch
from mosaic_deploy.sql.execution.failure import parse_failure
from mosaic_deploy.sql.execution.plain import compile_plain
from mosaic_deploy.sql.execution.split import split_steps
from mosaic_deploy.sql.execution.step import SqlSession, Step
from mosaic_deploy.sql.parse import parse
from tests.deploy.faults import Dying, LosingAnswers, is_sql
from tests.deploy.recovery.test_crashes import free_lease


def history(site, database: dict | None = None, **files: str) -> None:
    for name, text in files.items():
        site.write(f"sql/{name.lstrip('m')}.sql", text)
    site.manifest(database={"migrations": "sql", **(database or {})})


def tables(site) -> set[str]:
    return {str(r["t"]) for r in site.sql("select tablename as t from pg_tables where schemaname = 'public'")}


@pytest.mark.parametrize("timeout", [{}, {"statement_timeout": "20s"}], ids=["batch", "plain"])
def test_single_transaction(site, timeout):
    all_of_them = {"transaction": "all", **timeout}
    history(site, all_of_them, m1_a="create table a (id int);", m2_b="create table b (id int); select 1/0;")
    failed = site.fails()
    assert isinstance(failed.error, MigrationFailed)
    assert failed.error.sqlstate == "22012"
    assert failed.failed == "migration:2_b.sql" or timeout
    assert tables(site) == set()
    site.write("sql/2_b.sql", "create table b (id int);")
    site.apply()
    assert tables(site) == {"a", "b"}


@pytest.mark.parametrize("timeout", [{}, {"statement_timeout": "20s"}], ids=["batch", "plain"])
def test_files_of_a_single_transaction_have_their_own_settings(site, timeout):
    history(
        site,
        {"transaction": "all", **timeout},
        m1_a="create schema a; set search_path = a; create table inside (id int); create temp table x (id int);",
        m2_b="reset all; create table outside (id int); create temp table x (id int);",
        m3_c="create table too (id int);",
    )
    site.apply()
    assert tables(site) == {"outside", "too"}


def test_single_transaction_refuses_intermediate_commits(site):
    history(
        site, {"transaction": "all"}, m1_a="create table a (id int); create index concurrently i on a (id);"
    )
    with pytest.raises(MigrationInvalid) as caught:
        site.plan()
    assert [p.location.file for p in caught.value.problems] == ["sql/1_a.sql"]


def test_an_enum_value_added_and_used_in_one_file(site):
    history(
        site,
        m1_e="create type mood as enum ('ok');",
        m2_u="alter type mood add value 'great'; create table t (m mood default 'great'); insert into t values (default);",
        m3_n="create type size as enum ('s'); alter type size add value 'm'; create table u (s size default 'm');",
    )
    planned = site.plan()
    assert [c.steps for c in planned.plan.changes if c.kind == "migration"] == [1, 2, 1]
    site.apply()
    assert site.sql("select m::text as m from t") == [{"m": "great"}]


def test_a_text_becomes_an_added_enum_value(site):
    history(
        site,
        m1_e="create type mood as enum ('ok'); create table s (t text); insert into s values ('great'), ('ok');",
        m2_u="alter type mood add value 'great'; create table c as select t::mood as m from s;",
        m3_n="alter type mood add value 'bad'; insert into s values ('b' || 'ad'); alter table s alter t type mood using t::mood;",
        m4_t="create type size as enum ('s'); alter type size add value 'm'; create table u as select left(m, 1)::size from (select 'mm' as m) one;",
    )
    site.apply()
    assert len(site.sql("select m from c")) == 2


_FILL = (
    "create type mood as enum ('ok'); create table t (m mood); create function fill() returns void language plpgsql "
    "as $$ begin insert into t values ('great'); end $$;"
)


@pytest.mark.parametrize(
    ("wrong", "way_out", "right"),
    [
        (
            "alter type mood add value 'great';\nselect fill();",
            "write `COMMIT;` below the ALTER TYPE … ADD VALUE in sql/2_u.sql",
            "alter type mood add value 'great';\nCOMMIT;\nselect fill();",
        ),
        (
            "begin; alter type mood add value 'great';\nselect fill(); commit;",
            "move the ALTER TYPE … ADD VALUE above BEGIN in sql/2_u.sql",
            "alter type mood add value 'great';\nbegin; select fill(); commit;",
        ),
        (
            "alter type mood add value 'great';\ndo $$ begin execute 'insert into t values (''gr' || 'eat'')'; end $$;",
            "write `COMMIT;` below the ALTER TYPE … ADD VALUE in sql/2_u.sql",
            "alter type mood add value 'great';\nCOMMIT;\ndo $$ begin execute 'insert into t values (''gr' || 'eat'')'; end $$;",
        ),
    ],
)
def test_an_enum_value_used_behind_a_function_names_the_way_out(site, wrong, way_out, right):
    history(site, m1_e=_FILL, m2_u=wrong)
    error = site.fails().error
    assert error.sqlstate == "55P04"
    assert way_out in error.hint
    site.write("sql/2_u.sql", right)
    site.apply()
    assert site.sql("select m::text as m from t") == [{"m": "great"}]


def test_an_enum_value_of_the_same_transaction_in_a_seed_and_with_transaction_all(site):
    added = "alter type mood add value 'great'; select fill();"
    site.write("seed.sql", added)
    history(site, {"seeds": ["seed.sql"]}, m1_e=_FILL)
    assert "add it in a migration" in site.fails().error.hint
    site.write("seed.sql", "select 1;")
    history(site, {"seeds": ["seed.sql"], "transaction": "all"}, m1_e=_FILL, m2_u=added)
    assert "remove `transaction: all` from the manifest" in site.fails().error.hint


def test_a_read_only_transaction_writes_nothing(site):
    history(site, m1_t="begin read only; create table t (id int); commit;")
    assert "read-only transaction" in site.fails().error.message


def test_transaction_false_runs_each_statement_alone(site):
    text = "-- mosaic: transaction=false\ncreate table a (id int);\nselect 1/0;\ncreate table b (id int);"
    history(site, m1_a=text)
    failed = site.fails()
    assert str(failed.error.location) == "sql/1_a.sql:3:1"
    assert tables(site) == {"a"}
    site.write("sql/1_a.sql", text.replace("1/0", "1"))
    site.apply()
    assert tables(site) == {"a", "b"}


def test_a_lock_timeout_is_retried(site):
    history(site, {"lock_timeout": "100ms"}, m1_a="create table a (id int);")
    site.apply()
    credentials = site.api.call(endpoints.READ_CREDENTIALS, project=site.project_id)
    site.write("sql/2_b.sql", "alter table a add column n int;")
    waited = threading.Event()
    with psycopg.connect(credentials["database_url"]) as connection:
        connection.execute("lock table a in access exclusive mode")
        events = []
        for event in site.events():
            events.append(event)
            if isinstance(event, Waiting) and not waited.is_set():
                waited.set()
                connection.rollback()
    assert isinstance(events[-1], ApplyDone)
    assert waited.is_set()
    assert "2_b.sql" in next(e.reason for e in events if isinstance(e, Waiting))


def test_an_invalid_index_is_rebuilt(site):
    history(
        site,
        m1_t="create table t (n int); insert into t values (1), (1);",
        m2_i="create unique index concurrently one_n on t (n);",
    )
    failed = site.fails()
    assert failed.error.sqlstate == "23505"
    assert site.sql("select indisvalid as v from pg_index where indexrelid = 'one_n'::regclass") == [
        {"v": False}
    ]
    site.sql("delete from t where ctid = (select min(ctid) from t)")
    site.apply()
    assert site.sql("select indisvalid as v from pg_index where indexrelid = 'one_n'::regclass") == [
        {"v": True}
    ]


@pytest.mark.parametrize("text", [
    "create index concurrently i on t (n)",
    "drop index concurrently old",
    "vacuum t",
])  # fmt: skip
def test_a_lost_response_outside_a_transaction(site, api_over, text):
    history(site, m1_t="create table t (n int); create index old on t (n);", m2_s=text)
    losing = LosingAnswers(lambda request: is_sql(request, f'{{"query":"{text}"}}'))
    last = site.run(api=api_over(losing))[-1]
    assert isinstance(last, ApplyDone), last
    assert losing.lost == 1
    assert site.plan().plan.changes == ()


def test_an_index_still_being_built_by_a_crashed_run(site, api_over):
    """The index is missing when its outcome is read, and exists when it is built: the earlier statement has ended."""
    text = "create index concurrently i on t (n)"
    history(site, m1_t="create table t (n int);", m2_s=text)
    site.run(api=api_over(Dying(0, lambda request: is_sql(request, f'{{"query":"{text}"}}'))))
    free_lease(site)

    class Ending(httpx.HTTPTransport):
        ended = 0

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if not self.ended and is_sql(request, f'{{"query":"{text}"}}'):
                self.ended += 1
                site.sql(text)
            return super().handle_request(request)

    ending = Ending()
    last = site.run(api=api_over(ending))[-1]
    assert isinstance(last, ApplyDone), last
    assert ending.ended == 1
    assert site.plan().plan.changes == ()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_the_outcome_of_a_block_that_commits_is_asked(site, api_over, after):
    text = "do $$ begin insert into t values (1); commit; end $$"
    history(site, m1_t="create table t (n int);", m2_s=text)
    dying = Dying(0, lambda request: is_sql(request, '{"query":"DO $mosaic_outside$'), after=after)
    site.run(api=api_over(dying))
    free_lease(site)
    failed = site.run()[-1]
    assert isinstance(failed, ApplyFailed)
    assert failed.error.mutation_state == "unknown"
    assert [a.command for a in failed.error.next_actions] == [
        "mosaic-deploy migrate repair --applied 2:1",
        "mosaic-deploy migrate repair --not-applied 2:1",
    ]
    assert site.sql("select count(*)::int as n from t") == [{"n": 1 if after else 0}]


def test_out_of_order_needs_an_option(site):
    history(site, m1_a="create table a (id int);", m3_c="create table c (id int);")
    site.apply()
    site.write("sql/2_b.sql", "create table b (id int);")
    with pytest.raises(MigrationDiverged):
        site.plan()
    planned = site.plan(options=PlanOptions(allow_out_of_order=True))
    assert isinstance(site.run(planned)[-1], ApplyDone)
    assert site.plan().plan.changes == ()


def test_a_procedure_that_does_not_get_a_lock_reports_that(site):
    """It may have committed something before, so it isn't sent again."""
    history(
        site,
        m1_t="create table t (id int); insert into t values (1); create table done (n int); create procedure p() "
        "language plpgsql as $$ begin insert into done values (1); commit; perform 1 from t for update nowait; end $$;",
    )
    site.apply()
    site.write("sql/2_b.sql", "call p();")
    credentials = site.api.call(endpoints.READ_CREDENTIALS, project=site.project_id)
    with psycopg.connect(credentials["database_url"]) as connection:
        connection.execute("update t set id = 2")
        events = site.run()
    assert not any(isinstance(event, Waiting) for event in events)
    assert events[-1].error.sqlstate == "55P03"
    assert events[-1].error.mutation_state == "unknown"
    assert site.sql("select n from done") == [{"n": 1}]


class LimitedRole(httpx.HTTPTransport):
    """Runs SQL on a connection whose role has a statement timeout; the platform's connections have their own."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.connection = psycopg.connect(url, autocommit=True, options="-c statement_timeout=1500ms")

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not is_sql(request, "mosaic_steps") and not is_sql(request, "mosaic_guard"):
            return super().handle_request(request)
        try:
            self.connection.pgconn.exec_(b"ROLLBACK")
            self.connection.execute(json.loads(request.content)["query"])
        except psycopg.Error as error:
            problem = {"code": "sql_error", "message": str(error), "sqlstate": error.sqlstate}
            return httpx.Response(400, json={"success": False, "error": problem}, request=request)
        return httpx.Response(200, json={"success": True, "data": []}, request=request)

    def close(self) -> None:
        self.connection.close()
        super().close()


def test_a_time_limit_of_the_role_holds_for_each_statement(site, api_over):
    """Not for all migrations of a call: each of these is quick enough alone, and the slow one is named."""
    history(site, m1_a="create table a (id int);")
    site.apply()
    for number in range(2, 5):
        text = f"select pg_sleep(0.8); select pg_sleep(0.8); create table t{number} (id int);"
        site.write(f"sql/{number}_s.sql", text)
    site.write("sql/5_slow.sql", "create table five (id int);\nselect pg_sleep(9);")
    credentials = site.api.call(endpoints.READ_CREDENTIALS, project=site.project_id)
    failed = site.run(api=api_over(LimitedRole(credentials["database_url"])))[-1]
    assert (str(failed.error.location), failed.error.sqlstate) == ("sql/5_slow.sql:2:1", "57014")
    assert tables(site) == {"a", "t2", "t3", "t4"}


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_batch_that_is_sent_again_runs_nothing_twice(site, level):
    """Also if the database's transactions don't see what was committed after they began."""
    history(site, m1_a="create table a (id int primary key);")
    site.apply()
    project = site.project_id
    site.sql(
        "insert into mosaic_deploy.lease (holder, token, acquired_at, expires_at) "
        "values ('x', 'x', now(), now() + interval '1 hour')"
    )
    credentials = site.api.call(endpoints.READ_CREDENTIALS, project=project)
    with psycopg.connect(credentials["database_url"], autocommit=True) as own:
        own.execute(
            f"alter database \"{credentials['database']}\" set default_transaction_isolation = '{level}'"
        )
        # The platform's connections, which have the old default.
        own.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
    steps = []
    for number, text in enumerate(
        [
            "insert into a values (1); select pg_sleep(0.5)",
            "savepoint s; insert into a values (2)",
            "insert into a values (3); select pg_sleep(0.5)",
        ],
        7,
    ):
        [step] = split_steps(parse(text))
        steps.append(Step(str(number), f"{number}.sql", "c", "s", "", text, 1, 1, step))
    results: list[object] = []

    def run(query: str) -> None:
        try:
            results.append(site.api.sql(project, query))
        except ApiError as error:
            results.append(parse_failure(error.message) or error)

    session = SqlSession("x", "x")
    for query in (
        compile_batch(steps[:1], session),
        compile_plain(steps[1:2], session).text,
        compile_batch(steps[2:], session, commit=False),
    ):
        results.clear()
        copies = [threading.Thread(target=run, args=(query,)) for _ in range(3)]
        for copy in copies:
            copy.start()
        for copy in copies:
            copy.join()
        assert all(isinstance(one, list) or one.code in ("step_applied", "resend") for one in results), (
            results
        )
    assert [row["id"] for row in site.api.sql(project, "select id from a order by id")] == [1, 2, 3]
    assert site.api.sql(project, "show transaction_isolation") == [{"transaction_isolation": level}]


SETTERS = """CREATE SCHEMA other; CREATE TABLE t (v text); CREATE TABLE other.t (v text); INSERT INTO t VALUES ('kept');
CREATE PROCEDURE by_name() LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('search_path', 'other', false); END $$;
CREATE PROCEDURE by_text() LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('SET %s_path = other', 'search'); COMMIT; END $$;
CREATE PROCEDURE zone() LANGUAGE plpgsql AS $$ BEGIN COMMIT; PERFORM set_config(lower('TIMEZONE'), 'Asia/Tokyo', false); END $$;
CREATE FUNCTION setting() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('SET %s_path = other', 'search'); END $$;"""


@pytest.mark.parametrize(
    "statement",
    ["CALL by_name();", "CALL by_text();", "CALL zone();", "DO $$ BEGIN PERFORM setting(); COMMIT; END $$;"],
)
def test_a_setting_that_a_procedure_leaves_stops_the_file(site, statement) -> None:
    """psql would run the next statement with it; here it has a session of its own."""
    site.deploy_sql(SETTERS)
    site.write("sql/2_call.sql", f"{statement}\nUPDATE t SET v = 'changed';")
    error = site.fails().error
    assert error.code == "migration_failed"
    assert "the next one has its own session" in error.message
    assert site.sql("SELECT v FROM t UNION ALL SELECT v FROM other.t") == [{"v": "kept"}]


def test_measured_files_of_a_single_transaction_keep_the_search_path(site):
    site.deploy_sql("create table held (id int); insert into held values (1);")
    database = {"transaction": "all", "statement_timeout": "20s"}
    history(site, database, m2_a="create table a (id int);", m3_b="alter table a add n int;")
    site.apply()
    assert tables(site) == {"held", "a"}
