"""The first deploy over what somebody else put there: compared, recorded if equal, else shown as overwriting."""

from __future__ import annotations

import pytest
from test_drift import put, put_stored, reasons, rows

from mosaic_deploy.deploy import PlanOptions
from mosaic_deploy.live import unmanaged
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.model.event import ApplyDone
from mosaic_deploy.model.snapshot import Project


@pytest.fixture
def taken_over(site):
    """A project without tracking tables, with files that somebody else uploaded."""
    created = site.api.call(endpoints.CREATE_PROJECT, body={"name": site.name})
    from mosaic_deploy.live.api.projects import wait_until_running

    list(
        wait_until_running(
            site.api, Project(created["project_id"], site.name, status="provisioning"), timeout=60
        )
    )
    site.manifest(static={"dir": "www"}, storage={"dir": "pics"})
    site.write("www/index.html", "<p>same")
    site.write("pics/same.bin", b"\0same")
    put(site, "index.html", "<p>same")
    put(site, "about.html", "<p>by hand")
    put_stored(site, "same.bin", b"\0same")
    put_stored(site, "other.bin", b"\0by hand")
    site.write("www/about.html", "<p>folder!")
    site.write("pics/other.bin", b"\0folder!")
    return site


def test_equal_files_are_recorded_without_an_upload(taken_over):
    site = taken_over
    planned = site.plan()
    assert reasons(planned) == {
        "static:about.html": "overwrites a file that this project didn't deploy (different content)",
        "storage:other.bin": "overwrites a file that this project didn't deploy (different content)",
    }
    assert [approval.allow for approval in planned.plan.approvals] == ["overwrite=2"]
    assert [note.code for note in planned.plan.notes if "adopted" in note.code] == [
        "static_adopted",
        "storage_adopted",
    ]
    sent = [event.change.address for event in site.run(planned) if hasattr(event, "change")]
    assert not {"static:index.html", "storage:same.bin"} & set(sent)
    assert set(rows(site).values()) == {"live"}
    assert site.plan().plan.changes == ()


def test_a_site_of_equal_files_has_no_changes_and_is_recorded(taken_over, monkeypatch):
    site = taken_over
    site.write("www/about.html", "<p>by hand")
    site.write("pics/other.bin", b"\0by hand")
    planned = site.plan()
    assert (planned.plan.changes, planned.plan.approvals, planned.has_work) == ((), (), True)
    uploads = []
    call = site.api.call
    monkeypatch.setattr(
        site.api, "call", lambda operation, **given: uploads.append(operation) or call(operation, **given)
    )
    assert isinstance(site.run(planned)[-1], ApplyDone)
    assert not {endpoints.UPLOAD_STATIC_FILE, endpoints.CREATE_UPLOAD_URL} & set(uploads)
    assert set(rows(site).values()) == {"live"}
    again = site.plan()
    assert (again.has_work, again.plan.notes) == (False, ())


def test_files_of_another_size_are_not_fetched(taken_over, monkeypatch):
    fetched = []
    read = unmanaged.read_digest
    monkeypatch.setattr(
        unmanaged, "read_digest", lambda api, url, cache: fetched.append(url) or read(api, url, cache)
    )
    taken_over.write("www/about.html", "longer than what is live")
    found = reasons(taken_over.plan())
    assert found["static:about.html"] == "overwrites a file that this project didn't deploy (10 B live)"
    assert len(fetched) == 3


def test_beyond_the_budget_the_smallest_are_compared_and_the_rest_said_not_to_be(taken_over, monkeypatch):
    monkeypatch.setattr(unmanaged, "_MAX_COMPARED_BYTES", 12)
    found = reasons(taken_over.plan())
    assert found["storage:other.bin"].endswith("(content not compared)")
    assert "storage:same.bin" not in found
    assert "static:index.html" not in found


def test_with_only_the_rest_stays_unrecorded(taken_over):
    from mosaic_deploy.diff.selection import Selection, parse_selector

    chosen = PlanOptions(selection=Selection((parse_selector("static"),)))
    planned = taken_over.plan(options=chosen)
    assert [approval.allow for approval in planned.plan.approvals] == ["overwrite=1"]


@pytest.mark.parametrize(("live", "approvals"), [("/in.html", []), ("/other.html", ["overwrite=1"])])
def test_auth_settings_that_somebody_else_made(taken_over, live, approvals):
    site = taken_over
    for page in ("in.html", "about.html"):
        site.write(f"www/{page}", "<p>by hand")
    site.write("pics/other.bin", b"\0by hand")
    settings = {"redirect_url": live, "allowed_redirect_urls": [live]}
    site.api.call(endpoints.WRITE_AUTH, project=site.project_id, body={"magic_link": settings, "theirs": 1})
    site.manifest(
        static={"dir": "www"}, storage={"dir": "pics"}, auth={"magic_link": {"redirect_url": "/in.html"}}
    )
    planned = site.plan()
    assert [approval.allow for approval in planned.plan.approvals] == approvals
    assert isinstance(site.run(planned)[-1], ApplyDone)
    found = site.api.call(endpoints.READ_AUTH, project=site.project_id)
    assert ("theirs" in found) == (not approvals), "equal settings are only recorded"
    assert site.plan().plan.changes == ()


