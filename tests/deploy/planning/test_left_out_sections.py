"""A section that the manifest doesn't have any longer isn't managed: what it made stays live."""

from __future__ import annotations

import pytest
from test_drift import reasons, rows

from mosaic_deploy.live.api.upload import delete_storage_file

AUTH = {"auth": {"magic_link": {"redirect_url": "/"}}}
NAME = "mosaic-auth.json"


@pytest.fixture
def signed(site):
    """A deployed site with prune and sign-in settings."""
    for name in ("index.html", "a.html", "b.html"):
        site.write(f"www/{name}", name)
    site.manifest(static={"dir": "www", "prune": True, "keep": 0}, **AUTH)
    site.apply()
    return site


def test_the_published_settings_stay_when_auth_is_left_out(signed):
    before = signed.get(f"/{NAME}").text
    signed.manifest(static={"dir": "www", "prune": True, "keep": 0})
    (signed.root / "www/b.html").unlink()
    planned = signed.plan()
    assert reasons(planned) == {"static:b.html": "no longer in the folder"}
    assert [note.message for note in planned.plan.notes] == [
        f"{NAME} stays live: the manifest has no auth section, so it doesn't manage the sign-in settings; "
        "static.prune: all deletes it"
    ]
    signed.apply()
    assert (signed.get(f"/{NAME}").text, rows(signed)[NAME]) == (before, "kept")
    assert not signed.plan().has_work
    signed.manifest(static={"dir": "www", "prune": True, "keep": 0}, **AUTH)
    signed.apply()
    assert rows(signed)[NAME] == "live"


def test_prune_all_deletes_them_after_approval(signed):
    signed.manifest(static={"dir": "www", "prune": "all", "keep": 0})
    planned = signed.plan()
    assert reasons(planned) == {f"static:{NAME}": "its section isn't in the manifest"}
    assert [approval.allow for approval in planned.plan.approvals] == ["prune=1"]
    signed.apply()
    assert signed.get(f"/{NAME}").status_code == 404


def test_the_files_stay_when_static_is_left_out(signed):
    signed.manifest(**AUTH)
    assert signed.plan().plan.changes == ()
    signed.apply()
    assert signed.get("/a.html").text == "a.html"


def test_a_file_of_that_name_of_a_site_without_auth_is_pruned(signed, site):
    site.name += " without"
    site.manifest(static={"dir": "www", "prune": True, "keep": 0})
    site.write(f"www/{NAME}", "{}")
    site.apply()
    (site.root / "www" / NAME).unlink()
    assert reasons(site.plan()) == {f"static:{NAME}": "no longer in the folder"}


def notes(planned) -> dict[str, str]:
    return {note.code: note.message for note in planned.plan.notes}


def test_removed_sections_are_reported_with_the_way_to_delete(site):
    site.write("www/index.html", "i")
    site.write("assets/a.txt", "a")
    site.write("assets/b.txt", "b")
    site.write("sql/1_t.sql", "create table t (id int);")
    site.manifest(static={"dir": "www"}, storage={"dir": "assets"}, database={"migrations": "sql"})
    site.apply()
    site.manifest()
    planned = site.plan()
    assert planned.plan.changes == ()
    assert notes(planned) == {
        "static_section_removed": "the manifest has no static section; 1 static file of earlier deploys stays live (index.html); "
        "to delete it, add the section again with an empty folder and `prune: true`, and apply",
        "storage_section_removed": "the manifest has no storage section; 2 storage files of earlier deploys stay live "
        "(a.txt, b.txt); `mosaic-deploy storage rm --left` deletes them; so does an apply with `storage: {prune: true}`",
        "database_section_removed": "the manifest has no database.migrations; 1 migration of earlier deploys (1_t.sql) stay "
        "applied, with their tables and data; to remove those, add the folder again and undo the migrations with "
        "`mosaic-deploy migrate rollback`, or with new ones",
    }
    # What somebody else deletes is no longer named, and its row goes.
    delete_storage_file(site.api, site.project_id, "a.txt")
    planned = site.plan()
    assert "1 storage file of earlier deploys stays live (b.txt)" in notes(planned)["storage_section_removed"]
    site.apply()
    left = site.sql("SELECT path FROM mosaic_deploy.objects WHERE kind = 'storage'")
    assert [row["path"] for row in left] == ["b.txt"]
    # The ways to delete that the notes name.
    (site.root / "empty").mkdir()
    site.manifest(static={"dir": "empty", "prune": True}, storage={"dir": "empty", "prune": True})
    assert set(reasons(site.plan())) == {"static:index.html", "storage:b.txt"}
    site.apply()
    site.manifest()
    assert list(notes(site.plan())) == ["database_section_removed"]


def test_a_removed_storage_section_is_reported_although_the_site_uses_storage(site):
    site.write("www/index.html", "i")
    site.write("www/a.woff2", "font")
    site.write("assets/a.txt", "a")
    static = {"dir": "www", "unsupported": "storage"}
    site.manifest(static=static, storage={"dir": "assets"})
    site.apply()
    site.manifest(static=static)
    message = notes(site.plan())["storage_section_removed"]
    assert "1 storage file of earlier deploys stays live (a.txt); " in message
    site.apply()
    assert notes(site.plan())["storage_section_removed"] == message
    delete_storage_file(site.api, site.project_id, "a.txt")
    assert "storage_section_removed" not in notes(site.plan())


@pytest.mark.parametrize("change", ["manifest = 'other/mosaic.yaml'", "proof = ''"])
def test_what_others_deployed_or_wrote_is_not_left(site, change):
    """Of another manifest, and a row that somebody else wrote, which must name no file to delete."""
    site.write("assets/a.txt", "a")
    site.manifest(storage={"dir": "assets"})
    site.apply()
    site.manifest()
    assert list(notes(site.plan())) == ["storage_section_removed"]
    site.sql(f"UPDATE mosaic_deploy.objects SET {change}")
    assert notes(site.plan()) == {}
