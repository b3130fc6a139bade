"""Checks stay pending until they passed, for each manifest of a project."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mosaic_deploy.model.event import ApplyDone, ApplyFailed, Verified
from tests.deploy.faults import Dying, LosingAnswers, is_sql, is_write
from tests.deploy.recovery.test_crashes import free_lease

GOOD, BAD = "SELECT 1", "SELECT 1 WHERE false"


@pytest.fixture(autouse=True)
def short_wait(monkeypatch) -> None:
    monkeypatch.setattr("mosaic_deploy.deploy.applying.verify._CHECK_TIMEOUT", 0.1)


def checking(site, name: str, query: str):
    """The manifest in the folder `name`, which checks that the query has one row."""
    found = replace(site, root=site.root / name)
    found.write(f"www/{name}.html", name)
    found.manifest(static={"dir": "www"}, verify={"sql": [{"query": query, "rows": 1}]})
    return found


def codes(site) -> list[str]:
    return [note.code for note in site.plan().plan.notes if note.code.startswith("checks")]


def test_each_manifest_has_its_own(site):
    web, admin = checking(site, "web", GOOD), checking(site, "admin", "SELECT 2")
    for each in (web, admin):
        each.apply()
    for each in (web, admin):
        assert (codes(each), each.plan().checks_pending, each.plan().needs_apply) == ([], False, False)


def test_a_failed_check_is_not_forgotten_by_the_apply_of_another_manifest(site):
    web, admin = checking(site, "web", GOOD), checking(site, "admin", GOOD)
    web.apply()
    checking(site, "web", BAD)
    assert isinstance(web.run()[-1], ApplyFailed)
    checking(site, "web", GOOD)
    admin.apply()
    assert codes(web) == ["checks_pending"]
    assert any(isinstance(event, Verified) for event in web.run())
    assert (codes(web), codes(admin)) == ([], [])


@pytest.mark.parametrize("point", range(1, 7))
def test_they_stay_pending_when_the_deploy_is_killed(site, api_over, point):
    web = checking(site, "web", GOOD)
    web.apply()
    web.write("www/new.html", "new")
    web.write("www/web.html", "changed")
    events = web.run(api=api_over(Dying(point, is_write, after=True)))
    free_lease(web)
    passed = any(isinstance(event, Verified) for event in events)
    assert passed or web.plan().checks_pending
    checking(site, "admin", GOOD).apply()
    assert passed or web.plan().checks_pending
    assert any(isinstance(event, Verified) for event in web.run()) or passed
    assert not web.plan().has_work


def test_a_repeated_request_for_the_lock_leaves_passed_checks(site, api_over):
    web = checking(site, "web", GOOD)
    web.apply()
    web.write("www/web.html", "changed")
    losing = LosingAnswers(lambda request: is_sql(request, "INSERT INTO mosaic_deploy.lease"))
    assert isinstance(web.run(api=api_over(losing))[-1], ApplyDone)
    assert losing.lost == 1
    assert not web.plan().has_work


def test_a_deploy_that_failed_before_its_checks_says_nothing_about_them(site):
    web = checking(site, "web", GOOD)
    web.apply()
    verify = {"sql": [{"query": GOOD, "rows": 1}]}
    web.manifest(static={"dir": "www"}, database={"migrations": "sql"}, verify=verify)
    web.write("sql/1_bad.sql", "SELECT 1/0;")
    assert isinstance(web.run()[-1], ApplyFailed)
    (web.root / "sql/1_bad.sql").unlink()
    [note] = [note for note in web.plan().plan.notes if note.code.startswith("checks")]
    assert note.message == (
        "the checks in verify haven't run since a deploy that didn't complete; `mosaic-deploy apply` runs them"
    )


def test_checks_that_are_removed_and_come_back_run_again(site):
    web = checking(site, "web", GOOD)
    web.apply()
    web.manifest(static={"dir": "www"})
    web.write("www/web.html", "changed")
    web.apply()
    assert not web.plan().has_work
    checking(site, "web", GOOD)
    web.write("www/web.html", "changed")
    assert codes(web) == ["checks_pending"]


def test_new_checks_of_a_deployed_project_have_not_run(site):
    web = checking(site, "web", GOOD)
    web.manifest(static={"dir": "www"})
    web.apply()
    checking(site, "web", GOOD)
    [note] = [note for note in web.plan().plan.notes if note.code.startswith("checks")]
    assert note.message == "the checks in verify haven't run yet; `mosaic-deploy apply` runs them"
    web.apply()
    assert codes(web) == []


def test_a_failed_check_of_sign_in_sends_its_link_again(site):
    site.write("www/index.html", "hello")
    sections = {"static": {"dir": "www"}, "auth": {"magic_link": {"redirect_url": "/"}}, "database": {}}
    checks = {"magic_link": {}, "sql": [{"query": "select count(*) from t", "value": 0}]}
    site.write("sql/1_t.sql", "create table t (n int); insert into t values (1);")
    sections["database"] = {"migrations": "sql"}
    site.manifest(**sections, verify=checks)
    assert isinstance(site.run()[-1], ApplyFailed)
    assert isinstance(site.run()[-1], ApplyFailed)
    site.sql("delete from t")
    assert [event.kind for event in site.run() if isinstance(event, Verified)] == ["sql", "magic_link"]
    assert not site.plan().has_work


def test_a_plan_without_changes_asks_no_more(site):
    web = checking(site, "web", GOOD)
    web.apply()
    before = web.api.traffic.requests
    assert not web.plan().has_work
    assert web.api.traffic.requests - before <= 4
