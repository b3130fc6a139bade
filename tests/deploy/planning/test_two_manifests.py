"""Two manifests that deploy to one project: prune deletes only the files of the one that is deployed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_drift import reasons

from mosaic_deploy.live.ledger.read import LEDGER_VERSION
from mosaic_deploy.source.manifest.find import former_identity, manifest_identity


@pytest.fixture
def pair(site):
    """The folders `web` and `admin` of one project, each with its manifest and prune."""
    both = [replace(site, root=site.root / name) for name in ("web", "admin")]
    for each in both:
        each.write(f"www/{each.root.name}.html", each.root.name)
        each.write(f"pics/{each.root.name}.bin", each.root.name)
        each.manifest(static={"dir": "www", "prune": True, "keep": 0}, storage={"dir": "pics", "prune": True})
        each.apply()
    return both


def test_neither_deletes_the_files_of_the_other(pair):
    web, admin = pair
    for each in (web, admin, web):
        planned = each.plan()
        assert (reasons(planned), planned.has_work) == ({}, False)
    (web.root / "www/web.html").unlink()
    web.write("www/index.html", "now here")
    assert reasons(web.plan()) == {"static:index.html": "new", "static:web.html": "no longer in the folder"}
    web.apply()
    assert web.get("/admin.html").text == "admin"
    assert [note.code for note in web.plan().plan.notes] == ["static_foreign", "storage_foreign"]


@pytest.mark.parametrize("content", ["admin", "changed"])
def test_taking_over_a_file_is_shown_and_recorded(pair, content):
    web, admin = pair
    web.write("www/admin.html", content)
    [note] = [note for note in web.plan().plan.notes if note.code == "static_taken_over"]
    assert note.message == "takes over 1 file that admin/mosaic.yaml deployed: admin.html"
    web.apply()
    assert "static_taken_over" not in [note.code for note in web.plan().plan.notes]
    (admin.root / "www/admin.html").unlink()
    assert reasons(admin.plan()) == {}, "it is the other's now"


def test_the_identity_is_the_path_in_the_repository(tmp_path):
    folder = tmp_path / "checkout" / "web"
    folder.mkdir(parents=True)
    assert manifest_identity(folder / "mosaic.yaml") == "web/mosaic.yaml"
    (tmp_path / "checkout/.git").mkdir()
    assert manifest_identity(folder / "mosaic.yaml") == "web/mosaic.yaml"
    assert manifest_identity(tmp_path / "checkout/staging.yaml") == "staging.yaml"


def test_in_a_layout_without_manifests_no_file_is_known_to_be_ours(pair):
    web, _ = pair
    web.sql("alter table mosaic_deploy.objects drop column manifest")
    web.sql(f"update mosaic_deploy.ledger set version = {LEDGER_VERSION - 1}")
    planned = web.plan()
    assert reasons(planned) == {}
    assert [note.code for note in planned.plan.notes] == ["static_unmanaged", "storage_unmanaged"]


def test_a_folder_that_becomes_a_repository_is_not_another_manifest(site):
    site.write("www/index.html", "x")
    site.manifest(static={"dir": "www"})
    site.apply()
    (site.root / ".git").mkdir()
    planned = site.plan()
    codes = [(note.code, str(note.severity)) for note in planned.plan.notes]
    assert codes == [("static_manifest_renamed", "info"), ("policy_not_recorded", "info")]
    assert "recorded for site/mosaic.yaml, the name of this manifest before" in planned.plan.notes[0].message
    site.apply()
    assert site.plan().plan.notes == ()


def test_the_former_name_is_not_that_of_another_manifest_in_the_repository(tmp_path):
    manifest, other = tmp_path / "web/mosaic.yaml", tmp_path / "web/web/mosaic.yaml"
    other.parent.mkdir(parents=True)
    assert former_identity(manifest) == "", "outside a repository"
    (tmp_path / "web/.git").mkdir()
    assert former_identity(manifest) == "web/mosaic.yaml"
    assert former_identity(other) == "", "the same name inside and outside"
    other.write_text("")
    assert former_identity(manifest) == ""
