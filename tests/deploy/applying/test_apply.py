"""Whole deploys to the real platform, with every kind of change."""

from __future__ import annotations

import json

import pytest

from mosaic_deploy.deploy.applying import verify
from mosaic_deploy.errors import VerifyFailed
from mosaic_deploy.model.change import DeleteStatic, DeleteStorageFile
from mosaic_deploy.model.event import ApplyDone, ApplyStarted, ChangeDone, ProjectReady, Verified

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def whole(site) -> None:
    site.write("sql/1_people.sql", "create table people (id int primary key, name text not null);")
    site.write("sql/2_ada.sql", "insert into people values (1, 'Ada O''Hara');")
    site.write("www/index.html", "<title>hello</title><link rel=stylesheet href=a/style.css>")
    site.write("www/a/style.css", "body { color: red }")
    site.write("www/logo.png", PNG)
    site.write("www/welcome.html", "<p>welcome")
    site.write("pics/big picture.bin", PNG * 100)
    site.manifest(
        database={"migrations": "sql", "extensions": ["vector"]},
        static={"dir": "www", "prune": True, "keep": 0},
        storage={"dir": "pics", "prefix": "p", "prune": True},
        auth={"magic_link": {"redirect_url": "/welcome"}},
        verify={"http": [{"path": "/", "contains": "hello"}, {"path": "/nothing.html", "status": 404}]},
    )


def test_everything_from_nothing(site):
    whole(site)
    planned = site.plan()
    assert planned.plan.counts.add == len(planned.plan.changes)
    events = site.run(planned)
    assert isinstance(events[-1], ApplyDone)
    assert [e.result for e in events if isinstance(e, Verified)] == ["200", "404"]
    assert next(e for e in events if isinstance(e, ProjectReady)).created
    assert site.sql("select name from people") == [{"name": "Ada O'Hara"}]
    assert site.get("/").text.startswith("<title>hello")
    assert site.get("/logo.png").content == PNG
    assert site.get("/a/style.css").headers["content-type"].startswith("text/css")
    assert site.get("/mosaic-auth.json").json()["magic_link"]["redirect_url"] == "/welcome"
    url = site.plan().live.storage_files["p/big picture.bin"][1]
    assert site.get("/" + url.split("/", 3)[3]).content == PNG * 100
    assert site.plan().plan.changes == ()


def test_pages_are_uploaded_last_and_the_front_page_after_them(site):
    whole(site)
    done = [e.change.address for e in site.run() if isinstance(e, ChangeDone)]
    order = [
        done.index(a) for a in ("storage:p/big picture.bin", "migration:1_people.sql", "static:a/style.css")
    ]
    order += [
        done.index("static:welcome.html"),
        done.index("static:index.html"),
        done.index("auth:magic_link"),
    ]
    assert order == sorted(order)


def test_only_what_changed_is_sent(site):
    whole(site)
    site.apply()
    site.write("www/a/style.css", "body { color: blue }")
    sent = [e.change for e in site.run() if isinstance(e, ChangeDone)]
    assert [(c.address, c.reason) for c in sent] == [("static:a/style.css", "content changed")]
    assert site.get("/a/style.css").text == "body { color: blue }"


def test_removed_files_are_deleted_with_prune(site):
    whole(site)
    site.apply()
    (site.root / "www/logo.png").unlink()
    (site.root / "pics/big picture.bin").unlink()
    assert {type(c) for c in site.plan().plan.changes} == {DeleteStatic, DeleteStorageFile}
    site.apply()
    assert site.get("/logo.png").status_code == 404


def test_removed_files_stay_without_prune(site):
    site.write("www/index.html", "1")
    site.write("www/old.html", "2")
    site.manifest(static={"dir": "www"})
    site.apply()
    (site.root / "www/old.html").unlink()
    plan = site.plan().plan
    assert plan.changes == ()
    assert [(n.code, n.addresses) for n in plan.notes] == [("static_kept", ("static:old.html",))]
    assert site.get("/old.html").text == "2"


def test_unmanaged_files_are_reported_and_kept(site, platform):
    site.write("www/index.html", "1")
    site.manifest(static={"dir": "www", "prune": True, "keep": 0})
    site.apply()
    body = {"filename": "theirs.html", "content": "by hand"}
    from mosaic_deploy.live.api import endpoints

    site.api.call(endpoints.UPLOAD_STATIC_FILE, project=site.project_id, body=body)
    plan = site.plan().plan
    assert plan.changes == ()
    assert [(n.code, n.addresses) for n in plan.notes] == [("static_unmanaged", ("static:theirs.html",))]


