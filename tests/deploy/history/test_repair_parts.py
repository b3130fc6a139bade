"""Repairs of partly applied files."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mosaic_deploy.cli.render.notices import report_lines
from mosaic_deploy.cli.render.text.migration_status import status_text
from mosaic_deploy.deploy import PlanOptions
from mosaic_deploy.deploy.history.read import history_statuses
from mosaic_deploy.deploy.history.repair import plan_repair
from mosaic_deploy.deploy.history.restore import plan_restore
from mosaic_deploy.diff.history.repairs import RepairRequest
from mosaic_deploy.errors import MigrationDiverged, MigrationError, MigrationInvalid, RepairRefused
from mosaic_deploy.model.change import ApplyMigration
from mosaic_deploy.model.event import ChangeDone
from mosaic_deploy.source.migrations.rearrange import rearrange
from tests.deploy.faults import Dying, is_sql
from tests.deploy.histories import history, known, repair, repairs, sql, states
from tests.deploy.recovery.test_crashes import free_lease

A, B = "create table a (id int);", "create table b (id int);"
TWICE = "create table t (n int); insert into t values (1), (1);"


def refused(site, **request: tuple) -> list[str]:
    with pytest.raises(RepairRefused) as caught:
        plan_repair(site.api, known(site), RepairRequest(**request))
    return [f"{p.location}: {p.message.partition(':')[0]}" for p in caught.value.problems]


def test_an_index_counts_as_applied_only_if_it_is_valid(site):
    history(site, m1_t=TWICE, m2_i="create unique index concurrently i on t (n);")
    site.fails()
    assert refused(site, applied=(("2", 1),)) == ["sql/2_i.sql:1:1: the index i exists but is invalid"]
    sql(site, "drop index i")
    sql(site, "create table other (n int); create index i on other (n)")
    assert refused(site, applied=(("2", 1),)) == [
        'sql/2_i.sql:1:1: the index "i" doesn\'t exist on its table'
    ]
    sql(site, "drop table other; delete from t; create unique index i on t (n)")
    repair(site, applied=(("2", 1),))
    assert site.plan().plan.changes == ()


def test_a_drop_counts_as_applied_only_if_the_index_is_gone(site):
    history(site, m1_t="create table t (n int); create index i on t (n);")
    site.apply()
    site.write("sql/2_d.sql", "drop index concurrently i;")
    assert refused(site, applied=(("2", 1),)) == ["sql/2_d.sql:1:1: the index still exists"]
    sql(site, "drop index i")
    repair(site, applied=(("2", 1),))


def test_an_invalid_index_is_built_again_after_a_repair(site):
    """After the repair the build counts as not started, but its invalid index is still there."""
    history(site, m1_t=TWICE, m2_i="create unique index concurrently i on t (n);")
    site.fails()
    repair(site, not_applied=(("2", 1),))
    assert states(site)["2"] == "pending"
    sql(site, "delete from t")
    site.apply()
    assert sql(site, "select indisvalid as v from pg_index where indexrelid = 'i'::regclass") == [{"v": True}]


def test_if_not_exists_does_not_accept_an_invalid_index(site):
    text = "create unique index concurrently if not exists i on t (n);"
    history(site, m1_t=TWICE, m2_i=text)
    site.fails()
    repair(site, not_applied=(("2", 1),))
    sql(site, "delete from t")
    site.apply()
    assert sql(site, "select indisvalid as v from pg_index where indexrelid = 'i'::regclass") == [{"v": True}]


def test_an_index_of_the_same_name_on_another_column_is_an_error(site):
    history(
        site,
        m1_t="create table t (n int, m int); create index i on t (m);",
        m2_i="create index concurrently i on t (n);",
    )
    assert site.fails().error.sqlstate == "42P07"
    failed = site.fails()
    assert failed.error.sqlstate == "42P07"
    assert states(site)["2"] == "failed"


def test_a_block_that_commits_and_then_fails_has_an_unknown_outcome(site):
    text = "do $$ begin insert into t values (1); commit; perform 1/0; end $$"
    history(site, m1_t="create table t (n int);", m2_s=text)
    failed = site.fails()
    assert "what it committed before the error is kept" in failed.error.message
    assert failed.error.mutation_state == "unknown"
    assert [action.command for action in failed.error.next_actions] == [
        "mosaic-deploy migrate repair --applied 2:1",
        "mosaic-deploy migrate repair --not-applied 2:1",
    ]
    again = site.fails()
    assert "isn't sent again" in again.error.message, "until its outcome is recorded"
    assert again.error.next_actions == failed.error.next_actions
    assert states(site)["2"] == "unknown"
    assert "division by zero" in known(site).ledger.entries[-1].cause
    repair(site, not_applied=(("2", 1),))
    site.write("sql/2_s.sql", text.replace("1/0", "1"))
    site.apply()


def test_repairs_for_an_edited_partly_applied_file(site):
    text = "create table t (n int); create index concurrently i on t (nope(n));"
    history(site, m1_t=text)
    site.fails()
    site.write("sql/1_t.sql", text.replace("n int", "n bigint").replace("nope(n)", "n"))
    assert states(site)["1"] == "edited"
    assert repairs(site) == ["restore-file 1", "repair --accept 1_t.sql", "repair --not-applied 1:1"]
    with pytest.raises(MigrationDiverged) as caught:
        site.plan()
    assert [p.message for p in caught.value.problems] == ["was edited after step 1 of 2 was applied"]
    assert [a.command for a in caught.value.next_actions] == [
        "mosaic-deploy migrate restore-file 1",
        "mosaic-deploy migrate repair --accept 1_t.sql",
        "mosaic-deploy migrate repair --not-applied 1:1",
        "mosaic-deploy migrate status",
    ]
    [change] = plan_repair(site.api, known(site), RepairRequest(accept=("1_t.sql",))).plan.changes
    assert change.reason == "marks its first 1 of 2 steps as applied; the next apply runs the others"
    repair(site, accept=("1_t.sql",))
    site.apply()


def test_an_edited_file_that_was_undone_by_hand_starts_over(site):
    text = "create table t (n int); create index concurrently i on t (nope(n));"
    history(site, m1_t=text)
    site.fails()
    sql(site, "drop table t")
    site.write("sql/1_t.sql", "create table t (n bigint); create index concurrently i on t (n); select 1;")
    assert repairs(site) == ["restore-file 1", "repair --not-applied 1:1"]
    repair(site, not_applied=(("1", 1),))
    site.apply()


def test_repair_for_a_missing_file(site):
    history(site, m1_a=A, **{"m2_b c": B})
    site.apply()
    (site.root / "sql/2_b c.sql").unlink()
    site.write("sql/1_a.sql", "create table a (id bigint);")
    with pytest.raises(MigrationDiverged) as caught:
        site.plan()
    assert [a.command for a in caught.value.next_actions] == [
        "mosaic-deploy migrate restore-file 1",
        "mosaic-deploy migrate restore-file 2",
        "mosaic-deploy migrate repair --accept 1_a.sql",
        "mosaic-deploy migrate repair --forget 2",
        "mosaic-deploy migrate status",
    ]


TABLE = "create table a (id bigint primary key, v int);"
ROWS, INDEX = "insert into a values (1, 1), (2, 1);", "create unique index concurrently av on a (v);"
MORE = "insert into a values (3, 3);"


@pytest.mark.parametrize(
    ("rest", "ids", "steps"),
    [
        ([MORE], [1, 2, 3], 2),
        ([], [1, 2], 2),
        (["-- nothing else"], [1, 2], 2),
        ([MORE, "create index concurrently av on a (v);", "insert into a values (4, 4);"], [1, 2, 3, 4], 4),
        (["begin;", MORE, "commit;"], [1, 2, 3], 2),
        (["set search_path = public;", MORE], [1, 2, 3], 2),
    ],
)
def test_the_failed_step_can_be_deleted_or_replaced(site, rest, ids, steps):
    """What was committed stays a step of its own, so it doesn't run again, and what is left runs once."""
    history(site, m1_t=TABLE, m2_b="\n".join([ROWS, INDEX, MORE]))
    site.fails()
    sql(site, "drop index av")
    site.write("sql/2_b.sql", "\n".join([ROWS, *rest]))
    assert states(site)["2"] == "partial"
    assert repairs(site) == ["mosaic-deploy apply", f"repair --applied 2:{steps}", "repair --not-applied 2:1"]
    [change] = site.plan().plan.changes
    assert change.reason == f"resumes after step 1 of {steps}"
    site.apply()
    assert [row["id"] for row in sql(site, "select id from a order by id")] == ids
    assert states(site)["2"] == "applied"


