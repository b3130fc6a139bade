"""Rows of files that no deploy wrote: whoever may write to the database can't make `prune` delete what others uploaded."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import product

import pytest
from test_drift import put, put_stored, reasons, rows

from mosaic_deploy.deploy.planning.incremental import live_after_apply
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.ledger.proofs import Prover
from mosaic_deploy.model.event import ApplyDone
from mosaic_deploy.model.snapshot import Object
from tests.sampling import sampled

A = Object("a", "0" * 64, 1)
OLD = "path in ('old.txt', 'old.bin')"
KINDS = {"static": "upload.txt", "storage": "upload.bin"}
FORGED = (
    "insert into mosaic_deploy.objects (kind, path, sha256, size, state, deploy_id, manifest, proof) "
    "select kind, case kind when 'static' then 'upload.txt' else 'upload.bin' end, sha256, 4, {state}, deploy_id, "
    "{manifest}, {proof} from mosaic_deploy.objects where path in ('index.html', 'one.bin')"
)


@pytest.fixture
def pruned(site):
    """A deployed project with prune, to which somebody else uploaded a static and a storage file."""
    site.manifest(static={"dir": "www", "prune": True, "keep": 0}, storage={"dir": "pics", "prune": True})
    for path in ("www/index.html", "www/old.txt", "pics/one.bin", "pics/old.bin"):
        site.write(path, path)
    site.apply()
    put(site, "upload.txt", "mine")
    put_stored(site, "upload.bin", b"mine")
    return site


STATES, PROOFS = ["'live'", "'kept'", "'pending'"], ["''", "proof", "left(proof, 9) || repeat('0', 32)"]


@pytest.mark.parametrize(
    ("state", "manifest", "proof"), sampled(product(STATES, ["manifest", "''"], PROOFS), 4)
)
def test_forged_rows_delete_nothing(pruned, state, manifest, proof):
    pruned.sql(FORGED.format(state=state, manifest=manifest, proof=proof))
    planned = pruned.plan()
    assert (reasons(planned), planned.has_work) == ({}, True)
    assert [note.code for note in planned.plan.notes] == ["static_unmanaged", "storage_unmanaged"]
    assert isinstance(pruned.run(planned)[-1], ApplyDone)
    assert pruned.get("/upload.txt").text == "mine"
    assert not set(rows(pruned)) & set(KINDS.values()), "the rows are gone"
    again = pruned.plan()
    assert (reasons(again), again.has_work) == ({}, False)


def test_prune_all_deletes_them_after_approval(pruned):
    pruned.sql(FORGED.format(state="'live'", manifest="manifest", proof="proof"))
    pruned.manifest(static={"dir": "www", "prune": "all", "keep": 0}, storage={"dir": "pics", "prune": "all"})
    plan = pruned.plan().plan
    assert {change.unmanaged for change in plan.changes} == {True}
    assert [approval.allow for approval in plan.approvals] == ["prune=2"]


def with_other_key(site) -> None:
    """As if the rows were written with the API key before a rotation."""
    prover = Prover("mk_before_the_rotation", site.project_id)
    for row in site.sql("select kind, path, manifest, sha256, size from mosaic_deploy.objects"):
        found = Object(row["path"], row["sha256"], int(row["size"]))
        other = proof(prover, row["kind"], found, row["manifest"])
        site.sql(f"update mosaic_deploy.objects set proof = '{other}' where path = '{row['path']}'")


def test_after_a_rotation_the_next_deploy_proves_the_files_of_its_folder(pruned):
    with_other_key(pruned)
    planned = pruned.plan()
    assert (reasons(planned), planned.has_work) == ({}, True)
    pruned.run(planned)
    assert not pruned.plan().has_work
    for path in ("www/old.txt", "pics/old.bin"):
        (pruned.root / path).unlink()
    assert set(reasons(pruned.plan())) == {"static:old.txt", "storage:old.bin"}


def test_after_a_rotation_files_that_are_new_changed_or_were_kept_are_proven_as_they_become(pruned):
    (pruned.root / "www/old.txt").unlink()
    pruned.manifest(static={"dir": "www"}, storage={"dir": "pics"})
    pruned.apply()
    with_other_key(pruned)
    pruned.write("www/new.txt", "new")
    pruned.write("www/old.txt", "www/old.txt")
    pruned.write("pics/old.bin", "changed")
    pruned.manifest(static={"dir": "www", "prune": True, "keep": 0}, storage={"dir": "pics", "prune": True})
    pruned.apply()
    paths = ("www/new.txt", "www/old.txt", "pics/old.bin")
    for path in paths:
        (pruned.root / path).unlink()
    assert set(reasons(pruned.plan())) == {"static:new.txt", "static:old.txt", "storage:old.bin"}


def test_a_file_that_is_removed_before_that_stays_live(pruned):
    with_other_key(pruned)
    (pruned.root / "www/old.txt").unlink()
    pruned.write("www/index.html", "changed")
    planned = pruned.plan()
    assert reasons(planned) == {"static:index.html": "content changed"}
    pruned.run(planned)
    assert pruned.get("/old.txt").text == "www/old.txt"
    again = pruned.plan()
    assert not again.has_work
    for each in (planned, again):
        messages = [note.message for note in each.plan.notes if note.code.startswith("static_")]
        assert messages == [
            "1 live file deployed with another API key, as before a rotation, and no longer in the folder, kept: old.txt; "
            "static.prune: all deletes it",
            "1 unmanaged live file, kept: upload.txt",
        ]
    assert rows(pruned)["old.txt"] == "kept"


@pytest.mark.parametrize("content", ["www/old.txt", "edited"])
def test_a_file_that_returns_after_a_rotation_is_this_manifests_again(pruned, content):
    with_other_key(pruned)
    (pruned.root / "www/old.txt").unlink()
    pruned.apply()
    pruned.write("www/old.txt", content)
    planned = pruned.plan()
    assert [approval.allow for approval in planned.plan.approvals] == []
    pruned.apply()
    (pruned.root / "www/old.txt").unlink()
    assert reasons(pruned.plan()) == {"static:old.txt": "no longer in the folder"}


def test_a_file_that_others_replaced_after_a_rotation_is_theirs(pruned):
    with_other_key(pruned)
    (pruned.root / "www/old.txt").unlink()
    pruned.apply()
    put(pruned, "old.txt", "uploaded")
    pruned.write("www/old.txt", "edited")
    assert [approval.allow for approval in pruned.plan().plan.approvals] == ["overwrite=1"]


def test_a_row_of_another_key_without_a_live_file_goes(pruned):
    with_other_key(pruned)
    (pruned.root / "www/old.txt").unlink()
    pruned.apply()
    pruned.api.call(endpoints.DELETE_STATIC_FILE, project=pruned.project_id, filename="old.txt")
    pruned.apply()
    assert "old.txt" not in rows(pruned)


def test_prune_all_deletes_what_another_key_deployed_after_approval(pruned):
    with_other_key(pruned)
    (pruned.root / "www/old.txt").unlink()
    pruned.manifest(static={"dir": "www", "prune": "all", "keep": 0}, storage={"dir": "pics"})
    planned = pruned.plan()
    assert reasons(planned)["static:old.txt"] == "deployed with another API key, as before a rotation"
    assert [approval.allow for approval in planned.plan.approvals] == ["prune=2"]
    pruned.apply()
    assert "old.txt" not in rows(pruned)


def test_a_row_of_the_old_layout_deletes_nothing(pruned):
    pruned.sql(
        "alter table mosaic_deploy.objects drop column proof; update mosaic_deploy.ledger set version = 3"
    )
    (pruned.root / "www/old.txt").unlink()
    planned = pruned.plan()
    assert (reasons(planned), planned.has_work) == ({}, True)
    assert isinstance(pruned.run(planned)[-1], ApplyDone)
    (pruned.root / "pics/old.bin").unlink()
    assert set(reasons(pruned.plan())) == {"storage:old.bin"}


@pytest.mark.parametrize("forged", [False, True])
def test_what_watch_remembers_equals_what_a_plan_reads(pruned, forged):
    with_other_key(pruned)
    if forged:
        pruned.sql(FORGED.format(state="'live'", manifest="manifest", proof="''"))
    planned = replace(pruned.plan())
    pruned.run(planned)
    remembered, read = live_after_apply(planned), pruned.plan().live
    assert remembered.snapshot.fingerprint() == read.snapshot.fingerprint()
    assert not any(
        each.paths or each.stale for each in (*remembered.unproven.values(), *read.unproven.values())
    )


def test_watch_reads_again_while_rows_of_another_key_may_count_again(pruned):
    with_other_key(pruned)
    (pruned.root / "www/old.txt").unlink()
    planned = pruned.plan()
    pruned.run(planned)
    assert live_after_apply(planned) is None


def test_a_manifest_without_a_kind_leaves_its_rows(pruned):
    with_other_key(pruned)
    pruned.manifest(static={"dir": "www", "prune": True, "keep": 0})
    pruned.apply()
    assert {"one.bin", "old.bin"} <= set(rows(pruned))


@pytest.mark.parametrize("state", ["live", "kept", "pending"])
@pytest.mark.parametrize("size", ["size", "8"])
def test_an_old_row_written_again_deletes_nothing_that_others_uploaded(pruned, state, size):
    pruned.sql(f"create table saved as select * from mosaic_deploy.objects where {OLD}")
    for path in ("www/old.txt", "pics/old.bin"):
        (pruned.root / path).unlink()
    pruned.apply()
    put(pruned, "old.txt", "uploaded")
    put_stored(pruned, "old.bin", b"uploaded")
    pruned.sql(f"update saved set state = '{state}', size = {size}")
    pruned.sql("insert into mosaic_deploy.objects select * from saved")
    plan = pruned.plan().plan
    assert {change.unmanaged for change in plan.changes} <= {True}
    assert [approval.allow for approval in plan.approvals] == (["prune=2"] if size == "size" else [])


def test_a_file_that_others_changed_since_is_deleted_after_approval(pruned):
    put(pruned, "old.txt", "edited by somebody")
    for path in ("www/old.txt", "pics/old.bin"):
        (pruned.root / path).unlink()
    planned = pruned.plan()
    assert reasons(planned) == {
        "static:old.txt": "no longer in the folder; changed since it was deployed",
        "storage:old.bin": "no longer in the folder",
    }
    assert [approval.allow for approval in planned.plan.approvals] == ["prune=2"]


def proof(prover: Prover, kind: str, row: Object, manifest: str) -> str:
    return prover.proofs(kind, [row], manifest)[row.path]


def test_a_proof_is_of_one_project_kind_path_manifest_and_content():
    prover = Prover("key", "project")
    proofs = {
        proof(prover, "static", A, "m"), proof(prover, "storage", A, "m"), proof(prover, "static", replace(A, path="b"), "m"),
        proof(prover, "static", A, "n"), proof(Prover("key", "other"), "static", A, "m"),
        proof(Prover("other", "project"), "static", A, "m"), proof(prover, "static", replace(A, size=2), "m"),
        proof(prover, "static", replace(A, sha256="1" * 64), "m"),
    }  # fmt: skip
    assert len(proofs) == 8
    assert all("key" not in each for each in proofs)


def test_many_rows_without_proofs_take_little_time():
    rows = {f"{number}.png": replace(A, path=f"{number}.png") for number in range(30_000)}
    began = time.monotonic()
    proven, unproven = Prover("key", "project").split("static", rows, {}, {"0.png": A}, "m")
    assert (len(proven), len(unproven.paths)) == (1, 29_999)
    assert time.monotonic() - began < 5
