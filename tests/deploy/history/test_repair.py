"""Status and repair of the migration history on the real platform."""

from __future__ import annotations

import pytest

from mosaic_deploy.deploy.history.repair import REPAIR, plan_repair
from mosaic_deploy.diff.history.repairs import RepairRequest
from mosaic_deploy.errors import MigrationDiverged, ProjectNotFound, RepairRefused
from mosaic_deploy.model.event import ApplyDone, ApplyFailed
from tests.deploy.faults import Dying, LosingAnswers, is_sql, is_write
from tests.deploy.histories import (
    expire,
    history,
    known,
    pending,
    repair,
    repairs,
    sql,
    states,
    tables,
    write,
)
from tests.deploy.recovery.test_crashes import free_lease

A, B = "create table a (id int);", "create table b (id int);"


def rows(site) -> list[dict[str, object]]:
    return sql(
        site,
        "select version::int as v, file, steps_done as done, step_begun as attempt from mosaic_deploy.migrations order by 1",
    )


def test_every_migration_state(site):
    history(site, m1_a=A, m2_b=B, m3_c="select 3;", m4_d="select 4;", m5_e="select 5;")
    assert states(site) == dict.fromkeys("12345", "pending")
    site.apply()
    site.write("sql/2_b.sql", f"-- b\n{B}")
    site.write("sql/3_c.sql", "select 33;")
    (site.root / "sql/4_d.sql").unlink()
    (site.root / "sql/5_e.sql").rename(site.root / "sql/5_five.sql")
    site.write(
        "sql/6_f.sql", "create index concurrently i on a (id); create index concurrently j on a (nope(id));"
    )
    site.write("sql/7_g.sql", "not sql at all")
    assert states(site) == {
        "1": "applied", "2": "reformatted", "3": "edited", "4": "missing", "5": "applied", "6": "pending",
        "7": "pending",
    }  # fmt: skip
    assert repairs(site) == [
        "repair --accept 2_b.sql", "restore-file 3", "repair --accept 3_c.sql", "restore-file 4", "repair --forget 4",
        "repair --rename 5",
    ]  # fmt: skip
    entry = known(site).ledger.entries[0]
    assert (entry.by, entry.origin) == ("tests", "apply")


def test_accept_forget_and_rename_then_the_plan_is_empty(site):
    history(site, m1_a=A, m2_b=B, m3_c="select 3;")
    site.apply()
    site.write("sql/1_a.sql", "create table a (id bigint);")
    (site.root / "sql/2_b.sql").unlink()
    (site.root / "sql/3_c.sql").rename(site.root / "sql/3_see.sql")
    with pytest.raises(MigrationDiverged):
        site.plan()
    before = sql(site, "select applied_at::text as t from mosaic_deploy.migrations where version = '1'")
    repair(site, accept=("1_a.sql",), forget=("2",), rename=("3",))
    assert site.plan().plan.changes == site.plan().plan.notes == ()
    assert tables(site) == {"a", "b"}
    assert (
        sql(site, "select applied_at::text as t from mosaic_deploy.migrations where version = '1'") == before
    )
    assert set(states(site).values()) == {"applied"}
    last = sql(
        site, "select status, plan, report->'done' as done from mosaic_deploy.deploys order by serial desc"
    )
    assert last[0]["status"] == "repair"
    assert str(last[0]["plan"]).startswith("repair:")
    assert last[0]["done"] == ["history:1_a.sql", "history:3_see.sql", "history:2_b.sql"]


def test_statements_of_an_accepted_file_never_run_again_from_another_one(site):
    history(
        site, m1_a="create table a (x text);", m2_b="insert into a values ('b'); insert into a values ('c');"
    )
    site.apply()
    site.write("sql/2_b.sql", "insert into a values ('b');")
    site.write("sql/3_c.sql", "insert into a values ('c');")
    with pytest.raises(RepairRefused) as caught:
        repair(site, accept=("2_b.sql",))
    (problem,) = caught.value.problems
    assert problem.location.file == "sql/3_c.sql"
    assert "applied as part of 2_b.sql" in problem.message
    repair(site, accept=("2_b.sql",), applied=(("3", 1),))
    assert site.plan().plan.changes == ()
    assert sql(site, "select x from a order by x") == [{"x": "b"}, {"x": "c"}]


