"""An incremental plan equals the plan from reading both sides completely."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mosaic_deploy import deploy
from mosaic_deploy.deploy import PlanOptions, Target
from mosaic_deploy.deploy.planning.incremental import IncrementalPlanner, live_after_apply
from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.diff.objects import Retirement
from mosaic_deploy.diff.plan import PlanRules, make_plan
from mosaic_deploy.errors import MigrationDiverged, MosaicError, SecretFound
from mosaic_deploy.live.snapshot import LiveState
from mosaic_deploy.model.change import DeleteStatic
from mosaic_deploy.model.event import ApplyDone
from mosaic_deploy.model.manifest import Manifest, StaticSpec
from mosaic_deploy.model.snapshot import Object, ObjectState, Project, Snapshot
from mosaic_deploy.source.incremental import index_files, reread_files
from mosaic_deploy.source.manifest.read import read_manifest
from mosaic_deploy.source.snapshot import Desired, read_desired
from tests.deploy.conftest import OPTIONS
from tests.sampling import sampled

NAMES = ("a.css", "b/index.html", "b/c d.js", "index.html", "é 😀.txt")


def following(site) -> IncrementalPlanner:
    manifest = read_manifest(site.root, environ={})
    return IncrementalPlanner(
        site.api, manifest, Target(manifest.project.id, manifest.project.name), PlanOptions()
    )


def follow(site, followed: IncrementalPlanner, *edited: str) -> bool:
    """One round of a watch: plans, compares with a full plan, applies. Returns whether there were changes."""
    planned = followed.plan(edited)
    manifest = read_manifest(site.root, environ={})
    target = Target(manifest.project.id, manifest.project.name)
    # Without the notes on what an apply only records: a watch records it at once.
    full = deploy.compare(site.api, *deploy.read_desired_and_live(site.api, manifest, target))
    assert planned.plan.changes == full.plan.changes
    assert planned.plan.notes == full.plan.notes
    assert (planned.plan.desired, planned.plan.live) == (full.plan.desired, full.plan.live)
    assert planned.plan.fingerprint == full.plan.fingerprint
    assert planned.ledger_cleanup() == full.ledger_cleanup()
    assert planned.has_work == full.has_work
    if not planned.has_work:
        return False
    last = list(deploy.apply(site.api, planned, OPTIONS))[-1]
    assert isinstance(last, ApplyDone), last
    followed.record_apply(planned, last)
    return True


EDITS = {
    "a file's content": lambda root: (root / "public/a.css").write_text("new"),
    "the same content": lambda root: (root / "public/a.css").write_text("a.css"),
    "a new file": lambda root: (root / "public/new.txt").write_text("new"),
    "a file that is gone": lambda root: (root / "public/a.css").unlink(),
    "an asset": lambda root: (root / "assets/a.bin").write_bytes(b"other"),
    "a new asset": lambda root: (root / "assets/b.bin").write_bytes(b"new"),
    "an asset that is gone": lambda root: (root / "assets/a.bin").unlink(),
    "a folder that is gone": lambda root: shutil.rmtree(root / "public/b"),
    "a migration": lambda root: (root / "sql/2_u.sql").write_text("create table u (id int);"),
    "a file instead of a folder": lambda root: (shutil.rmtree(root / "public/b"), (root / "public/b.txt").write_text("b")),
}  # fmt: skip


@pytest.mark.parametrize(("name", "prune"), sampled(product(EDITS, [False, True]), 3))
def test_the_plan_after_an_edit_equals_a_full_plan(site, name: str, prune: bool) -> None:
    fill(site, prune=prune)
    followed = following(site)
    assert follow(site, followed)
    assert not follow(site, followed)
    EDITS[name](site.root)
    assert follow(site, followed, *changed(site.root, name)) == (name != "the same content")
    assert not follow(site, followed)
    (site.root / "public/index.html").write_text("after that")
    assert follow(site, followed, "public/index.html")
    assert not follow(site, followed)


def fill(site, *, prune: bool) -> None:
    for name in NAMES:
        site.write(f"public/{name}", name)
    site.write("assets/a.bin", b"storage")
    site.write("sql/1_t.sql", "create table t (id int);")
    site.manifest(
        static={"dir": "public", "prune": prune},
        storage={"dir": "assets", "prefix": "x/", "prune": prune},
        database={"migrations": "sql"},
    )


def changed(root: Path, name: str) -> list[str]:
    """Edits as a file watcher reports them, with temporary files of an editor."""
    paths = {"an asset": "assets/a.bin", "a migration": "sql/2_u.sql", "a new asset": "assets/b.bin"}
    paths |= {"an asset that is gone": "assets/a.bin", "a new file": "public/new.txt"}
    paths |= {"a folder that is gone": "public/b", "a file instead of a folder": "public/b"}
    return [paths.get(name, "public/a.css"), "public/4913", "public/a.css~"]


ACTS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["x", "y", "z", None])), min_size=1, max_size=4
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(runs=st.lists(ACTS, min_size=1, max_size=4), prune=st.booleans())
def test_the_plan_after_any_edits_equals_a_full_plan(
    site, runs: list[list[tuple[str, str | None]]], prune: bool
) -> None:
    shutil.rmtree(site.root / "public", ignore_errors=True)
    fill(site, prune=prune)
    followed = following(site)
    follow(site, followed)
    for acts in runs:
        for name, content in acts:
            edit(site.root / "public" / name, content)
        follow(site, followed, *(f"public/{name}" for name, _ in acts))


def edit(file: Path, content: str | None) -> None:
    file.unlink(missing_ok=True) if content is None else file.write_text(content)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_rereading_equals_a_full_read(tmp_path: Path, acts: list[tuple[str, str | None]]) -> None:
    for name in NAMES:
        (tmp_path / "public" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "public" / name).write_text(name)
    (tmp_path / "mosaic.yaml").write_text(
        "version: 1\nproject: {name: x}\nstatic: {dir: public}\nstorage: {dir: public}\n"
    )
    manifest = read_manifest(tmp_path, environ={})
    before = read_desired(manifest)
    for name, content in acts:
        edit(tmp_path / "public" / name, content)
    found = reread_files(before, index_files(before), {f"public/{name}" for name, _ in acts})
    assert found is None or found == read_desired(manifest)
    assert (found is None) == any(not (tmp_path / "public" / name).exists() for name, _ in acts)


PATHS = st.sampled_from(["a.css", "b.html", "c.txt", "index.html"])
WANTED = st.dictionaries(PATHS, st.sampled_from(["1" * 64, "2" * 64]))
FOUND = st.dictionaries(PATHS, st.tuples(st.sampled_from(["1" * 64, "2" * 64]), st.sampled_from(ObjectState)))


@given(
    wanted=WANTED,
    found=FOUND,
    prune=st.sampled_from([False, True, "all"]),
    keep=st.sampled_from([0.0, 60.0]),
    retired_for=st.sampled_from([None, 59.0, 60.0]),
)
def test_after_an_apply_the_plan_is_empty(
    wanted: dict[str, str],
    found: dict[str, tuple[str, ObjectState]],
    prune: Any,
    keep: float,
    retired_for: float | None,
) -> None:
    """From any state of the ledger's rows, the computed live side needs no changes and no cleanup."""
    project = Project("x", "x")
    desired = Snapshot(project, static={path: Object(path, sha, 1) for path, sha in wanted.items()})
    rows = {path: Object(path, sha, 1, state, 9) for path, (sha, state) in found.items()}
    if retired_for is not None:
        retired = [row for row in rows.values() if row.state in (ObjectState.KEPT, ObjectState.KEPT_CHANGED)]
        rows |= {
            row.path: replace(row, retired_at=1.0, retired_for=retired_for, listed_size=None)
            for row in retired
        }
    live = LiveState(Snapshot(project, static=rows, serial=5), ledger_exists=True)
    manifest = Manifest(Path("mosaic.yaml"), static=StaticSpec("public", prune=prune, keep=keep))
    rules = PlanRules(prune_static=prune, retirement=Retirement(keep))
    planned = PreparedPlan(make_plan(desired, live.snapshot, rules), Desired(manifest, desired), live)
    after = live_after_apply(planned)
    if any(isinstance(change, DeleteStatic) and change.keep for change in planned.plan.changes):
        assert after is None, "the database's clock measures how long they are kept"
        return
    assert after is not None
    assert after.snapshot.serial == 7
    again = PreparedPlan(make_plan(desired, after.snapshot, rules), planned.desired, after)
    assert again.plan.empty
    assert not any(again.ledger_cleanup().values())


