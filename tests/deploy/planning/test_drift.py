"""Drifted live files, unmanaged files, and ledger rows without files."""

from __future__ import annotations

import json

import httpx
import pytest

from mosaic_deploy.deploy import PlanOptions
from mosaic_deploy.errors import SqlFailed, TrackingTablesOlder
from mosaic_deploy.live.api import endpoints
from mosaic_deploy.live.ledger import read as ledger
from mosaic_deploy.model.event import ApplyDone


@pytest.fixture
def deployed(site):
    site.write("www/index.html", "<p>home")
    site.write("www/a file, ünï.css", "/* parts */")
    site.write("pics/one.bin", b"\0one")
    site.manifest(static={"dir": "www"}, storage={"dir": "pics"})
    site.apply()
    return site


def put(site, name: str, content: str) -> None:
    """Uploads a file without a deploy."""
    body = {"filename": name, "content": content}
    site.api.call(endpoints.UPLOAD_STATIC_FILE, project=site.project_id, body=body)


def put_stored(site, name: str, content: bytes) -> None:
    body = {"filename": name, "size": len(content)}
    answer = site.api.call(endpoints.CREATE_UPLOAD_URL, project=site.project_id, body=body)
    site.api.put_bytes(answer["upload_url"], content, len(content))


def reasons(planned) -> dict[str, str]:
    return {change.address: change.reason for change in planned.plan.changes}


def rows(site) -> dict[str, str]:
    found = site.sql("select path, state from mosaic_deploy.objects order by path")
    return {str(row["path"]): str(row["state"]) for row in found}


class Verifying:
    """Plans with `compare_bytes`; also returns the number of bytes fetched."""

    def __init__(self) -> None:
        self.compared = self.fetched = 0

    def plan(self, site):
        def heard(done: int, total: int, fetched: int) -> None:
            self.compared, self.fetched = total, fetched

        return site.plan(options=PlanOptions(compare_bytes=heard))


def test_verify_finds_edits_of_the_same_size(deployed):
    put(deployed, "index.html", "<p>HOME")
    put_stored(deployed, "one.bin", b"\0ONE")
    assert reasons(deployed.plan()) == {}
    verifying = Verifying()
    planned = verifying.plan(deployed)
    why = "drifted: live content differs from what was deployed"
    assert reasons(planned) == {"static:index.html": why, "storage:one.bin": why}
    assert isinstance(deployed.run(planned)[-1], ApplyDone)
    assert deployed.get("/").text == "<p>home"
    assert reasons(verifying.plan(deployed)) == {}


def test_verify_finds_edits_of_files_that_were_left_live_and_came_back(deployed):
    (deployed.root / "www/a file, ünï.css").unlink()
    (deployed.root / "pics/one.bin").unlink()
    deployed.write("pics/two.bin", b"two")
    deployed.apply()
    put(deployed, "a file, ünï.css", "/* PARTS */")
    put_stored(deployed, "one.bin", b"\0ONE")
    deployed.write("www/a file, ünï.css", "/* parts */")
    deployed.write("pics/one.bin", b"\0one")
    planned = Verifying().plan(deployed)
    found = reasons(planned)
    assert sorted(found) == ["static:a file, ünï.css", "storage:one.bin"]
    assert set(found.values()) == {
        "overwrites a file that was changed live after it had left the folder (different content)"
    }
    assert [approval.allow for approval in planned.plan.approvals] == ["overwrite=2"]


def test_verify_does_not_download_unchanged_files(deployed):
    first, second = Verifying(), Verifying()
    assert reasons(first.plan(deployed)) == {}
    assert (first.compared, first.fetched) == (3, len("<p>home/* parts */") + 4)
    assert reasons(second.plan(deployed)) == {}
    assert (second.compared, second.fetched) == (3, 0)
    put(deployed, "index.html", "<p>HOME")
    assert list(reasons(second.plan(deployed))) == ["static:index.html"]


def test_verify_of_a_project_that_does_not_exist_yet(site):
    site.write("www/index.html", "<p>home")
    site.manifest(static={"dir": "www"})
    assert list(reasons(Verifying().plan(site))) == [f"project:{site.name}", "static:index.html"]


def test_a_row_without_a_file_is_deleted(deployed):
    deployed.api.call(endpoints.DELETE_STATIC_FILE, project=deployed.project_id, filename="index.html")
    (deployed.root / "www/index.html").unlink()
    planned = deployed.plan()
    assert (planned.plan.changes, [note.code for note in planned.plan.notes]) == ((), ["history_not_current"])
    assert planned.has_leftover_work
    assert isinstance(deployed.run(planned)[-1], ApplyDone)
    assert set(rows(deployed)) == {"a file, ünï.css", "one.bin"}
    assert not deployed.plan().has_leftover_work


@pytest.mark.parametrize("prune", [False, True])
def test_an_incomplete_upload_of_a_removed_file_is_no_deletion(deployed, prune):
    deployed.sql(
        "insert into mosaic_deploy.objects (kind, path, sha256, size, state, deploy_id) "
        "values ('static', 'never.txt', 'x', 3, 'pending', 'd')"
    )
    deployed.manifest(static={"dir": "www", "prune": prune}, storage={"dir": "pics"})
    planned = deployed.plan()
    assert (planned.plan.changes, [note.code for note in planned.plan.notes]) == ((), ["history_not_current"])
    deployed.run(planned)
    assert "never.txt" not in rows(deployed)


