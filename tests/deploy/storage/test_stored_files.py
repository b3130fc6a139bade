"""`storage put`, `get` and `rm` against the embedded platform: whose files they change, and what an apply makes of that."""

from __future__ import annotations

import os
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from mosaic_deploy.deploy.storage.get import fetch, plan_download
from mosaic_deploy.deploy.storage.put import Sources, plan_put, read_sources
from mosaic_deploy.deploy.storage.remove import plan_removal
from mosaic_deploy.deploy.storage.send import send
from mosaic_deploy.deploy.storage.stored import Stored, read_stored
from mosaic_deploy.diff.policy import refuse_denied
from mosaic_deploy.errors import (
    MosaicError,
    PolicyDenied,
    SecretFound,
    SourceRefused,
    SourceUnreadable,
    StorageFileManaged,
    StorageFileMissing,
    TransfersFailed,
    WriteFailed,
)
from mosaic_deploy.live.api.projects import read_projects
from mosaic_deploy.live.compare_bytes import EtagCache
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.source.files.digests import ignore_progress
from mosaic_deploy.source.manifest.read import read_manifest

NAMES = ("a b.txt", "it's.txt", "-x.txt", "é/ü.txt", "#?%.txt")


@pytest.fixture
def stored(site, monkeypatch):
    """Reads the storage of a deployed site, whose manifest has `assets/` below `app/`. Its folder is the current one."""
    site.write("assets/own.txt", "own")
    site.manifest(storage={"dir": "assets", "prefix": "app/", "prune": True})
    site.apply()
    monkeypatch.chdir(site.root)

    def read() -> Stored:
        [project] = [one for one in read_projects(site.api) if one.name == site.name]
        return read_stored(site.api, project, read_manifest(site.root, environ={}))

    return read


def sources(*paths: str, to: str = "", recursive: bool = False, allow_secrets: bool = False) -> Sources:
    return read_sources(paths, to, ignore_progress, recursive=recursive, allow_secrets=allow_secrets)


def put(site, stored, *paths: str, managed: bool = False, **chosen: object) -> Plan:
    read = sources(*paths, **chosen)  # type: ignore[arg-type]
    plan = plan_put(site.api, stored(), read, managed=managed)
    list(send(site.api, plan, read.files, 4))
    return plan


def approvals(plan: Plan) -> list[str]:
    return [each.allow for each in plan.approvals]


def test_names_arrive_and_come_back_unchanged(site, stored) -> None:
    for number, name in enumerate(NAMES):
        site.write(f"files/{name}", f"content {number}")
    site.write("files/.hidden", "")
    read = sources("files", to="up/", recursive=True)
    assert [note.message for note in read.notes] == [
        "files: 1 file left out, hidden by a dot: .hidden; give its own path to upload one"
    ]
    plan = put(site, stored, "files", to="up/", recursive=True)
    assert (len(plan.changes), approvals(plan)) == (len(NAMES), [])
    assert put(site, stored, "files", to="up/", recursive=True).empty
    assert all(url.endswith(stored().urls.of(name)[-8:]) for name, url in plan.storage_urls.items())
    assert dict(stored().urls.listed).items() >= plan.storage_urls.items()
    wanted = plan_download(site.api, stored(), ["up/"], "back")
    fetch(site.api, wanted, 4, ignore_progress)
    assert {str(f.relative_to("back")): f.read_text() for f in Path("back").rglob("*.txt")} == {
        name: f"content {number}" for number, name in enumerate(NAMES)
    }
    assert not list(Path("back").rglob(".mosaic-*"))
    assert not stat.S_IMODE(Path("back/a b.txt").stat().st_mode) & 0o100
    assert EtagCache(stored().project.url).entries.keys() >= set(plan.storage_urls.values())
    for arguments, to, hinted in (
        (["up/", "x"], "", True),
        (["x", "up/"], "", False),
        (["up/", "x"], "back", False),
    ):
        with pytest.raises(StorageFileMissing) as raised:
            plan_download(site.api, stored(), arguments, to)
        hint = "if x is meant as the local path, write --to x; "
        assert str(raised.value.hint).startswith(hint) == hinted
    again = plan_download(site.api, stored(), ["up/"], "back")
    assert (again.downloads, len(again.unchanged)) == ((), len(NAMES))


def test_no_apply_prunes_what_was_put_by_hand(site, stored) -> None:
    site.write("photo.txt", "photo")
    put(site, stored, "photo.txt", to="app/photo.txt")
    site.apply()
    assert "app/photo.txt" in stored().sizes
    (site.root / "assets/own.txt").unlink()
    site.write("assets/other.txt", "other")
    site.apply()
    assert sorted(stored().sizes) == ["app/other.txt", "app/photo.txt"]


