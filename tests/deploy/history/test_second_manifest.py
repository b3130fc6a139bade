"""Every command that judges or changes the history, run with a second manifest and with one that was moved."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mosaic_deploy.cli.commands.database.migrate import COMMANDS
from mosaic_deploy.deploy import Target
from mosaic_deploy.deploy.history.adopt import plan_baseline, plan_import
from mosaic_deploy.deploy.history.read import HistoryContext, history_statuses, read_history_context
from mosaic_deploy.deploy.history.repair import REPAIR, plan_repair
from mosaic_deploy.deploy.history.restore import plan_restore
from mosaic_deploy.deploy.history.rollback import plan_rollback, roll_back
from mosaic_deploy.diff.history.repairs import RepairRequest
from mosaic_deploy.errors import HistoryImportRefused, MigrationDiverged, RollbackRefused
from mosaic_deploy.model.event import ApplyDone
from mosaic_deploy.model.other_tools.tools import TOOLS
from mosaic_deploy.source.manifest.read import read_manifest
from mosaic_deploy.source.migrations.rearrange import rearrange
from tests.deploy.conftest import OPTIONS, Site
from tests.deploy.histories import history, known, repair, repairs, sql, states, tables, write

UP_DOWN = "-- migrate:up\ncreate table {0} (n int);\n-- migrate:down\ndrop table {0};\n"
BLOCK = "do $$ begin insert into a values (1); commit; perform 1/0; end $$;"
ROWS = "select version::int as v, file, checksum, steps_done from mosaic_deploy.migrations order by 1"


def _repair(**request: tuple) -> Callable[[Site], object]:
    return lambda site: plan_repair(site.api, known(site), RepairRequest(**request))


CHANGES: dict[str, Callable[[Site], object]] = {
    "apply": lambda site: site.plan(),
    "repair --accept": _repair(accept=("2",)),
    "repair --squash": _repair(squash=("2",)),
    "repair --forget": _repair(forget=("2",)),
    "repair --rename": _repair(rename=("2",)),
    "repair --applied": _repair(applied=(("2", 1),)),
    "repair --applied of a new file": _repair(applied=(("3", 1),)),
    "repair --not-applied": _repair(not_applied=(("2", 1),)),
    "rollback": lambda site: plan_rollback(site.api, known(site)),
    "rollback --to": lambda site: plan_rollback(site.api, known(site), to="0"),
    "rollback --to an unknown version": lambda site: plan_rollback(site.api, known(site), to="7"),
    "baseline": lambda site: plan_baseline(site.api, known(site), "2", allow_mismatch=True),
    "import": lambda site: plan_import(site.api, known(site), TOOLS["dbmate"], None, allow_mismatch=True),
}
"""How each command that changes the history makes its plan."""
_JUDGES = {"status"}
_OF_THE_DATABASE = {"drift"}
"""Compares, and records, only what the database has, whichever manifest deployed it."""
_OF_THE_FOLDER = {"new", "commit", "seal", "lint", "restore-file"}


def test_every_command_under_migrate_is_known_here():
    changing = {name.split()[0] for name in CHANGES} - {"apply"}
    assert changing | _JUDGES | _OF_THE_DATABASE | _OF_THE_FOLDER == set(COMMANDS) | {"seal"}


@pytest.fixture
def pair(site):
    """The folders `web`, with two applied migrations, and `admin` of one project."""
    web, admin = [replace(site, root=site.root / name) for name in ("web", "admin")]
    history(web, m1_a=UP_DOWN.format("a"), m2_b=UP_DOWN.format("b"))
    web.apply()
    return web, admin


def restore(site, version: str) -> None:
    rearrange(site.root, "sql", plan_restore(site.api, known(site), [version], datetime.now(UTC)))


def follow(site, error: MigrationDiverged) -> None:
    """Runs what the error offers first, until nothing is refused."""
    for _ in range(5):
        command = str(error.next_actions[0].command).removeprefix("mosaic-deploy migrate ")
        name, version = command.split()
        assert name == "restore-file"
        restore(site, version)
        try:
            site.plan()
        except MigrationDiverged as next_error:
            error = next_error
        else:
            return
    raise AssertionError("the offered commands lead nowhere")


FOLDERS = {
    "nothing in common": {"m2_x": "create table x (n int);", "m3_y": "create table y (n int);"},
    "one in common": {"m1_a": UP_DOWN.format("a"), "m3_y": UP_DOWN.format("y")},
    "one in common and the number of the other": {"m1_a": UP_DOWN.format("a"), "m2_x": UP_DOWN.format("x")},
    "one in common and one edited": {"m1_a": UP_DOWN.format("a"), "m2_b": UP_DOWN.format("b").replace("int", "text")},
    "one in common and one renumbered": {"m1_a": UP_DOWN.format("a"), "m3_b": UP_DOWN.format("b")},
    "both in one file": {"m2_all": "create table a (n int);\ncreate table b (n int);"},
}  # fmt: skip


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_second_manifest_changes_nothing_and_is_offered_only_what_works(pair, folder):
    web, admin = pair
    history(admin, **FOLDERS[folder])
    before = sql(web, ROWS)
    for name, attempt in CHANGES.items():
        with pytest.raises(MigrationDiverged) as caught:
            attempt(admin)
        error = caught.value
        said = " ".join([error.message, str(error.hint), *(problem.message for problem in error.problems)])
        assert "web/mosaic.yaml" in said, name
        words = [str(action.command).split() for action in error.next_actions]
        assert {each[2] for each in words} <= {"restore-file", "status"}, name
        assert words[0][2] == "restore-file", name
        assert all(problem.hint is None for problem in error.problems), name
        if ["mosaic-deploy", "migrate", "status"] in words:
            assert all(each.startswith("restore-file ") for each in repairs(admin)), name
    follow(admin, error)
    assert sql(web, ROWS) == before
    assert not web.plan().has_work


def test_after_the_offered_restore_the_number_of_another_migration_can_not_be_taken(pair):
    """Accepting 2_x.sql would replace 2_b.sql in the history, and a rollback drop what this manifest never made."""
    web, admin = pair
    history(admin, m2_x=UP_DOWN.format("x"))
    restore(admin, "1")
    for attempt in (CHANGES["repair --accept"], CHANGES["rollback"]):
        with pytest.raises(MigrationDiverged) as caught:
            attempt(admin)
        [problem] = caught.value.problems
        assert problem.message == (
            "admin/sql doesn't have these migrations as they were applied: 2_b.sql; web/mosaic.yaml applied them from "
            "web/sql"
        )
        assert [action.command for action in caught.value.next_actions] == [
            "mosaic-deploy migrate restore-file 2"
        ]
    assert not web.plan().has_work
    assert tables(web) == {"a", "b"}


def test_a_long_list_of_migrations_is_cut(pair):
    web, admin = pair
    history(web, **{f"m{number}_c": f"create table c{number} (n int);" for number in range(3, 9)})
    web.apply()
    history(admin, m1_a=UP_DOWN.format("a"))
    with pytest.raises(MigrationDiverged) as caught:
        CHANGES["rollback"](admin)
    assert "2_b.sql, 3_c.sql, 4_c.sql, 5_c.sql, 6_c.sql, 2 more; web" in caught.value.problems[0].message
    actions = [str(action.command).split()[2:] for action in caught.value.next_actions]
    assert actions == [["restore-file", "2"], ["status"]]
    assert repairs(admin) == [f"restore-file {number}" for number in range(2, 9)]
    with pytest.raises(MigrationDiverged) as planned:
        admin.plan()
    assert [str(a.command).split()[2] for a in planned.value.next_actions] == [
        "restore-file",
        "repair",
        "status",
    ]


def _move_all(web: Site) -> Site:
    web.root.rename(web.root.with_name("shop"))
    return replace(web, root=web.root.with_name("shop"))


def _other_checkout(web: Site) -> Site:
    copy = replace(web, root=web.root.parent / "checkout" / "web")
    shutil.copytree(web.root, copy.root)
    shutil.rmtree(web.root)
    return copy


MOVES = {"moved": _move_all, "in another checkout": _other_checkout}


@pytest.fixture(params=MOVES)
def moved(request, pair) -> Site:
    """The folder `web` under another name or path, with everything in it."""
    return MOVES[request.param](pair[0])


def test_a_moved_manifest_can_roll_back(moved):
    list(roll_back(moved.api, plan_rollback(moved.api, known(moved), to="0"), OPTIONS))
    assert tables(moved) == set()
    moved.apply()
    assert tables(moved) == {"a", "b"}


def test_a_moved_manifest_can_record_what_does_not_contradict_the_history(moved):
    moved.write("sql/2_b.sql", f"-- why\n{UP_DOWN.format('b')}")
    repair(moved, accept=("2_b.sql",))
    (moved.root / "sql/2_b.sql").rename(moved.root / "sql/2_renamed.sql")
    repair(moved, rename=("2",))
    moved.write("sql/3_c.sql", "create table c (n int);")
    repair(moved, applied=(("3", 1),))
    assert states(moved) == dict.fromkeys("123", "applied")
    assert not moved.plan().owner_pending, "a repair records the move as a deploy does"


def test_a_deploy_without_changes_records_the_move(moved):
    """Then everything else is possible again, and the plan says who can change the history."""
    planned = moved.plan()
    is_elsewhere = planned.owner_pending
    notes = [note.message for note in planned.plan.notes if note.code == "history_owner_changes"]
    assert len(notes) == is_elsewhere == planned.has_work == (moved.root.name == "shop")
    if notes:
        assert notes[0].startswith("web/mosaic.yaml applied these migrations from web/sql; an apply records")
        assert "those of shop/mosaic.yaml" in notes[0]
    moved.apply()
    planned = moved.plan()
    assert (planned.plan.notes, planned.has_work) == ((), False)
    (moved.root / "sql/2_b.sql").unlink()
    repair(moved, forget=("2",))
    moved.write("sql/1_a.sql", UP_DOWN.format("a").replace("int", "bigint"))
    repair(moved, accept=("1_a.sql",))
    (moved.root / "sql/1_a.sql").rename(moved.root / "sql/4_a.sql")
    repair(moved, rename=("1",))
    assert states(moved) == {"4": "applied"}


def test_what_a_moved_manifest_contradicts_is_restored_first(pair):
    shop = _move_all(pair[0])
    shop.write("sql/2_b.sql", UP_DOWN.format("b").replace("int", "text"))
    with pytest.raises(MigrationDiverged) as caught:
        shop.plan()
    assert "only web/mosaic.yaml can change this history; if web/sql was moved here" in str(caught.value.hint)
    follow(shop, caught.value)
    shop.apply()
    shop.write("sql/2_b.sql", UP_DOWN.format("b").replace("int", "text"))
    repair(shop, accept=("2_b.sql",))


@pytest.mark.parametrize(("folder", "file"), [("migrations", "mosaic.yaml"), ("sql", "shop.yaml")])
def test_one_of_both_may_be_renamed(pair, folder, file):
    web, _ = pair
    (web.root / "sql").rename(web.root / folder)
    web.manifest(database={"migrations": folder})
    (web.root / "mosaic.yaml").rename(web.root / file)

    def read() -> HistoryContext:
        manifest = read_manifest(web.root / file, environ={})
        return read_history_context(web.api, manifest, Target(None, web.name))

    for request in (RepairRequest(accept=("2_b.sql",)), RepairRequest(forget=("2",))):
        if request.accept:
            web.write(f"{folder}/2_b.sql", UP_DOWN.format("b").replace("int", "text"))
        else:
            (web.root / folder / "2_b.sql").unlink()
        planned = plan_repair(web.api, read(), request)
        assert isinstance(write(web, planned, REPAIR)[-1], ApplyDone)
    assert plan_rollback(web.api, read()).plan.changes


def test_a_step_that_another_manifest_began_is_not_recorded_for_a_file_of_its_number(site):
    """Nothing is committed, so the history doesn't contradict the file: but the statement may have run."""
    web, admin = [replace(site, root=site.root / name) for name in ("web", "admin")]
    history(web, m1_a=BLOCK)
    web.fails()
    history(admin, m1_x="do $$ begin commit; end $$;")
    attempts = (
        CHANGES["apply"],
        lambda site: history_statuses(site.api, known(site)),
        _repair(applied=(("1", 1),)),
        _repair(not_applied=(("1", 1),)),
    )
    for attempt in attempts:
        with pytest.raises(MigrationDiverged) as caught:
            attempt(admin)
        assert "another manifest's migrations" in caught.value.message
    follow(admin, caught.value)
    repair(admin, not_applied=(("1", 1),))


def test_a_history_of_which_nothing_is_left_is_no_ones(pair):
    web, admin = pair
    list(roll_back(web.api, plan_rollback(web.api, known(web), to="0"), OPTIONS))
    history(admin, m1_x=UP_DOWN.format("x"))
    planned = admin.plan()
    assert "history_owner_changes" not in [note.code for note in planned.plan.notes]
    admin.apply()
    with pytest.raises(MigrationDiverged):
        web.plan()


def test_the_owner_is_refused_for_other_reasons_only(pair):
    web, _ = pair
    for name, refusal in (
        ("baseline", HistoryImportRefused),
        ("rollback --to an unknown version", RollbackRefused),
    ):
        with pytest.raises(refusal):
            CHANGES[name](web)