def test_files_that_a_repair_leaves_pending_before_an_applied_one_are_named(site):
    history(site, m1_a=A, m2_e="", m4_b=B)
    site.apply()
    for name in ("6_x", "7_y", "9_z"):
        site.write(f"sql/{name}.sql", "select 1;")

    def warned(**request: tuple) -> list[str]:
        notes = plan_repair(site.api, known(site), RepairRequest(**request)).plan.notes
        assert all(note.severity == "warning" for note in notes)
        return [note.message for note in notes if note.code == "pending_before_applied"]

    assert warned(applied=(("9", 1),)) == [
        "6_x.sql and 7_y.sql are older and pending; give 9_z.sql a number before them, or renumber them after it"
    ]
    assert warned(applied=(("6", 1), ("9", 1))) == [
        "7_y.sql is older and pending; give 9_z.sql a number before it, or renumber 7_y.sql after it"
    ]
    assert warned(applied=(("6", 1), ("7", 1))) == []
    site.write("sql/5_w.sql", "select 1;")
    assert warned(applied=(("6", 1),)) == ["5_w.sql is older and pending; renumber it after 6_x.sql"]
    (site.root / "sql/4_b.sql").rename(site.root / "sql/8_b.sql")
    assert warned(rename=("4",)) == [
        "5_w.sql, 6_x.sql and 7_y.sql are older and pending; give 8_b.sql a number before them, or renumber them after it"
    ]
    (site.root / "sql/8_b.sql").rename(site.root / "sql/4_b.sql")
    site.write("sql/2_e.sql", "select 2;")
    assert warned(forget=("2",)) == [
        "2_e.sql will be pending, and version 4 is already applied; renumber it, or pass --allow-out-of-order to the "
        "next apply"
    ]
    site.write("sql/4_b.sql", "create table b (id bigint);")
    assert warned(accept=("4_b.sql",), applied=(("5", 1),)) == []


def test_the_accepted_file_is_stored_in_the_ledger(site):
    import base64
    import zlib

    history(site, m1_a=A)
    site.apply()
    site.write("sql/1_a.sql", text := "create table a (id bigint); -- ü")
    repair(site, accept=("1_a.sql",))
    row = sql(site, "select encode(source, 'base64') as s from mosaic_deploy.migrations")[0]
    assert zlib.decompress(base64.b64decode(str(row["s"]))).decode() == text


@pytest.mark.parametrize("took_effect", [True, False])
def test_a_step_with_unknown_outcome(site, api_over, took_effect):
    text = "do $$ begin insert into t values (1); commit; end $$"
    history(site, m1_t="create table t (n int);", m2_s=f"{text}; insert into t values (2);")
    dying = Dying(0, lambda request: is_sql(request, '{"query":"DO $mosaic_outside$'), after=took_effect)
    site.run(api=api_over(dying))
    free_lease(site)
    failed = site.run()[-1]
    assert isinstance(failed, ApplyFailed)
    assert states(site)["2"] == "unknown"
    assert repairs(site) == ["mosaic-deploy apply", "repair --applied 2:1", "repair --not-applied 2:1"]
    repair(site, **{"applied" if took_effect else "not_applied": (("2", 1),)})
    assert states(site)["2"] == "partial" if took_effect else "pending"
    site.apply()
    assert sql(site, "select n from t order by n") == [{"n": 1}, {"n": 2}]


def test_a_partly_applied_file(site):
    text = "create table t (n int); create index concurrently i on t (nope(n)); create table u (n int);"
    history(site, m1_t=text)
    site.fails()
    assert states(site)["1"] == "failed"
    assert repairs(site) == ["mosaic-deploy apply", "repair --applied 1:2", "repair --not-applied 1:1"]
    entry = known(site).ledger.entries[0]
    assert entry.cause.startswith("sql/1_t.sql:1:59: function nope(integer) does not exist")
    repair(site, not_applied=(("1", 2),))
    assert rows(site) == [{"v": 1, "file": "1_t.sql", "done": 1, "attempt": 0}]
    assert repairs(site) == ["mosaic-deploy apply", "repair --applied 1:3", "repair --not-applied 1:1"]
    sql(site, "create table u (n int); create index i on t (n)")
    repair(site, applied=(("1", 3),))
    assert site.plan().plan.changes == ()
    assert states(site)["1"] == "applied"


def test_a_file_undone_by_hand_starts_over(site):
    history(site, m1_t="create table t (n int); create index concurrently i on t (nope(n));")
    site.fails()
    sql(site, "drop table t")
    site.write("sql/1_t.sql", "create table t (n int); create index concurrently i on t (n);")
    repair(site, not_applied=(("1", 1),))
    assert rows(site) == []
    site.apply()


def test_a_step_that_was_run_by_hand(site):
    history(site, m1_t="create table t (n int);", m2_i="create index concurrently i on t (n);")
    site.manifest(database={"migrations": "none"})
    (site.root / "none").mkdir()
    site.apply()
    site.manifest(database={"migrations": "sql"})
    sql(site, "create table t (n int); create index i on t (n)")
    repair(site, applied=(("1", 1), ("2", 1)))
    assert site.plan().plan.changes == ()


