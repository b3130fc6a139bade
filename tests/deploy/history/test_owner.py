"""A project has one migration history: a second manifest with a migrations folder of its own is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mosaic_deploy.deploy.history.read import history_statuses
from mosaic_deploy.deploy.history.repair import plan_repair
from mosaic_deploy.deploy.history.rollback import plan_rollback
from mosaic_deploy.diff.history.owner import HistoryOwner, owner_record, parse_owner
from mosaic_deploy.diff.history.repairs import RepairRequest
from mosaic_deploy.errors import MigrationDiverged
from tests.deploy.histories import history, known, repairs, sql

FOREIGN = "none of the applied migrations is in admin/sql: web/mosaic.yaml applied them from web/sql"


@pytest.fixture
def pair(site):
    """The folders `web`, with two applied migrations, and `admin` of one project."""
    web, admin = [replace(site, root=site.root / name) for name in ("web", "admin")]
    history(
        web,
        m1_a="-- migrate:up\ncreate table a (n int);\n-- migrate:down\ndrop table a;",
        m2_b="create table b (n int);",
    )
    web.apply()
    return web, admin


def test_a_second_folder_can_neither_run_nor_repair_anything(pair):
    web, admin = pair
    history(admin, m1_c="create table c (n int);", m3_d="create table d (n int);")
    attempts = [
        admin.plan,
        lambda: history_statuses(admin.api, known(admin)),
        lambda: plan_rollback(admin.api, known(admin)),
        lambda: plan_repair(admin.api, known(admin), RepairRequest(forget=("2",))),
        lambda: plan_repair(admin.api, known(admin), RepairRequest(applied=(("1", 1),))),
    ]
    for attempt in attempts:
        with pytest.raises(MigrationDiverged) as caught:
            attempt()
        [problem] = caught.value.problems
        assert (problem.message, Path(problem.location.file).name) == (FOREIGN, "mosaic.yaml")
        [action] = caught.value.next_actions
        assert action.command == "mosaic-deploy migrate restore-file 1"
    assert not web.plan().has_work


def test_a_file_in_common_does_not_make_the_others_forgettable(pair):
    web, admin = pair
    history(admin, m1_a=(web.root / "sql/1_a.sql").read_text())
    assert repairs(admin) == ["restore-file 2"]
    with pytest.raises(MigrationDiverged) as diverged:
        admin.plan()
    assert [action.command.split()[2] for action in diverged.value.next_actions] == ["restore-file", "status"]
    with pytest.raises(MigrationDiverged) as caught:
        plan_repair(admin.api, known(admin), RepairRequest(forget=("2",)))
    assert "web/mosaic.yaml applied them from web/sql" in caught.value.problems[0].message


def test_a_moved_folder_owns_the_history_after_its_next_deploy(pair):
    web, _ = pair
    web.root.rename(web.root.with_name("shop"))
    shop = replace(web, root=web.root.with_name("shop"))
    assert shop.plan().plan.changes == ()
    shop.write("sql/3_c.sql", "create table c (n int);")
    shop.apply()
    (shop.root / "sql/3_c.sql").unlink()
    [record] = sql(shop, "select value from mosaic_deploy.settings where name = 'migrations'")
    assert "shop/sql" in str(record["value"])
    assert plan_repair(shop.api, known(shop), RepairRequest(forget=("3",))).plan.changes


def test_an_edited_file_of_a_moved_folder_is_restored_first(pair):
    web, _ = pair
    web.root.rename(web.root.with_name("shop"))
    shop = replace(web, root=web.root.with_name("shop"))
    shop.write("sql/2_b.sql", "create table b (n bigint);")
    with pytest.raises(MigrationDiverged) as caught:
        shop.plan()
    assert [problem.message for problem in caught.value.problems] == ["was edited after it was applied"]


def test_two_manifests_may_share_a_folder(pair):
    web, _ = pair
    (web.root / "mosaic.yaml").rename(web.root / "other.yaml")
    web.manifest(database={"migrations": "sql"})
    web.write("sql/3_c.sql", "create table c (n int);")
    web.apply()


@pytest.mark.parametrize(
    ("own", "recorded", "other"),
    [
        (("web/mosaic.yaml", "web/sql", True), ("web/mosaic.yaml", "web/sql", True), False),
        (("mosaic.yaml", "sql", True), ("web/mosaic.yaml", "web/sql", True), True),
        (("mosaic.yaml", "sql", True), ("shop/mosaic.yaml", "shop/sql", False), False),
        (("shop/mosaic.yaml", "shop/sql", False), ("mosaic.yaml", "sql", True), False),
        (("shop/two.yaml", "shop/two", False), ("shop/one.yaml", "shop/one", False), True),
        (("shop/two.yaml", "shop/sql", False), ("shop/one.yaml", "shop/sql", False), False),
        (("shop/one.yaml", "shop/new", False), ("shop/one.yaml", "shop/sql", False), False),
        (("admin/mosaic.yaml", "admin/sql", True), ("web/mosaic.yaml", "web/sql", True), True),
    ],
)
def test_what_may_be_the_same_manifest_or_folder_is_not_another_one(own, recorded, other):
    one, before = HistoryOwner(*own), HistoryOwner(*recorded)
    assert one.is_other(before) is other
    assert parse_owner(owner_record(before)) == before


@pytest.mark.parametrize("record", [None, [], {}, {"manifest": "a"}, "x"])
def test_a_record_that_cannot_be_read_is_none(record):
    assert parse_owner(record) is None
    assert not HistoryOwner("a", "b").is_other(None)