@pytest.mark.parametrize(
    ("serial", "auth", "left_out", "known"),
    [
        (5, False, (), True),
        (5, False, ("migration:1_a.sql",), False),
        (0, False, (), False),
        (5, True, (), False),
    ],
)
def test_the_live_side_is_known_only_after_all_files_of_an_existing_project(
    serial: int, auth: bool, left_out: tuple[str, ...], known: bool
) -> None:
    project = Project("x", "x")
    files = {"a.css": Object("a.css", "1" * 64, 1)}
    desired = Snapshot(project, static=files, auth={"redirect_url": "/"} if auth else None)
    live = LiveState(Snapshot(project, static={}, serial=serial), ledger_exists=bool(serial))
    plan = replace(make_plan(desired, live.snapshot, PlanRules()), left_out=left_out)
    manifest = Manifest(Path("mosaic.yaml"), static=StaticSpec("public"))
    after = live_after_apply(PreparedPlan(plan, Desired(manifest, desired), live))
    assert (after is not None) is known
    assert after is None or after.snapshot.static == files


def _link(file: Path) -> None:
    file.with_name("other").write_text("linked")
    file.unlink()
    file.symlink_to("other")


def _second_name(file: Path) -> None:
    os.link(file, file.parent.parent / "second name")


CAREFUL = {
    "a link": _link,
    "a second name": _second_name,
    "a secret": lambda file: file.write_text("key = 'AKIA" + "ABCDEFGHIJKLMNOP'"),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
}  # fmt: skip