def test_an_edited_rest_that_fails_again_resumes_again(site):
    history(site, m1_t=TABLE, m2_b="\n".join([ROWS, INDEX]))
    site.fails()
    site.write("sql/2_b.sql", f"{ROWS} insert into nope values (1);")
    assert "1 of its 2 steps is committed" in site.fails().error.message
    assert states(site)["2"] in ("partial", "failed")
    site.write("sql/2_b.sql", f"{ROWS} {MORE}")
    repair(site, applied=(("2", 2),))
    assert site.plan().plan.changes == ()
    assert sql(site, "select count(*)::int as n from a") == [{"n": 2}]


@pytest.mark.parametrize("before", ["", "-- mosaic: transaction=false\n"])
def test_the_committed_statements_may_be_split_otherwise(site, before):
    """Only how they commit has changed, and they have."""
    first, second = "insert into a values (1, 1);", "insert into a values (2, 1);"
    after = "" if before else "-- mosaic: transaction=false\n"
    history(site, m1_t=TABLE, m2_b="\n".join([before, first, second, INDEX]))
    site.fails()
    sql(site, "drop index av")
    site.write("sql/2_b.sql", "\n".join([after, first, second, MORE]))
    site.apply()
    assert [row["id"] for row in sql(site, "select id from a order by id")] == [1, 2, 3]