IN, OUT, THEIRS = (
    {"redirect_url": path, "allowed_redirect_urls": [path]} for path in ("/in", "/out", "/theirs")
)


def signing_in(site, path: str):
    for page in ("in", "out", "theirs"):
        site.write(f"www/{page}.html", page)
    site.manifest(static={"dir": "www"}, auth={"magic_link": {"redirect_url": path}})


def set_live(site, settings: dict) -> None:
    site.api.call(endpoints.WRITE_AUTH, project=site.project_id, body={"magic_link": settings})


def test_auth_settings_that_were_changed_live_are_not_overwritten_unasked(site):
    signing_in(site, "/in")
    site.apply()
    set_live(site, THEIRS)
    before = site.api.traffic.requests
    assert site.plan().plan.empty
    assert site.api.traffic.requests - before <= 4, "such a plan doesn't see it"
    signing_in(site, "/out")
    planned = site.plan()
    [change] = [change for change in planned.plan.changes if change.kind == "auth"]
    assert change.reason == (
        "drifted: overwrites settings that were changed since the last deploy (allowed_redirect_urls, redirect_url)"
    )
    assert [approval.allow for approval in planned.plan.approvals] == ["overwrite=1"]
    assert isinstance(site.run(planned)[-1], ApplyDone)
    assert site.api.call(endpoints.READ_AUTH, project=site.project_id)["magic_link"] == OUT
    signing_in(site, "/in")
    planned = site.plan()
    assert planned.plan.approvals == (), "they are those of the last deploy"
    assert isinstance(site.run(planned)[-1], ApplyDone)
    assert site.plan().plan.empty


@pytest.mark.parametrize(
    ("live", "reason", "approvals"),
    [
        (IN, None, []),
        (THEIRS, "drifted: overwrites settings that were changed", ["overwrite=1"]),
        ({}, "missing live", []),
    ],
    ids=["same", "changed", "gone"],
)
def test_comparing_live_contents_includes_auth_settings(site, live, reason, approvals):
    signing_in(site, "/in")
    site.apply()
    set_live(site, live)
    planned = site.plan(options=PlanOptions(compare_bytes=lambda *_: None))
    assert [change.reason[:46] for change in planned.plan.changes] == ([reason] if reason else [])
    assert [approval.allow for approval in planned.plan.approvals] == approvals
    if reason:
        assert isinstance(site.run(planned)[-1], ApplyDone)
    assert site.api.call(endpoints.READ_AUTH, project=site.project_id)["magic_link"] == IN
    assert site.plan(options=PlanOptions(compare_bytes=lambda *_: None)).plan.empty


def test_the_same_change_made_live_is_only_recorded(site):
    signing_in(site, "/in")
    site.apply()
    set_live(site, OUT)
    signing_in(site, "/out")
    planned = site.plan()
    assert [change.reason for change in planned.plan.changes if change.kind == "auth"] == [
        "already live; will be recorded"
    ]
    assert planned.plan.approvals == ()
    site.apply()


def test_tables_that_exist_are_named_with_the_way_to_a_baseline(taken_over):
    site = taken_over
    site.sql('create table "Order" (id int)')
    site.sql("create table line (id int)")
    site.write(
        "db/1_init.sql",
        'create table "Order" (id int);\ncreate temporary table line (id int); create table pg_temp.spare (id int);',
    )
    site.write(
        "db/2_line.sql",
        "drop table if exists x; create table line (id int); create table if not exists line (id int);",
    )
    site.write("db/3_new.sql", "create table fresh (id int);")
    site.manifest(database={"migrations": "db"})
    [note] = [note for note in site.plan().plan.notes if note.code == "tables_exist"]
    assert note.message.startswith('1_init.sql, 2_line.sql create tables that exist already: "Order", line;')
    assert "`mosaic-deploy migrate import dbmate` (or" in note.message
    assert "`mosaic-deploy migrate baseline 2`" in note.message
    site.sql('drop table "Order"; create table _sqlx_migrations (version bigint)')
    [note] = [note for note in site.plan().plan.notes if note.code == "tables_exist"]
    assert note.message.endswith("import its history with `mosaic-deploy migrate import sqlx`")
    site.sql("drop table line")
    site.apply()
    assert "tables_exist" not in [note.code for note in site.plan().plan.notes]