def test_live_files_are_overwritten_and_deleted_only_with_approval(site, stored) -> None:
    site.write("x.txt", "1")
    put(site, stored, "x.txt")
    site.write("x.txt", "2")
    site.write("y.txt", "2")
    plan = plan_put(site.api, stored(), sources("x.txt", "y.txt"))
    assert approvals(plan) == ["overwrite=1"]
    assert [change.reason for change in plan.changes] == [
        "overwrites the live file (not deployed from here, 1 B)",
        "new",
    ]
    assert approvals(plan_removal(site.api, stored(), ["*.txt"])) == ["prune=1"]
    site.manifest(storage={"dir": "assets", "prefix": "app/"}, policy={"max_deletes": 0})
    denied = plan_removal(site.api, stored(), ["x.txt"])
    with pytest.raises(PolicyDenied):
        refuse_denied(denied)


def test_files_of_the_manifest_are_refused(site, stored) -> None:
    site.write("x.txt", "1")
    site.write("assets/new.txt", "new")
    for name in ("app/own.txt", "app/new.txt"):
        with pytest.raises(StorageFileManaged) as raised:
            plan_put(site.api, stored(), sources("x.txt", to=name))
        [problem] = raised.value.problems
        assert problem.message == f"deployed from assets/{name[4:]}; the next apply uploads it again"
        assert plan_put(site.api, stored(), sources("x.txt", to=name), managed=True).changes
    site.write("assets/.mosaicignore", "new.txt")
    assert plan_put(site.api, stored(), sources("x.txt", to="app/new.txt")).changes
    with pytest.raises(StorageFileManaged):
        plan_removal(site.api, stored(), ["app/"])
    assert approvals(plan_removal(site.api, stored(), ["app/"], managed=True)) == ["prune=1"]


def test_files_of_another_manifest_are_refused(site, stored) -> None:
    site.write("x.txt", "1")
    before = stored()
    elsewhere = replace(before.manifest, file=site.root / "no" / "mosaic.yaml", storage=None)
    other = read_stored(site.api, before.project, elsewhere)
    with pytest.raises(StorageFileManaged) as raised:
        plan_removal(site.api, other, ["app/own.txt"])
    assert raised.value.problems[0].message == "deployed by site/mosaic.yaml; its next apply uploads it again"
    with pytest.raises(StorageFileManaged):
        plan_put(site.api, other, sources("x.txt", to="app/own.txt"))


def test_what_earlier_deploys_left_is_deleted(site, stored) -> None:
    """Not what others put beside it; and `put` doesn't take the name of what an apply may prune."""
    site.write("x.txt", "1")
    put(site, stored, "x.txt", to="app/x.txt")
    site.manifest(storage={"dir": "empty", "prefix": "app/"})
    site.write("empty/new.txt", "new")
    with pytest.raises(StorageFileManaged) as raised:
        plan_put(site.api, stored(), sources("x.txt", to="app/own.txt"))
    assert "an apply with `prune` may delete it" in raised.value.problems[0].message
    plan = plan_removal(site.api, stored(), [], left=True)
    assert [change.address for change in plan.changes] == ["storage:app/own.txt"]
    assert approvals(plan) == ["prune=1"]
    list(send(site.api, plan, {}, 4))
    assert sorted(stored().sizes) == ["app/x.txt"]
    site.apply()
    assert plan_removal(site.api, stored(), [], left=True).empty
    rows = site.sql("SELECT path FROM mosaic_deploy.objects WHERE kind = 'storage' ORDER BY path")
    assert [row["path"] for row in rows] == ["app/new.txt"]


