"""Rollbacks on the real platform."""

from __future__ import annotations

import httpx
import pytest

from mosaic_deploy.deploy.history.rollback import plan_rollback, roll_back
from mosaic_deploy.errors import MigrationFailed, RollbackRefused
from mosaic_deploy.model.event import ApplyDone, ApplyFailed
from tests.deploy.conftest import OPTIONS
from tests.deploy.faults import Dying, LosingAnswers, is_sql, is_write
from tests.deploy.histories import expire, history, known, pending, repair, sql, states, tables

A = "-- migrate:up\ncreate table a (id int);\n\n-- migrate:down\ndrop table a;\n"
B = "create table b (id int); create table b2 (id int);"
C = "-- migrate:up\ncreate table c (id int);\n-- migrate:down\ndrop table c;\n"


def three(site, **database: object) -> None:
    history(site, database, m1_a=A, m2_b=B, m3_c=C)
    site.write("sql/2_b.down.sql", "drop table b2; drop table b;")


def back(site, api=None, **which: object) -> list:
    planned = plan_rollback(site.api, known(site), **which)
    return list(roll_back(api or site.api, planned, OPTIONS))


def refusals(site, **which: object) -> list[str]:
    with pytest.raises(RollbackRefused) as caught:
        plan_rollback(site.api, known(site), **which)
    return [f"{p.location.file} {p.message}" for p in caught.value.problems]


@pytest.mark.parametrize("database", [{}, {"statement_timeout": "20s"}], ids=["batch", "plain"])
def test_one_step_then_all_then_forward_again(site, database):
    three(site, **database)
    site.apply()
    assert isinstance(back(site)[-1], ApplyDone)
    assert (tables(site), pending(site)) == ({"a", "b", "b2"}, ["migration:3_c.sql"])
    last = back(site, to="0")[-1]
    assert last.done == ("rollback:2_b.sql", "rollback:1_a.sql")
    assert tables(site) == set()
    assert pending(site) == ["migration:1_a.sql", "migration:2_b.sql", "migration:3_c.sql"]
    runs = sql(site, "select status, report->'done' as done from mosaic_deploy.deploys order by serial")
    assert [run["status"] for run in runs] == ["done", "rollback", "rollback"]
    assert runs[-1]["done"] == ["rollback:2_b.sql", "rollback:1_a.sql"]
    site.apply()
    assert tables(site) == {"a", "b", "b2", "c"}


def test_checks_that_failed_stay_pending(site, monkeypatch):
    monkeypatch.setattr("mosaic_deploy.deploy.applying.verify._CHECK_TIMEOUT", 0.1)
    three(site)
    verify = {"sql": [{"query": "select count(*) from a", "value": 0}]}
    site.manifest(database={"migrations": "sql"}, verify=verify)
    site.apply()
    assert not site.plan().checks_pending
    site.write("sql/4_d.sql", "-- migrate:up\ninsert into a values (1);\n-- migrate:down\nselect 1;\n")
    assert isinstance(site.run()[-1], ApplyFailed)
    assert isinstance(back(site)[-1], ApplyDone)
    assert site.plan().checks_pending
    sql(site, "delete from a")
    site.write("sql/4_d.sql", "-- migrate:up\nselect 1;\n-- migrate:down\nselect 1;\n")
    site.apply()
    assert isinstance(back(site)[-1], ApplyDone)
    assert not site.plan().checks_pending


def test_selected_rollbacks(site):
    three(site)
    site.apply()
    changes = plan_rollback(site.api, known(site), to="1").plan.changes
    assert [f"{change.address} {change.reason}" for change in changes] == [
        "rollback:3_c.sql undone by its section -- migrate:down (1 statement)",
        "rollback:2_b.sql undone by 2_b.down.sql (2 statements)",
    ]
    assert len(plan_rollback(site.api, known(site), steps=9).plan.changes) == 3
    assert plan_rollback(site.api, known(site), to="3").plan.empty