def test_a_repair_of_a_deleted_file_names_the_command_that_restores_it(site):
    history(site, m1_a=A)
    site.apply()
    (site.root / "sql/1_a.sql").unlink()
    with pytest.raises(RepairRefused) as caught:
        plan_repair(
            site.api, known(site), RepairRequest(accept=("1",), squash=("1",), not_applied=(("1", 1),))
        )
    hint = "`mosaic-deploy migrate restore-file 1` writes it as it was applied"
    assert {(p.message, p.hint) for p in caught.value.problems} == {("isn't in the migrations folder", hint)}


@pytest.mark.parametrize("number", ("1", "01", "0001"))
def test_a_file_is_also_accepted_by_its_number(site, number):
    history(site, m1_a=A)
    site.apply()
    site.write("sql/1_a.sql", "select 'edited';")
    assert plan_repair(site.api, known(site), RepairRequest(accept=(number,))) == plan_repair(
        site.api, known(site), RepairRequest(accept=("1_a.sql",))
    )


def test_ambiguous_repairs_are_refused(site):
    history(site, m1_a=A, m2_b=B)
    site.apply()
    site.write("sql/2_b2.sql", "select 'another';")
    (site.root / "sql/2_b.sql").unlink()
    site.write("sql/3_c.sql", "select 3; vacuum a;")
    request = RepairRequest(
        accept=("1_a.sql", "none.sql"), forget=("1", "9"), rename=("2",),
        applied=(("1", 1), ("3", 3)), not_applied=(("3", 1),),
    )  # fmt: skip
    with pytest.raises(RepairRefused) as caught:
        plan_repair(site.api, known(site), request)
    assert [(p.location.file, p.message.partition(":")[0]) for p in caught.value.problems] == [
        ("sql/1_a.sql", "hasn't changed since it was applied"),
        ("sql/none.sql", "isn't in the migrations folder"),
        ("sql/1_a.sql", "is still in the folder"),
        ("version 9", "isn't in the migration history"),
        ("sql/2_b2.sql", "was applied as 2_b.sql, and no file in the folder has its statements"),
        ("sql/1_a.sql", "is fully applied"),
        ("sql/3_c.sql", "step 3 isn't pending"),
        ("sql/3_c.sql", "isn't in the migration history"),
    ]


def test_two_repairs_of_one_file_are_refused(site):
    history(site, m1_t="create table t (n int); create index concurrently i on t (nope(n));")
    site.fails()
    with pytest.raises(RepairRefused, match="this repair isn't possible"):
        plan_repair(site.api, known(site), RepairRequest(applied=(("1", 2),), not_applied=(("1", 2),)))


def test_repair_without_a_project(site):
    history(site, m1_a=A)
    with pytest.raises(ProjectNotFound):
        plan_repair(site.api, known(site), RepairRequest(forget=("1",)))


def test_a_lost_response_repairs_once(site, api_over):
    history(site, m1_a=A)
    site.apply()
    site.write("sql/1_a.sql", "create table a (id bigint);")
    losing = LosingAnswers(lambda request: is_sql(request, "ON CONFLICT (version)"))
    events = write(
        site, plan_repair(site.api, known(site), RepairRequest(accept=("1_a.sql",))), REPAIR, api_over(losing)
    )
    assert isinstance(events[-1], ApplyDone)
    assert losing.lost == 1
    assert pending(site) == []


@pytest.mark.parametrize("point", range(4))
def test_a_crash_during_a_repair(site, api_over, point):
    history(site, m1_a=A, m2_b=B)
    site.apply()
    site.write("sql/1_a.sql", "create table a (id bigint);")
    (site.root / "sql/2_b.sql").unlink()
    request = RepairRequest(accept=("1_a.sql",), forget=("2",))
    write(
        site,
        plan_repair(site.api, known(site), request),
        REPAIR,
        api_over(Dying(point, is_write, after=True)),
    )
    expire(site)
    remaining = {action.split()[-1] for action in repairs(site) if action.startswith("repair")}
    repair(
        site,
        accept=("1_a.sql",) if "1_a.sql" in remaining else (),
        forget=("2",) if "2" in remaining else (),
    )
    assert pending(site) == []


@pytest.mark.parametrize("text", ["", "-- soon\n", "/* later */ ;"])
def test_a_file_applied_without_statements_can_become_pending_again(site, text):
    history(site, m1_a=A, m2_b=text)
    site.apply()
    site.write("sql/2_b.sql", B)
    with pytest.raises(MigrationDiverged) as caught:
        site.plan()
    assert "applied without any statements" in caught.value.problems[0].message
    assert caught.value.next_actions[0].command == "mosaic-deploy migrate repair --forget 2"
    assert repairs(site)[0] == "repair --forget 2"
    with pytest.raises(RepairRefused):
        repair(site, forget=("1",))
    repair(site, forget=("2",))
    assert states(site) == {"1": "applied", "2": "pending"}
    site.apply()
    assert tables(site) == {"a", "b"}