@pytest.mark.parametrize(
    ("paths", "chosen", "kind", "problem"),
    [
        (["d"], {}, SourceRefused, "d: is a folder; --recursive uploads its files"),
        (["x.txt"], {"to": "../x"}, SourceRefused, "../x: the name has an empty part"),
        (["x.txt"], {"to": "/x"}, SourceRefused, "/x: the name has an empty part"),
        (["x.txt"], {"to": "a\\b"}, SourceRefused, "the name contains a backslash"),
        (["x.txt", "d/x.txt"], {}, SourceRefused, "would get the same name as x.txt"),
        (["x.txt", "d/y.txt"], {"to": "one"}, SourceRefused, "--to one names a single file"),
        (["d"], {"to": "one", "recursive": True}, SourceRefused, "--to one names a single file"),
        (["none.txt"], {}, MosaicError, "can't be read"),
        ([".env"], {}, SecretFound, "looks like"),
        (["fifo"], {}, MosaicError, "not a regular file"),
    ],
)  # fmt: skip
def test_what_cannot_be_uploaded(tmp_path, monkeypatch, paths, chosen, kind, problem) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("x.txt", "d/x.txt", "d/y.txt", ".env"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("1")
    os.mkfifo("fifo")
    with pytest.raises(kind) as raised:
        sources(*paths, **chosen)
    assert problem in str(next(iter(raised.value.problems), raised.value.message))


@pytest.mark.parametrize(
    ("paths", "hint"),
    [
        (["x.txt", "docs/"], "if docs/ is meant as the name in storage, write --to docs/"),
        (["x.txt", "y.txt"], "if y.txt is meant as the name in storage, write --to y.txt"),
        (["x.txt", "d/z.txt", "docs"], "if docs is meant as the name in storage, write --to docs/"),
        (["x.txt", "none", "docs"], None),
        (["none", "x.txt"], None),
        (["none"], None),
    ],
)
def test_a_target_without_its_option_is_recognized(tmp_path, monkeypatch, paths, hint) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("x.txt", "d/z.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("1")
    with pytest.raises(SourceUnreadable) as raised:
        sources(*paths)
    assert raised.value.hint == hint


def test_patterns_that_the_shell_has_left(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.txt", "b.txt", "[c].txt"):
        Path(name).write_text("1")
    assert list(sources("[ab].txt", "[c].txt", "a.txt", to="p/").files) == ["p/a.txt", "p/b.txt", "p/[c].txt"]
    assert list(sources(".", recursive=True).files) == ["[c].txt", "a.txt", "b.txt"]
    Path(".env").write_text("")
    assert list(sources(".env", allow_secrets=True).files) == [".env"]


def _listed(stored: Stored, *names: str) -> Stored:
    """As if the platform listed these names, whatever they are."""
    urls = replace(stored.urls, listed=dict.fromkeys(names, stored.urls.listed["app/own.txt"]))
    return replace(stored, urls=urls, sizes=dict.fromkeys(names, 3))


def test_nothing_is_written_outside_the_folder(site, stored) -> None:
    (site.root / "to/sub").mkdir(parents=True)
    (site.root / "to/link").symlink_to(site.root)
    before, found = sorted(site.root.rglob("*")), stored()
    for name in ("x/../../own.txt", "x//own.txt", "x/\x1b.txt", "x/a\\..\\b", "x/link/own.txt", "x/sub"):
        with pytest.raises(WriteFailed) as raised:
            plan_download(site.api, _listed(found, name), ["x/"], "to")
        assert raised.value.message == "nothing was downloaded: these can't be written below to"
    assert sorted(site.root.rglob("*")) == before


def test_local_files_are_kept_until_the_new_one_is_complete(site, stored) -> None:
    site.write("to/own.txt", "old")
    (site.root / "to/own.txt").chmod(0o640)
    wrong = _listed(stored(), "app/own.txt")
    wrong = replace(wrong, sizes={"app/own.txt": 99})
    plan = plan_download(site.api, wrong, ["app/own.txt"], "to")
    assert plan.overwritten == (Path("to/own.txt"),)
    with pytest.raises(MosaicError) as raised:
        fetch(site.api, plan, 4, ignore_progress)
    assert "lists 99 bytes, but 3 arrived" in raised.value.message
    assert [each.name for each in (site.root / "to").iterdir()] == ["own.txt"]
    assert (site.root / "to/own.txt").read_text() == "old"
    fetch(site.api, plan_download(site.api, stored(), ["app/own.txt"], "to/own.txt"), 4, ignore_progress)
    assert (site.root / "to/own.txt").read_text() == "own"
    assert stat.S_IMODE((site.root / "to/own.txt").stat().st_mode) == 0o640


def test_a_file_that_was_made_meanwhile_is_kept(site, stored) -> None:
    plan = plan_download(site.api, stored(), ["app/own.txt"], "mine.txt")
    site.write("mine.txt", "mine")
    with pytest.raises(WriteFailed):
        fetch(site.api, plan, 4, ignore_progress)
    assert (site.root / "mine.txt").read_text() == "mine"


def test_the_umask_is_read_before_other_threads_create_files(site, stored, monkeypatch) -> None:
    readers = []
    umask = os.umask

    def reading(mask: int) -> int:
        readers.append(threading.current_thread().name)
        return umask(mask)

    before = umask(0o027)
    try:
        monkeypatch.setattr(os, "umask", reading)
        found = _listed(stored(), "b/1", "b/2")
        fetch(site.api, plan_download(site.api, found, ["b/"], "to"), 4, ignore_progress)
    finally:
        umask(before)
    assert set(readers) == {"MainThread"}
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (site.root / "to", *(site.root / "to").iterdir())]
    assert modes == [0o750, 0o640, 0o640]


def test_failed_downloads_stop_no_other(site, stored) -> None:
    found = _listed(stored(), "a/1", "a/2", "a/3")
    gone = {**found.urls.listed, "a/1": f"{found.urls.base}none", "a/2": f"{found.urls.base}none"}
    found = replace(found, urls=replace(found.urls, listed=gone))
    with pytest.raises(TransfersFailed) as raised:
        fetch(site.api, plan_download(site.api, found, ["a/"], "to"), 4, ignore_progress)
    assert [problem.location.file for problem in raised.value.problems] in (["a/1", "a/2"], ["a/2", "a/1"])
    assert [each.name for each in (site.root / "to").iterdir()] == ["3"]
