"""Renumbered files that are applied in part, line endings, and going back a version."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mosaic_deploy.deploy import PlanOptions
from mosaic_deploy.deploy.history.restore import plan_restore
from mosaic_deploy.errors import MigrationDiverged
from tests.deploy.histories import history, known, pending, repair, repairs, sql, states

PARTIAL = "create table t (n int); insert into t values (1); create index concurrently i on t (nope(n));"


def test_a_renumbered_file_that_is_applied_in_part_resumes(site):
    history(site, m1_a="select 1;", m2_t=PARTIAL)
    site.fails()
    (site.root / "sql/2_t.sql").rename(site.root / "sql/3_t.sql")
    site.write("sql/3_t.sql", PARTIAL.replace("nope(n)", "n"))
    site.write("sql/2_other.sql", "create table other (n int);")
    assert states(site)["2"] in ("renumbered", "number_taken")
    assert repairs(site)[0] == "repair --rename 2"
    repair(site, rename=("2",))
    rows = sql(site, "select version::int as v, steps_done as done from mosaic_deploy.migrations order by 1")
    assert rows == [{"v": 1, "done": 1}, {"v": 3, "done": 1}]
    assert pending(site) == ["migration:2_other.sql", "migration:3_t.sql"]
    site.apply()
    assert sql(site, "select count(*)::int as n from t") == [{"n": 1}]


def test_line_endings_do_not_count_and_lf_runs(site):
    body = "create function f() returns text language sql as $$\nselect 'a\nb'\n$$;\n"
    history(site, m1_f=body.replace("\n", "\r\n"))
    site.apply()
    assert sql(site, "select f() as f") == [{"f": "a\nb"}]
    site.write("sql/1_f.sql", body)
    planned = site.plan().plan
    assert planned.changes == planned.notes == ()
    assert states(site) == {"1": "applied"}


def test_going_back_a_version_leads_to_rollback(site):
    up = "-- migrate:up\ncreate table {0} (id int);\n-- migrate:down\ndrop table {0};\n"
    history(site, m1_a="create table a (id int);", m2_b=up.format("b"), m3_c=up.format("c"))
    site.write("sql/4_d.sql", up.format("d"))
    site.apply()
    for name in ("2_b", "3_c", "4_d"):
        (site.root / f"sql/{name}.sql").unlink()
    with pytest.raises(MigrationDiverged) as caught:
        site.plan()
    assert [(each.command, each.needs_person) for each in caught.value.next_actions] == [
        ("mosaic-deploy migrate restore-file 2", False),
        ("mosaic-deploy migrate rollback --to 1", True),
        ("mosaic-deploy migrate repair", False),
        ("mosaic-deploy migrate status", False),
    ]
    site.write("sql/2_feature.sql", "create table feature (id int);")
    assert repairs(site)[:3] == ["restore-file 2", "rollback --to 1", "repair --forget 2"]


def test_a_new_file_makes_way_with_its_down_file(site):
    history(site, m0001_a="select 1;", m0002_b="create table b (id int);")
    site.apply()
    (site.root / "sql/0002_b.sql").unlink()
    site.write("sql/0002_c.sql", "create index concurrently c on b (id);")
    site.write("sql/0002_c.down.sql", "drop index c;")
    wanted = plan_restore(site.api, known(site), ["2"], datetime.now(UTC))
    assert wanted.writes == {"0002_b.sql": "create table b (id int);"}
    assert wanted.moves == {"0002_c.sql": "0003_c.sql"}
    from mosaic_deploy.source.migrations.rearrange import rearrange

    done = rearrange(site.root, "sql", wanted)
    assert dict(done.renamed)["sql/0002_c.down.sql"] == "sql/0003_c.down.sql"
    assert pending(site) == ["migration:0003_c.sql"]


def test_a_forgotten_migration_has_a_way_back(site):
    """An older checkout was told to forget the newest file, and then another one was applied."""
    history(site, m1_a="create table a (n int);", m2_b="create table b (n int);")
    site.apply()
    (site.root / "sql/2_b.sql").unlink()
    repair(site, forget=("2",))
    site.write("sql/3_c.sql", "create table c (n int);")
    site.apply()
    site.write("sql/2_b.sql", "create table b (n int);")
    assert states(site)["2"] == "out_of_order"
    assert repairs(site) == ["mosaic-deploy apply --allow-out-of-order", "repair --applied 2:1"]
    repair(site, applied=(("2", 1),))
    assert pending(site) == []
    assert states(site)["2"] == "applied"


def test_an_applied_file_that_is_split_runs_nothing_twice(site):
    table, row = "create table t (n int);\n", "insert into t values (1);\n"
    history(site, m1_a=table + row)
    site.apply()
    site.write("sql/1_a.sql", table)
    site.write("sql/2_rows.sql", row)
    site.write("sql/3_new.sql", "create table u (n int);")
    with pytest.raises(MigrationDiverged):
        site.plan()
    changes = plan_restore(site.api, known(site), ["1"], datetime.now(UTC))
    assert changes.writes == {"1_a.sql": table + row}
    assert changes.aside == ("1_a.sql", "2_rows.sql")


def test_the_rest_of_a_blocked_plan_has_nothing_that_the_error_is_about(site):
    update = "update t set n = n * 100 where true;"
    history(site, m1_a="create table t (n int);", m2_b=update)
    site.apply()
    (site.root / "sql/2_b.sql").unlink()
    site.write("sql/3_b.sql", "-- edited\n" + update.replace("true", "n > 0"))
    site.write("sql/4_c.sql", "create table c (n int);")
    plans = []
    with pytest.raises(MigrationDiverged, match="disagree"):
        site.plan(options=PlanOptions(on_blocked=plans.append))
    assert [change.address for change in plans[0].changes] == ["migration:4_c.sql"]
