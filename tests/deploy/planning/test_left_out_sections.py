"""A section that the manifest doesn't have any longer isn't managed: what it made stays live."""

from __future__ import annotations

import pytest
from test_drift import reasons, rows

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