@pytest.mark.parametrize("name", CAREFUL)
def test_edits_that_need_a_full_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "public/a.txt").write_text("a")
    (tmp_path / "mosaic.yaml").write_text("version: 1\nproject: {name: x}\nstatic: {dir: public}\n")
    before = read_desired(read_manifest(tmp_path, environ={}))
    CAREFUL[name](tmp_path / "public/a.txt")
    assert reread_files(before, index_files(before), ["public/a.txt"]) is None


def test_an_edit_needs_neither_listings_nor_the_ledger(site) -> None:
    fill(site, prune=False)
    followed = following(site)
    follow(site, followed)
    followed.plan(())
    before = site.api.traffic.requests
    (site.root / "public/a.css").write_text("b")
    planned = followed.plan(["public/a.css"])
    assert site.api.traffic.requests == before
    list(deploy.apply(site.api, planned, OPTIONS))
    # Lease, pending row, file, live row, release.
    assert site.api.traffic.requests == before + 5


def test_a_rejected_edit_is_not_lost(site) -> None:
    fill(site, prune=False)
    followed = following(site)
    follow(site, followed)
    follow(site, followed)
    site.write("public/a.css", "key = 'AKIA" + "ABCDEFGHIJKLMNOP'")
    with pytest.raises(SecretFound):
        followed.plan(["public/a.css"])
    site.write("public/index.html", "edited")
    with pytest.raises(SecretFound):
        followed.plan(["public/index.html"])
    site.write("public/a.css", "no secret")
    assert follow(site, followed, "public/a.css")
    assert site.get("/index.html").text == "edited"


def test_another_deploy_is_detected_by_its_serial(site) -> None:
    fill(site, prune=False)
    followed = following(site)
    follow(site, followed)
    follow(site, followed)
    site.write("public/a.css", "another deploy's")
    site.apply()
    site.write("public/index.html", "ours")
    planned = followed.plan(["public/index.html"])
    last = list(deploy.apply(site.api, planned, OPTIONS))[-1]
    assert isinstance(last.error, MosaicError)
    assert last.error.code == "plan_stale"
    followed.record_apply(planned, last)
    assert follow(site, followed, "public/index.html")


def test_what_was_read_during_another_deploy_is_read_again(site) -> None:
    fill(site, prune=False)
    follow(site, following(site))
    site.sql("insert into mosaic_deploy.lease values (true, 'h', 't', now(), now() + interval '1 minute')")
    followed = following(site)
    site.write("public/a.css", "edited")
    followed.plan(["public/a.css"])
    site.sql("delete from mosaic_deploy.lease")
    assert follow(site, followed, "public/a.css")


def test_a_history_repaired_elsewhere_is_read_again(site) -> None:
    fill(site, prune=False)
    followed = following(site)
    follow(site, followed)
    followed.plan(())
    site.api.sql(site.plan().plan.project.id, "drop table t; delete from mosaic_deploy.migrations")
    site.write("sql/1_t.sql", "create table t (id bigint);")
    assert follow(site, followed, "sql/1_t.sql")


def test_a_deleted_pending_migration_is_no_longer_pending(site) -> None:
    fill(site, prune=False)
    followed = following(site)
    follow(site, followed)
    site.write("sql/2_u.sql", "create table u (id int);")
    assert followed.plan(["sql/2_u.sql"]).plan.changes
    (site.root / "sql/2_u.sql").unlink()
    assert not follow(site, followed, "sql/2_u.sql")


def test_watch_postpones_a_migration_without_statements_and_apply_does_not(site) -> None:
    fill(site, prune=False)
    site.apply()
    site.write("sql/2_b.sql", "-- b\n")
    site.write("sql/3_c.sql", "create table c (id int);")
    site.write("public/a.css", "goes on")
    manifest = read_manifest(site.root, environ={})
    target = Target(manifest.project.id, manifest.project.name)
    patient = deploy.plan(site.api, manifest, target, PlanOptions(postpone_empty_migrations=True))
    assert [change.address for change in patient.plan.changes] == ["static:a.css"]
    assert patient.postponed_migrations == ("sql/2_b.sql", "sql/3_c.sql")
    assert not patient.plan.partial
    addresses = {change.address for change in site.plan().plan.changes}
    assert addresses == {"static:a.css", "migration:2_b.sql", "migration:3_c.sql"}


def test_a_partly_applied_file_is_not_postponed(site) -> None:
    fill(site, prune=False)
    site.write(
        "sql/1_t.sql", "create table t (id int);\ncreate index concurrently i on t (id);\nselect nope;"
    )
    assert site.run()[-1].type == "apply_failed"
    site.write("sql/1_t.sql", "-- nothing any more")
    manifest = read_manifest(site.root, environ={})
    target = Target(manifest.project.id, manifest.project.name)
    with pytest.raises(MigrationDiverged):
        deploy.plan(site.api, manifest, target, PlanOptions(postpone_empty_migrations=True))
    alone = deploy.plan(site.api, manifest, target, PlanOptions(files_only=True))
    assert alone.plan.partial
    assert alone.plan.left_out == ("migration:1_t.sql",)