def test_drift_is_corrected(site):
    from mosaic_deploy.live.api import endpoints

    whole(site)
    site.apply()
    project = site.project_id
    site.api.call(endpoints.DELETE_STATIC_FILE, project=project, filename="index.html")
    site.api.call(
        endpoints.UPLOAD_STATIC_FILE,
        project=project,
        body={"filename": "welcome.html", "content": "changed by hand"},
    )
    site.api.call(endpoints.DELETE_STORAGE_FILE, project=project, filename="p/big picture.bin")
    reasons = {c.address: c.reason for c in site.plan().plan.changes}
    assert reasons == {
        "storage:p/big picture.bin": "missing live",
        "static:welcome.html": "drifted: live size is 15 bytes, expected 10",
        "static:index.html": "missing live",
    }
    site.apply()
    assert site.get("/welcome.html").text == "<p>welcome"


def test_auth_settings_are_sent_and_compared(site):
    from mosaic_deploy.live.api import endpoints

    whole(site)
    site.apply()
    found = site.api.call(endpoints.READ_AUTH, project=site.project_id)
    assert found["magic_link"]["allowed_redirect_urls"] == ["/welcome"]
    site.manifest(static={"dir": "www"}, auth={"magic_link": {"redirect_url": "/"}})
    changed = {c.address: c.reason for c in site.plan().plan.changes}
    assert changed["auth:magic_link"] == "allowed_redirect_urls, redirect_url changed"
    site.apply()
    assert json.loads(site.get("/mosaic-auth.json").text) == {
        "magic_link": {"redirect_url": "/", "allowed_redirect_urls": ["/"]}
    }


def test_unusual_file_names(site):
    names = [
        "a b.html",
        "it's.html",
        'say "hi".html',
        "100%.html",
        "q?.html",
        "h#.html",
        "ünïcode/🎉.html",
        "a+b&c;.txt",
    ]
    for name in names:
        site.write(f"www/{name}", f"content of {name}")
        site.write(f"pics/{name}", f"asset {name}")
    site.manifest(static={"dir": "www", "prune": True, "keep": 0}, storage={"dir": "pics", "prune": True})
    site.apply()
    from urllib.parse import quote

    for name in names:
        assert site.get("/" + quote(name)).text == f"content of {name}"
    for name in names:
        (site.root / "www" / name).unlink()
        (site.root / "pics" / name).unlink()
    assert {type(c) for c in site.plan().plan.changes} == {DeleteStatic, DeleteStorageFile}
    site.apply()
    assert {type(c) for c in site.plan().plan.changes} == set()


def test_a_plan_without_changes_costs_the_same_for_many_files(site):
    for count in (10, 500):
        for number in range(count):
            site.write(f"www/{number}.txt", str(number))
            site.write(f"pics/{number}.bin", str(number))
        site.manifest(static={"dir": "www"}, storage={"dir": "pics"})
        site.apply(parallelism=16)
        before = site.api.traffic.requests
        assert site.plan().plan.changes == ()
        assert site.api.traffic.requests - before <= 4


def test_an_apply_of_an_empty_plan_changes_nothing(site):
    site.write("sql/1_t.sql", "create table t (id int);")
    site.write("www/index.html", "1")
    site.write("pics/one.bin", "1")
    site.manifest(database={"migrations": "sql"}, static={"dir": "www"}, storage={"dir": "pics"})
    site.apply()
    rows = (
        "select (select json_agg(o order by path) from mosaic_deploy.objects o)::text as objects, "
        "(select json_agg(m) from mosaic_deploy.migrations m)::text as migrations"
    )
    before = site.sql(rows)
    planned = site.plan()
    assert planned.plan.changes == ()
    started, *_, last = site.run(planned)
    assert isinstance(started, ApplyStarted)
    assert (started.total, started.total_bytes) == (0, 0)
    assert isinstance(last, ApplyDone)
    assert last.done == ()
    assert site.sql(rows) == before
    assert site.sql("select token from mosaic_deploy.lease") == []


def test_a_failed_check_is_located_in_the_manifest(site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verify, "_CHECK_TIMEOUT", 0.5)
    site.write("www/index.html", "1")
    site.manifest(
        static={"dir": "www"}, verify={"http": [{"path": "/"}, {"path": "/nothing.html", "status": 200}]}
    )
    error = site.fails().error
    assert isinstance(error, VerifyFailed)
    text = (site.root / "mosaic.yaml").read_text().splitlines()
    assert error.location
    assert error.location.file.endswith("mosaic.yaml")
    assert error.location.line
    assert error.location.column
    assert (
        text[error.location.line - 1][error.location.column - 1 :].removeprefix("path: ") == "/nothing.html"
    )
