"""Repairs of partly applied files."""

from __future__ import annotations

import pytest

from mosaic_deploy.deploy.history.repair import plan_repair
from mosaic_deploy.diff.history.repairs import RepairRequest
from mosaic_deploy.errors import MigrationDiverged, RepairRefused
from tests.deploy.histories import history, known, repair, repairs, sql, states

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