@pytest.mark.parametrize(
    "text", [f"begin; {ROWS} {MORE} commit;", MORE, f"{MORE} {ROWS}", f"{ROWS[:-1]} returning 1; {MORE}"]
)
def test_a_file_that_does_not_start_with_what_was_committed_is_edited(site, text):
    history(site, m1_t=TABLE, m2_b="\n".join([ROWS, INDEX, MORE]))
    site.fails()
    site.write("sql/2_b.sql", text)
    with pytest.raises(MigrationDiverged):
        site.plan()
    assert states(site)["2"] == "edited"


def test_a_temporary_table_of_the_committed_part_is_gone(site):
    history(site, m1_t=TABLE, m2_b=f"create temp table x (n int); {ROWS} {INDEX} {MORE}")
    site.fails()
    site.write("sql/2_b.sql", f"create temp table x (n int); {ROWS} insert into a select n, n from x;")
    with pytest.raises(MigrationInvalid) as caught:
        site.plan()
    assert "temporary" in caught.value.problems[0].message


def blocked_plan(site) -> list[str]:
    plans = []
    with pytest.raises(MigrationError):
        site.plan(options=PlanOptions(on_blocked=plans.append))
    return [f"{change.address} {change.reason}" for change in plans[0].changes]


def test_the_steps_of_a_partly_applied_file_in_a_blocked_plan(site):
    history(site, m1_t=TABLE, m2_b="\n".join([ROWS, INDEX, MORE]))
    site.fails()
    site.write("sql/3_c.sql", "select 3;")
    site.write("sql/4_d.sql", "selct 4;")
    expected = "migration:2_b.sql resumes after step 1 of 3"
    assert blocked_plan(site)[0] == expected
    (site.root / "sql/4_d.sql").unlink()
    site.write("sql/1_t.sql", TABLE.replace("v int", "v bigint"))
    assert blocked_plan(site)[0] == expected
    site.write("sql/1_t.sql", TABLE)
    site.write("sql/2_b.sql", MORE)
    assert [line.partition(" ")[0] for line in blocked_plan(site)] == ["migration:3_c.sql"]
    (site.root / "sql/2_b.sql").unlink()
    assert [line.partition(" ")[0] for line in blocked_plan(site)] == ["migration:3_c.sql"]
    with pytest.raises(MigrationDiverged) as caught:
        site.plan()
    message = "step 1 of 3 was applied, but the file is no longer in the folder"
    assert [problem.message for problem in caught.value.problems] == [message]
    [line] = (one for one in history_statuses(site.api, known(site)) if one.version == "2")
    assert status_text(line) == "step 1 of 3 applied, but the file is missing"


def test_the_steps_of_a_resumed_file_keep_their_numbers(site):
    history(site, m1_t=TABLE, m2_b="\n".join([ROWS, INDEX, MORE]))
    site.fails()
    sql(site, "update a set v = id")
    [done] = (e for e in site.run() if isinstance(e, ChangeDone) and isinstance(e.change, ApplyMigration))
    numbers = [line.partition(" in ")[0] for line in report_lines(done)]
    assert numbers == ["step 2 of 3", "step 3 of 3"]


