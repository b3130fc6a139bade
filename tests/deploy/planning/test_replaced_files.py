"""Live files that somebody else replaced while no deploy could see it: after a killed deploy, or while they were kept."""

from __future__ import annotations

import pytest
from test_drift import put, put_stored, reasons, rows

from mosaic_deploy.live.api import endpoints
from mosaic_deploy.model.event import ApplyDone

OLD, NEW, THEIRS, LATER = "old", "new content", "theirs!", "one more"
DELETES = {"static": endpoints.DELETE_STATIC_FILE, "storage": endpoints.DELETE_STORAGE_FILE}
FILES = {"static": ("www/a.txt", "a.txt", put), "storage": ("pics/a.bin", "a.bin", put_stored)}


class Killed(BaseException):
    """Ends a deploy as a signal does, without the chance to record anything."""


@pytest.fixture(params=FILES)
def kind(request) -> str:
    return request.param


@pytest.fixture
def deployed(site):
    site.write("www/index.html", "front")
    site.write("pics/one.bin", "one")
    site.manifest(static={"dir": "www"}, storage={"dir": "pics"})
    site.apply()
    return site


def write(site, kind: str, content: str) -> None:
    site.write(FILES[kind][0], content)


def upload(site, kind: str, content: str) -> None:
    """As somebody does who isn't deploying."""
    _, name, send = FILES[kind]
    send(site, name, content if kind == "static" else content.encode())


def delete(site, kind: str) -> None:
    site.api.call(DELETES[kind], project=site.project_id, filename=FILES[kind][1])


def kill_before_upload(site, kind: str, monkeypatch, *, after: bool = False) -> None:
    """Deploys, and kills it before the upload of the file, or `after` it and before it is recorded."""
    name = f"mosaic_deploy.deploy.applying.files.upload_{'static' if kind == 'static' else 'storage'}_file"
    with monkeypatch.context() as patch:
        if after:
            patch.setattr("mosaic_deploy.deploy.applying.files._mark_live", _killed)
        else:
            patch.setattr(name, _killed)
        patch.setattr("mosaic_deploy.deploy.applying.apply.release_lease", _killed)
        with pytest.raises(Killed):
            site.run()
    site.sql("update mosaic_deploy.lease set expires_at = now() - interval '1 hour'")
    assert rows(site)[FILES[kind][1]] == "pending"


def _killed(*_: object, **__: object) -> None:
    raise Killed


def approvals(planned) -> list[str]:
    return [approval.allow for approval in planned.plan.approvals]


BEFORE = {"new": "", "deployed": OLD}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("after", [False, True], ids=["not sent", "sent"])
def test_a_killed_deploy_is_continued_without_approval(deployed, kind, monkeypatch, before, after):
    if BEFORE[before]:
        write(deployed, kind, BEFORE[before])
        deployed.apply()
    write(deployed, kind, NEW)
    kill_before_upload(deployed, kind, monkeypatch, after=after)
    planned = deployed.plan()
    assert (list(reasons(planned)), approvals(planned)) == ([f"{kind}:{FILES[kind][1]}"], [])
    deployed.apply()


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("wanted", [NEW, LATER])
def test_what_others_uploaded_meanwhile_is_overwritten_after_approval(
    deployed, kind, monkeypatch, before, wanted
):
    if BEFORE[before]:
        write(deployed, kind, BEFORE[before])
        deployed.apply()
    write(deployed, kind, NEW)
    kill_before_upload(deployed, kind, monkeypatch)
    upload(deployed, kind, THEIRS)
    write(deployed, kind, wanted)
    planned = deployed.plan()
    assert list(reasons(planned).values()) == [
        "overwrites a file that somebody else uploaded after an earlier deploy had stopped (7 B live)"
    ]
    assert approvals(planned) == ["overwrite=1"]
    # Approved, and killed again: what was live then was approved.
    kill_before_upload(deployed, kind, monkeypatch)
    assert approvals(deployed.plan()) == []
    deployed.apply()