def test_files_left_live_are_marked_and_cost_no_rows(deployed):
    (deployed.root / "www/a file, ünï.css").unlink()
    planned = deployed.plan()
    assert [note.code for note in planned.plan.notes] == ["static_kept"]
    deployed.run(planned)
    assert rows(deployed)["a file, ünï.css"] == "kept"
    again = deployed.plan()
    assert not again.has_leftover_work
    assert [note.code for note in again.plan.notes] == ["static_kept"]
    assert answered_rows(deployed)["static"] is None
    deployed.write("www/a file, ünï.css", "/* parts */")
    back = deployed.plan()
    assert (back.plan.changes, back.has_leftover_work) == ((), True)
    deployed.run(back)
    assert rows(deployed)["a file, ünï.css"] == "live"


def answered_rows(site) -> dict[str, object]:
    """The ledger's response for the site as it is: null for a kind without differences."""
    from mosaic_deploy.model.snapshot import objects_digest

    desired = site.plan().desired.snapshot
    digests = {ledger.STATIC: objects_digest(desired.static), ledger.STORAGE: objects_digest(desired.storage)}
    [row] = site.sql(ledger.ledger_query(digests))
    found: dict[str, object] = json.loads(str(row["ledger"]))
    return found


def test_digests_are_saved_until_a_row_changes(deployed):
    kept = deployed.sql("select kind from mosaic_deploy.sums where sum is not null")
    assert {row["kind"] for row in kept} == {"static", "storage", "seed"}
    assert answered_rows(deployed)["static"] is None
    deployed.sql("update mosaic_deploy.objects set sha256 = 'other' where path = 'index.html'")
    assert deployed.sql("select count(*) as n from mosaic_deploy.sums where sum is not null") == [{"n": 0}]
    assert reasons(deployed.plan()) == {"static:index.html": "content changed"}


def test_prune_all_deletes_unmanaged_files_if_their_number_is_approved(deployed):
    put(deployed, "stranger.txt", "not from here")
    put_stored(deployed, "upload.bin", b"somebody's")
    (deployed.root / "www/a file, ünï.css").unlink()
    deployed.manifest(static={"dir": "www", "prune": True, "keep": 0}, storage={"dir": "pics", "prune": True})
    planned = deployed.plan()
    assert reasons(planned) == {"static:a file, ünï.css": "no longer in the folder"}
    assert planned.plan.prune_count == 0
    deployed.manifest(
        static={"dir": "www", "prune": "all", "keep": 0}, storage={"dir": "pics", "prune": "all"}
    )
    planned = deployed.plan()
    assert reasons(planned) == {
        "static:a file, ünï.css": "no longer in the folder",
        "static:stranger.txt": "not deployed by this project",
        "storage:upload.bin": "not deployed by this project",
    }
    assert planned.plan.prune_count == 3
    assert isinstance(deployed.run(planned)[-1], ApplyDone)
    assert deployed.get("/stranger.txt").status_code == 404
    assert deployed.get("/storage/upload.bin").status_code == 404
    assert deployed.plan().plan.changes == ()


class WithoutDeleting(httpx.HTTPTransport):
    """A platform without endpoints for deleting."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert request.method != "DELETE"
        response = super().handle_request(request)
        if request.url.path == "/v1/project":
            response.read()
            listed = [e for e in response.json()["endpoints"] if e["method"] != "DELETE"]
            return httpx.Response(200, json={"endpoints": listed}, request=request)
        return response


def test_a_platform_that_cannot_delete_is_noted(site, api_over):
    api = api_over(WithoutDeleting())
    for name in ("index.html", "old.txt"):
        site.write(f"www/{name}", name)
    site.manifest(static={"dir": "www", "prune": True, "keep": 0})
    assert isinstance(site.run(api=api)[-1], ApplyDone)
    (site.root / "www/old.txt").unlink()
    planned = site.plan(api)
    assert planned.plan.changes == ()
    [note] = planned.plan.notes
    assert "the platform's API offers no way to delete it" in note.message
    site.run(planned, api=api)
    again = site.plan(api)
    assert rows(site)["old.txt"] == "kept"
    assert not again.has_leftover_work
    assert [n.code for n in again.plan.notes] == ["static_kept"]


def test_tracking_tables_of_an_older_layout_are_named(deployed) -> None:
    """Its columns had other names, so the query for the whole ledger fails before it can report a version."""
    project = deployed.project_id
    deployed.api.sql(project, "ALTER TABLE mosaic_deploy.migrations RENAME COLUMN steps_done TO parts_done")
    deployed.api.sql(project, "UPDATE mosaic_deploy.ledger SET version = 1")
    with pytest.raises(TrackingTablesOlder, match="format 1; this mosaic-deploy needs format 2 or newer"):
        deployed.plan()


def test_damaged_tracking_tables_are_postgresqls_error(deployed) -> None:
    project = deployed.project_id
    deployed.api.sql(project, "DELETE FROM mosaic_deploy.ledger")
    deployed.api.sql(project, "DROP TABLE mosaic_deploy.objects")
    with pytest.raises(SqlFailed, match=r'relation "mosaic_deploy.objects" does not exist'):
        deployed.plan()