@pytest.mark.parametrize(
    ("text", "known_by_itself"),
    [("do $$ begin insert into a values (1, 1); commit; end $$", False), ("vacuum a", True)],
)
def test_a_plan_says_at_which_step_the_apply_will_stop(site, api_over, text, known_by_itself):
    history(site, m1_t=TABLE, m2_b=f"select 1;\n{text};\n{MORE}")
    sent = '{"query":"vacuum' if known_by_itself else '{"query":"DO $mosaic_outside$'
    site.run(api=api_over(Dying(0, lambda request: is_sql(request, sent), after=False)))
    free_lease(site)
    assert states(site)["2"] == "unknown"
    found = [note.message for note in site.plan().plan.notes if note.code == "migration_outcome_unknown"]
    assert len(found) == (0 if known_by_itself else 1)
    if not known_by_itself:
        assert found[0].startswith("2_b.sql: step 2 of 3 was begun before")
        repair(site, not_applied=(("2", 2),))
        assert "migration_outcome_unknown" not in {note.code for note in site.plan().plan.notes}
    site.apply()


BLOCK = "do $$ begin insert into a values (1, 1); commit; perform 1/0; end $$;"


@pytest.mark.parametrize(
    "edit",
    [
        f"select 1; set statement_timeout = 0; {BLOCK} {MORE}",
        f"select 1; vacuum a; {BLOCK} {MORE}",
        f"select 1; do $$ begin commit; end $$; {BLOCK} {MORE}",
        f"select 1; {MORE}",
        "select 1;",
    ],
)
def test_a_block_of_unknown_outcome_is_not_taken_for_another_step(site, edit):
    """What was sent has a number in the history, which the edited file may have for something else."""
    history(site, m1_t=TABLE, m2_b=f"select 1;\n{BLOCK}\n{MORE}")
    site.fails()
    site.write("sql/2_b.sql", edit)
    with pytest.raises(MigrationDiverged) as caught:
        site.plan()
    offered = ["mosaic-deploy migrate restore-file 2", "mosaic-deploy migrate repair --not-applied 2:2"]
    assert [action.command for action in caught.value.next_actions] == offered
    assert repairs(site) == ["restore-file 2", "repair --not-applied 2:2"], "as the plan"
    assert refused(site, applied=(("2", 2),)) == [
        "sql/2_b.sql: step 2 of 3 was begun before the file was edited, and isn't in its place any more"
    ]
    rearrange(site.root, "sql", plan_restore(site.api, known(site), ["2"], datetime.now(UTC)))
    repair(site, applied=(("2", 2),))
    site.apply()
    assert [row["id"] for row in sql(site, "select id from a order by id")] == [1, 3]


def test_a_block_of_unknown_outcome_may_be_corrected_in_its_place(site):
    history(site, m1_t=TABLE, m2_b=f"select 1;\n{BLOCK}\n{MORE}")
    site.fails()
    site.write("sql/2_b.sql", f"select 1;\n{BLOCK.replace('1/0', '1')}\n{MORE}")
    assert "isn't sent again" in site.fails().error.message
    offered = ["mosaic-deploy apply", "repair --applied 2:2", "repair --not-applied 2:2"]
    assert repairs(site) == offered
    repair(site, applied=(("2", 2),))
    site.apply()
    assert [row["id"] for row in sql(site, "select id from a order by id")] == [1, 3]


def test_without_its_effect_an_edited_step_of_unknown_outcome_is_forgotten(site):
    history(site, m1_t=TABLE, m2_b=f"select 1;\n{BLOCK}\n{MORE}")
    site.fails()
    sql(site, "delete from a")
    site.write("sql/2_b.sql", f"select 1; set statement_timeout = 0; {BLOCK.replace('1/0', '1')} {MORE}")
    repair(site, not_applied=(("2", 2),))
    site.apply()
    assert [row["id"] for row in sql(site, "select id from a order by id")] == [1, 3]


def test_a_repair_says_which_statements_will_not_run(site):
    history(site, m1_t=TABLE, m2_b=f"{BLOCK}\ninsert into a values (3, 1);\nvacuum a;")
    site.fails()
    planned = plan_repair(site.api, known(site), RepairRequest(applied=(("2", 3),))).plan
    assert [change.reason for change in planned.changes] == ["marks steps 1 to 3 of 3 as applied"]
    assert [note.message for note in planned.notes] == [
        "2_b.sql:1: won't run: inserts into a; 2 other statements"
    ]