def test_nothing_is_rolled_back_if_a_down_migration_is_missing(site):
    history(site, m1_a="create table a (id int);", m2_c=C)
    site.apply()
    assert refusals(site, steps=2) == ["sql/1_a.sql no down migration; write 1_a.down.sql"]
    assert tables(site) == {"a", "c"}
    assert refusals(site, to="7") == []


def test_all_obstacles_are_reported_at_once(site):
    up = "-- migrate:up\nselect 1;\n"
    history(
        site,
        m1_edited=f"{up}-- migrate:down\nselect 1;",
        m2_gone="select 1;",
        m3_empty=f"{up}-- migrate:down\nbegin; select 1; rollback;\n",
        m4_two=f"{up}-- migrate:down\nselect 1;",
        m5_solo=f"{up}-- migrate:down\nvacuum;",
        m6_wrong=f"{up}-- migrate:down\nselct 1;",
        m7_apart=f"{up}-- migrate:down transaction:false\nselect 1; select 2;",
        m8_own="begin; select 1; commit;",
    )
    site.write("sql/4_two.down.sql", "select 1;")
    site.write("sql/8_own.down.sql", "begin; select 1; commit; begin; select 2; commit;")
    site.apply()
    site.write("sql/1_edited.sql", f"{up}-- migrate:down\nselect 2;")
    (site.root / "sql/2_gone.sql").unlink()
    assert [line.partition(":")[0] for line in refusals(site, to="0")] == [
        "sql/8_own.sql its down migration can't run in one transaction (8_own.down.sql)",
        "sql/7_apart.sql its down migration can't run in one transaction (its section -- migrate",
        'sql/6_wrong.sql syntax error at or near "selct"',
        "sql/5_solo.sql its down migration can't run in one transaction (its section -- migrate",
        "sql/4_two.sql has two down migrations",
        "sql/3_empty.sql its down migration is empty (its section -- migrate",
        "sql/2_gone.sql is no longer in the folder, and was applied without a migrate",
        "sql/1_edited.sql its comments, layout or down section changed after it was applied, so its down migration may not match",
    ]


def test_a_partly_applied_file_is_not_rolled_back(site):
    text = "create table t (id int); create index concurrently i on t (lower(id));"
    history(site, m1_t=text)
    site.write("sql/1_t.down.sql", "drop table t;")
    site.fails()
    assert refusals(site) == ["sql/1_t.sql only 1 of its 2 steps are known to be applied"]


def test_a_failed_down_migration_changes_nothing(site):
    three(site)
    site.write("sql/2_b.down.sql", "drop table b2;\n\ndrop type nope;")
    site.apply()
    failed = back(site, to="0")[-1]
    assert isinstance(failed, ApplyFailed)
    assert isinstance(failed.error, MigrationFailed)
    assert (str(failed.error.location), failed.error.sqlstate) == ("sql/2_b.down.sql:3:11", "42704")
    assert (failed.done, failed.failed, failed.remaining) == (
        ("rollback:3_c.sql",), "rollback:2_b.sql", ("rollback:1_a.sql",),
    )  # fmt: skip
    assert tables(site) == {"a", "b", "b2"}
    assert states(site) == {"1": "applied", "2": "applied", "3": "pending"}
    site.write("sql/2_b.down.sql", "drop table b2, b;")
    assert isinstance(back(site, to="0")[-1], ApplyDone)
    assert tables(site) == set()


def test_location_of_an_error_in_a_down_section(site):
    history(site, m1_a=A.replace("drop table a", "drop type nope"))
    site.apply()
    assert str(back(site)[-1].error.location) == "sql/1_a.sql:5:11"


def test_a_lost_response_undoes_nothing_twice(site, api_over):
    history(
        site,
        m1_a="create table a (n int); insert into a values (1), (2), (3);",
        m2_b="select 1;",
    )
    site.write("sql/2_b.down.sql", "delete from a where n = (select max(n) from a);")
    site.apply()
    losing = LosingAnswers(lambda request: is_sql(request, "mosaic_batch"))
    assert isinstance(back(site, api_over(losing))[-1], ApplyDone)
    assert losing.lost == 1
    assert sql(site, "select max(n) as n from a") == [{"n": 2}]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("point", range(4))
