"""`static.keep`: files other than pages stay live for a while after they have left the folder; then an apply deletes them."""

from __future__ import annotations

import pytest

from mosaic_deploy.deploy import PlanOptions
from mosaic_deploy.live.api.upload import upload_static_file
from mosaic_deploy.model.change import Action, DeleteStatic

PAGE, NEW_PAGE = '<script src="/a-1.js"></script>', '<script src="/a-2.js"></script>'


def deployed(site, keep: object = "1h"):
    site.write("public/index.html", PAGE)
    site.write("public/a-1.js", "1")
    site.write("public/b.css", "b")
    site.write("public/old.html", "old")
    site.manifest(static={"dir": "public", "prune": True, "keep": keep})
    site.apply()
    return site


def build_again(site) -> None:
    """The script gets another name, and a page is deleted."""
    site.write("public/index.html", NEW_PAGE)
    site.write("public/a-2.js", "2")
    (site.root / "public/a-1.js").unlink()
    (site.root / "public/old.html").unlink()


def pass_time(site, minutes: int) -> None:
    site.sql(
        f"UPDATE mosaic_deploy.objects SET retired_at = retired_at - interval '{minutes} min' "
        "WHERE retired_at IS NOT NULL"
    )


def deletions(site, **options: object) -> dict[str, tuple[float, bool]]:
    changes = site.plan(options=PlanOptions(**options)).plan.changes
    return {each.path: (each.keep, each.approved) for each in changes if isinstance(each, DeleteStatic)}


def notes(site) -> list[str]:
    return [note.message for note in site.plan().plan.notes if note.code == "static_retired"]


def test_a_script_stays_for_its_time_and_a_page_does_not(site) -> None:
    deployed(site)
    build_again(site)
    plan = site.plan().plan
    [retired] = [each for each in plan.changes if isinstance(each, DeleteStatic) and each.keep]
    assert (retired.path, retired.action, retired.reason) == (
        "a-1.js", Action.CHANGE, "no longer in the folder; stays live for 1 h, then an apply deletes it",
    )  # fmt: skip
    assert deletions(site) == {"old.html": (0.0, False), "a-1.js": (3600.0, False)}
    site.apply()  # and the next plan has no changes
    assert (site.get("/a-1.js").text, site.get("/old.html").status_code) == ("1", 404)
    [note] = notes(site)
    assert note.startswith("1 file no longer in the folder, kept until 2")
    assert note.endswith(" UTC (a-1.js); an apply after that deletes it")

    pass_time(site, 59)
    assert deletions(site) == {}
    pass_time(site, 1)
    assert deletions(site) == {"a-1.js": (0.0, True)}
    assert deletions(site, due=frozenset()) == {}, "a saved plan without the deletion stays as it is"
    site.apply()
    assert site.get("/a-1.js").status_code == 404
    assert notes(site) == []


def test_a_file_that_comes_back_is_kept_again_when_it_leaves_again(site) -> None:
    deployed(site)
    build_again(site)
    site.apply()
    pass_time(site, 50)
    site.write("public/a-1.js", "1")
    site.apply()
    assert notes(site) == []
    (site.root / "public/a-1.js").unlink()
    assert deletions(site) == {"a-1.js": (3600.0, False)}
    site.apply()
    pass_time(site, 50)
    assert deletions(site) == {}, "the time begins again"
    site.write("public/a-1.js", "other")
    assert [each.reason for each in site.plan().plan.changes] == ["content changed"]


@pytest.mark.parametrize("keep", [0, "0s"])
def test_without_a_time_files_are_deleted_at_once_also_those_kept(site, keep: object) -> None:
    deployed(site)
    build_again(site)
    site.apply()
    (site.root / "public/b.css").unlink()
    site.manifest(static={"dir": "public", "prune": True, "keep": keep})
    assert deletions(site) == {"a-1.js": (0.0, True), "b.css": (0.0, False)}
    site.apply()
    assert site.get("/a-1.js").status_code == 404


def test_what_must_be_approved_is_so_when_files_leave_and_not_again(site) -> None:
    deployed(site)
    for name in ("a-1.js", "b.css", "old.html"):
        (site.root / "public" / name).unlink()
    site.write("public/index.html", "nothing left")
    plan = site.plan().plan
    assert [each.allow for each in plan.approvals] == ["prune=3"]
    site.apply()
    pass_time(site, 60)
    site.manifest(static={"dir": "public", "prune": True}, policy={"max_deletes": 1})
    plan = site.plan().plan
    assert [each.path for each in plan.changes] == ["a-1.js", "b.css"]
    assert (plan.approvals, plan.denied, plan.live_counts["static"]) == ((), (), 1)


def test_files_left_live_without_prune_were_never_approved(site) -> None:
    deployed(site)
    site.manifest(static={"dir": "public"})
    build_again(site)
    site.apply()
    assert notes(site) == []
    site.manifest(static={"dir": "public", "prune": True})
    assert deletions(site) == {"a-1.js": (3600.0, False), "old.html": (0.0, False)}


def test_a_kept_file_that_others_replaced_is_theirs(site) -> None:
    deployed(site)
    build_again(site)
    site.apply()
    upload_static_file(site.api, site.project_id, "a-1.js", b"somebody else's")
    plan = site.plan().plan
    [change] = [each for each in plan.changes if isinstance(each, DeleteStatic)]
    assert (change.path, change.unmanaged, change.approved) == ("a-1.js", True, False)


def test_another_deploy_does_not_begin_the_time_again(site) -> None:
    deployed(site)
    build_again(site)
    site.apply()
    pass_time(site, 30)
    before = site.sql("SELECT retired_at FROM mosaic_deploy.objects WHERE path = 'a-1.js'")
    site.write("public/index.html", "again")
    site.apply()
    assert site.sql("SELECT retired_at FROM mosaic_deploy.objects WHERE path = 'a-1.js'") == before


@pytest.mark.parametrize("time", ["infinity", "-infinity", "290000-01-01", "1970-01-01"])
def test_a_time_that_no_deploy_wrote_approves_nothing(site, time: str) -> None:
    deployed(site)
    build_again(site)
    site.apply()
    site.sql(f"UPDATE mosaic_deploy.objects SET retired_at = '{time}' WHERE path = 'a-1.js'")
    assert deletions(site) == {"a-1.js": (3600.0, False)}
