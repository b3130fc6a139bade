"""Every command that a refusal or a problem offers does what is said about it."""

from __future__ import annotations

import pytest

from mosaic_deploy.cli.render.text.migration_status import status_text
from mosaic_deploy.deploy.history.read import history_statuses
from mosaic_deploy.deploy.history.repair import plan_repair
from mosaic_deploy.deploy.history.rollback import plan_rollback, roll_back
from mosaic_deploy.diff.history.repairs import RepairRequest
from mosaic_deploy.errors import MigrationDiverged, RepairRefused
from tests.deploy.conftest import OPTIONS
from tests.deploy.histories import history, known, repairs, states, tables

UP_DOWN = "-- migrate:up\ncreate table {0} (id int);\n-- migrate:down\ndrop table {0};\n"


def hints(site, **request: tuple) -> list[str]:
    with pytest.raises(RepairRefused) as caught:
        plan_repair(site.api, known(site), RepairRequest(**request))
    return [str(problem.hint) for problem in caught.value.problems]


def offered(site) -> list[str]:
    """The commands of `plan`, without the last one, which compares both sides."""
    with pytest.raises(MigrationDiverged) as caught:
        site.plan()
    return [str(a.command).removeprefix("mosaic-deploy migrate ") for a in caught.value.next_actions[:-1]]


def test_a_refused_repair_names_the_rollback_of_that_migration_and_all_that_it_undoes(site):
    history(site, **{f"m{n}_{name}": UP_DOWN.format(name) for n, name in enumerate("abc", 1)})
    site.apply()
    command = "`mosaic-deploy migrate rollback --to 1` undoes it and 3_c.sql, the newest first, if they have "
    for request in ({"forget": ("2",)}, {"not_applied": (("2", 1),)}, {"applied": (("2", 1),)}):
        [hint] = hints(site, **request)
        assert hint.startswith(command), hint
    [newest] = hints(site, not_applied=(("3", 1),))
    assert newest == "`mosaic-deploy migrate rollback --to 2` undoes it if it has a down migration"
    list(roll_back(site.api, plan_rollback(site.api, known(site), to="1"), OPTIONS))
    assert tables(site) == {"a"}


def test_no_rollback_is_offered_below_a_partly_applied_migration(site):
    history(site, m1_a=UP_DOWN.format("a"), m2_b="select 1; create index concurrently i on a (nope(id));")
    site.fails()
    assert hints(site, forget=("1",)) == ["to keep what it did, remove the file first"]
    assert hints(site, not_applied=(("1", 1),)) == ["None"]


def test_another_file_with_the_number_of_an_applied_one(site):
    """`migrate status` offers what `plan` offers: nothing about the new file works before the old one is settled."""
    history(site, m1_a="create table a (id int);")
    site.apply()
    (site.root / "sql/1_a.sql").unlink()
    site.write("sql/1_other.sql", "create table other (id bigint);")
    lines = history_statuses(site.api, known(site))
    assert {line.file: str(line.state) for line in lines} == {
        "1_a.sql": "missing", "1_other.sql": "number_taken",
    }  # fmt: skip
    assert status_text(lines[1]) == "pending, but 1_a.sql was applied with its number"
    assert repairs(site) == offered(site) == ["restore-file 1", "repair --forget 1"]


def test_files_out_of_order_wait_for_what_contradicts_the_history(site):
    history(site, m1_a="select 1;", m3_c="select 3;")
    site.apply()
    site.write("sql/2_b.sql", "select 2;")
    assert repairs(site) == ["mosaic-deploy apply --allow-out-of-order", "repair --applied 2:1"]
    site.write("sql/3_c.sql", "select 33;")
    assert states(site)["2"] == "out_of_order"
    assert repairs(site) == offered(site) == ["restore-file 3", "repair --accept 3_c.sql"]


def test_the_shown_difference_names_the_file_that_was_applied(site):
    history(site, m1_visits="create table a (id int); create table b (id int);")
    site.apply()
    (site.root / "sql/1_visits.sql").unlink()
    site.write("sql/1_appointments.sql", "create table a (id int); create table c (id int);")
    with pytest.raises(MigrationDiverged) as caught:
        site.plan()
    shown = str(caught.value.problems[0].diff).splitlines()[:2]
    assert shown == ["--- sql/1_visits.sql (as applied)", "+++ sql/1_appointments.sql"]


def test_files_that_are_ignored_are_mentioned(site):
    history(site, m1_a="select 1;")
    site.write("sql/2_b.down.sql", "select 2;")
    site.write("sql/old/3_c.sql", "select 3;")
    found = [note.message for note in site.plan().plan.notes if note.code == "migration_ignored"]
    assert found == [
        "sql/2_b.down.sql is a down migration without its migration",
        "sql/old has migrations, but only files directly in the migrations folder are used",
    ]