def test_a_crash_at_any_write(site, api_over, point, after):
    three(site)
    site.apply()
    back(site, api_over(Dying(point, is_write, after=after)), to="1")
    expire(site)
    undone = plan_rollback(site.api, known(site), to="1")
    if not undone.plan.empty:
        assert isinstance(list(roll_back(site.api, undone, OPTIONS))[-1], ApplyDone)
    assert tables(site) == {"a"}
    assert pending(site) == ["migration:2_b.sql", "migration:3_c.sql"]


def test_a_rollback_that_lost_its_lease_stops(site, api_over):
    three(site)
    site.apply()

    class TakenOver(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if is_sql(request, "mosaic_batch"):
                sql(site, "update mosaic_deploy.lease set token = 'other'")
            return super().handle_request(request)

    failed = back(site, api_over(TakenOver()), to="0")[-1]
    assert isinstance(failed, ApplyFailed)
    assert failed.error.code == "lock_lost"
    assert tables(site) == {"a", "b", "b2", "c"}


def test_the_policy_applies_to_down_migrations(site):
    three(site)
    site.manifest(database={"migrations": "sql"}, policy={"protected_tables": ["a"]})
    site.apply()
    site.sql("insert into a values (1)")
    plan = plan_rollback(site.api, known(site), to="0").plan
    files = [hazard.location.file for hazard in plan.hazards]
    # The worst first: only a is protected, and only it holds a row.
    assert files == ["sql/1_a.sql", "sql/3_c.sql", "sql/2_b.down.sql", "sql/2_b.down.sql"]
    assert [problem.location.file for problem in plan.denied] == ["sql/1_a.sql"]
    assert not plan_rollback(site.api, known(site)).plan.denied


def test_rows_that_come_after_the_plan_stop_a_rollback(site):
    """Dropping a table without rows needs no consent, so it is checked again."""
    three(site)
    site.apply()
    planned = plan_rollback(site.api, known(site))
    assert not planned.plan.to_confirm
    site.sql("insert into c values (1)")
    failed = list(roll_back(site.api, planned, OPTIONS))[-1]
    assert isinstance(failed, ApplyFailed)
    assert "table public.c holds rows now" in failed.error.message
    assert [action.description for action in failed.error.next_actions] == ["run it again"]
    assert "c" in tables(site)
    assert plan_rollback(site.api, known(site)).plan.to_confirm


def test_what_a_file_without_a_down_migration_is_told_works(site):
    """A down file beside it, or both markers in it, recorded as an edit."""
    history(site, m1_a="create table a (id int);", **{"m2_b.up": B})
    site.apply()
    assert refusals(site) == ["sql/2_b.up.sql no down migration; write 2_b.down.sql"]
    site.write("sql/2_b.down.sql", "drop table b, b2;")
    assert isinstance(back(site)[-1], ApplyDone)
    with pytest.raises(RollbackRefused) as caught:
        plan_rollback(site.api, known(site))
    assert caught.value.next_actions == ()
    assert "`mosaic-deploy migrate repair --accept 1_a.sql`" in str(caught.value.hint)
    site.write("sql/1_a.sql", A)
    [note] = (note for note in site.plan().plan.notes if note.code == "migration_edited_cosmetic")
    assert "down section changed since" in note.message
    assert "down section changed after it was applied" in refusals(site)[0]
    repair(site, accept=("1_a.sql",))
    assert isinstance(back(site)[-1], ApplyDone)
    assert tables(site) == set()


def test_a_deleted_file_is_restored_and_gets_a_down_file(site):
    history(site, m1_a="create table a (id int);")
    site.apply()
    (site.root / "sql/1_a.sql").unlink()
    with pytest.raises(RollbackRefused) as caught:
        plan_rollback(site.api, known(site))
    assert "restore it and write 1_a.down.sql" in str(caught.value.problems[0].hint)
    assert [action.command for action in caught.value.next_actions] == [
        "mosaic-deploy migrate restore-file 1",
        "mosaic-deploy migrate repair --forget 1",
    ]