def test_what_others_uploaded_with_the_desired_content_is_only_recorded(deployed, kind, monkeypatch):
    write(deployed, kind, NEW)
    kill_before_upload(deployed, kind, monkeypatch)
    upload(deployed, kind, THEIRS)
    write(deployed, kind, THEIRS)
    planned = deployed.plan()
    assert (planned.plan.changes, planned.has_work) == ((), True)
    deployed.apply()
    assert rows(deployed)[FILES[kind][1]] == "live"


@pytest.mark.parametrize("prune", [False, True])
def test_what_others_uploaded_is_theirs_if_the_file_left_the_folder(deployed, kind, monkeypatch, prune):
    write(deployed, kind, NEW)
    kill_before_upload(deployed, kind, monkeypatch)
    upload(deployed, kind, THEIRS)
    (deployed.root / FILES[kind][0]).unlink()
    deployed.manifest(static={"dir": "www", "prune": prune}, storage={"dir": "pics", "prune": prune})
    planned = deployed.plan()
    assert approvals(planned) == (["prune=1"] if prune else [])
    if not prune:
        deployed.apply()
        assert FILES[kind][1] not in rows(deployed)
        planned = deployed.plan()
        assert not planned.has_work
        assert [note.code for note in planned.plan.notes] == [f"{kind}_unmanaged"]


def test_a_killed_deploy_of_a_layout_without_the_column_asks(deployed, kind, monkeypatch):
    write(deployed, kind, NEW)
    kill_before_upload(deployed, kind, monkeypatch, after=True)
    deployed.sql("alter table mosaic_deploy.objects drop column size_before")
    deployed.sql("update mosaic_deploy.ledger set version = 4")
    assert approvals(deployed.plan()) == []
    upload(deployed, kind, THEIRS)
    assert approvals(deployed.plan()) == ["overwrite=1"]
    assert isinstance(deployed.run()[-1], ApplyDone)


@pytest.fixture
def kept(deployed, kind):
    """A file that was deployed, left the folder and stayed live."""
    write(deployed, kind, OLD)
    deployed.apply()
    (deployed.root / FILES[kind][0]).unlink()
    return deployed


@pytest.mark.parametrize("replaced", ["before the row is kept", "after that"])
def test_a_kept_file_that_was_replaced_is_overwritten_after_approval(kept, kind, replaced):
    if replaced == "after that":
        kept.apply()
    upload(kept, kind, THEIRS)
    kept.apply()
    assert not kept.plan().has_work
    [row] = kept.sql(f"select size, sha256, state from mosaic_deploy.objects where path = '{FILES[kind][1]}'")
    assert (row["size"], len(str(row["sha256"])), row["state"]) == (len(OLD), 64, "kept")
    for content in (OLD, NEW):
        write(kept, kind, content)
        planned = kept.plan()
        assert list(reasons(planned).values()) == [
            "overwrites a file that was changed live after it had left the folder (7 B live)"
        ]
        assert approvals(planned) == ["overwrite=1"]
    write(kept, kind, THEIRS)
    assert kept.plan().plan.changes == ()
    kept.apply()
    assert not kept.plan().has_work


def test_a_kept_file_that_nobody_changed_needs_no_approval(kept, kind):
    kept.apply()
    write(kept, kind, NEW)
    planned = kept.plan()
    assert (list(reasons(planned).values()), approvals(planned)) == (["content changed"], [])
    write(kept, kind, OLD)
    kept.apply()
    assert rows(kept)[FILES[kind][1]] == "live"


def test_a_kept_file_that_was_replaced_is_pruned_after_approval(kept, kind):
    kept.apply()
    upload(kept, kind, THEIRS)
    kept.manifest(static={"dir": "www", "prune": True, "keep": 0}, storage={"dir": "pics", "prune": True})
    assert approvals(kept.plan()) == ["prune=1"]


def test_a_kept_file_that_was_deleted_is_new_again(kept, kind):
    kept.apply()
    delete(kept, kind)
    write(kept, kind, NEW)
    assert approvals(kept.plan()) == []
    kept.apply()
