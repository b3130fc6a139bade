"""The stat cache never returns an outdated digest, whatever happens to the files."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_deploy.model.snapshot import Object
from mosaic_deploy.source.files import digests, stat_cache
from mosaic_deploy.source.files.folder import read_files
from mosaic_deploy.source.files.gitignore import FileSelection
from mosaic_deploy.source.files.stat_cache import CLOCK_GRANULARITY_NS, Digest, StatCache
from mosaic_deploy.source.secrets.kinds import SecretFinding

HOUR = 3600 * 1_000_000_000
KEY = "mk_" + "Zx8Kq2Lw9Rt4Yv7B" + "n3Mc6Pd1Fs5Gh0Jk"


class Folder:
    """A project folder with its cache, read as in a deploy. `opened` has the names of the files that were read."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.cache = root / "cache" / "files.bin"
        self.opened: list[str] = []
        (root / "public").mkdir(parents=True)
        open_regular = digests.open_regular

        def record(path: str):
            self.opened.append(Path(path).name)
            return open_regular(path)

        monkeypatch.setattr(digests, "open_regular", record)

    def read(self) -> dict[str, str]:
        """Digests by name. The cache is loaded before and saved after, as in every command."""
        self.opened.clear()
        cache = StatCache(self.cache)
        found = read_files(self.root, FileSelection("public"), cache).found
        cache.write()
        self.tick()
        return {name: file.object.sha256 for name, file in found.items()}

    def tick(self) -> None:
        """Waits until the file system's clock advances.

        Tests that set the program's clock forward disable its protection against edits within one clock tick.
        """
        last = max((file.stat().st_ctime_ns for file in (self.root / "public").iterdir()), default=0)
        probe = self.root / "probe"
        while True:
            probe.write_text("")
            if probe.stat().st_mtime_ns > last:
                return

    def actual_digests(self) -> dict[str, str]:
        files = (self.root / "public").iterdir()
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    return Folder(tmp_path / "project", monkeypatch)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets the program's clock forward by an hour, so that files written just now are old."""
    real = time.time_ns
    monkeypatch.setattr(digests.time, "time_ns", lambda: real() + HOUR)


@pytest.fixture
def site(folder: Folder, later: None) -> Folder:
    """A folder with three cached files."""
    for name in ("a", "b", "c"):
        (folder.root / "public" / name).write_text(f"content of {name}")
    folder.read()
    assert folder.opened == ["a", "b", "c"]
    return folder


def test_unchanged_files_are_not_read_again(site: Folder) -> None:
    assert site.read() == site.actual_digests()
    assert site.opened == []


def test_a_cache_without_changes_is_not_written(site: Folder) -> None:
    before = site.cache.stat()
    site.read()
    assert site.cache.stat() == before


def test_a_change_is_read_and_cached(site: Folder) -> None:
    (site.root / "public/b").write_text("something else")
    assert site.read() == site.actual_digests()
    assert site.opened == ["b"]
    assert site.read() == site.actual_digests()
    assert site.opened == []


def test_an_edit_with_the_same_size_and_time_is_detected(site: Folder) -> None:
    path = site.root / "public/b"
    before = path.stat()
    path.write_text("CONTENT of b")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (
        before.st_size,
        before.st_mtime_ns,
        before.st_ino,
    )
    assert site.read() == site.actual_digests()
    assert site.opened == ["b"]


def test_a_replaced_file_is_detected(site: Folder) -> None:
    path = site.root / "public/b"
    other = site.root / "other"
    other.write_text("CONTENT of b")
    os.utime(other, ns=(0, path.stat().st_mtime_ns))
    other.replace(path)
    assert site.read() == site.actual_digests()


def test_a_file_written_just_now_is_not_cached(folder: Folder) -> None:
    """Otherwise an edit within the same clock tick as the read would never be detected."""
    (folder.root / "public/a").write_text("one")
    folder.read()
    folder.read()
    assert folder.opened == ["a"]


@pytest.mark.parametrize(
    ("age", "kept"),
    [(-HOUR, False), (0, False), (CLOCK_GRANULARITY_NS - 1, False), (CLOCK_GRANULARITY_NS, True)],
)
@pytest.mark.parametrize("stamp", ["mtime", "ctime"])
def test_racy_time_stamps(tmp_path: Path, age: int, kept: bool, stamp: str) -> None:
    now = 1_700_000_000 * 1_000_000_000
    old = now - HOUR
    mtime, ctime = (now - age, old) if stamp == "mtime" else (old, now - age)
    status = fake_status(mtime, ctime)
    cache = StatCache(None)
    cache.keep("a", status, Digest("00" * 32, 5), began=now)
    assert bool(cache._seen) is kept


def fake_status(mtime: int, ctime: int) -> os.stat_result:
    facts = {"st_mtime_ns": mtime, "st_ctime_ns": ctime}
    return os.stat_result((0o100644, 1, 1, 1, 0, 0, 5, 0, 0, 0), facts)


def test_an_edit_within_one_clock_tick_is_detected(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system with time stamps in whole seconds, both versions have the same time stamp."""
    second = 1_700_000_000 * 1_000_000_000
    monkeypatch.setattr(digests.time, "time_ns", lambda: second + 500_000_000)

    def coarse(status: os.stat_result) -> bytes:
        return stat_cache._STATUS.pack(status.st_size, second, second, status.st_ino, status.st_dev)

    monkeypatch.setattr(stat_cache, "_pack_status", coarse)
    path = folder.root / "public/a"
    path.write_text("one")
    os.utime(path, ns=(second, second))
    folder.read()
    path.write_text("two")
    os.utime(path, ns=(second, second))
    assert folder.read() == folder.actual_digests()


def test_a_file_that_changes_while_it_is_read_is_not_cached(
    folder: Folder, later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder.root / "public/a"
    path.write_text("one")
    real_digest = digests._digest

    def edit_after_reading(file, size, hashing):
        digest = real_digest(file, size, hashing)
        path.write_text("two")
        return digest

    monkeypatch.setattr(digests, "_digest", edit_after_reading)
    folder.read()
    monkeypatch.setattr(digests, "_digest", real_digest)
    assert folder.read() == folder.actual_digests()


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other", "old", "gone"])
def test_a_damaged_cache_is_ignored(site: Folder, damage: str) -> None:
    raw = site.cache.read_bytes()
    middle = len(raw) // 2
    site.cache.unlink()
    if damage != "gone":
        site.cache.write_bytes(
            {
                "cut": raw[:-1],
                "flipped": raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :],
                "empty": b"",
                "other": b"not a cache at all\n" * 50,
                "old": raw.replace(b"files 1", b"files 0", 1),
            }[damage]
        )
    assert site.read() == site.actual_digests()
    assert site.opened == ["a", "b", "c"]
    assert site.read() == site.actual_digests()
    assert site.opened == []


@pytest.mark.parametrize("where", ["under a file", "a folder", "a fifo"])
def test_an_impossible_cache_path_is_ignored(folder: Folder, where: str) -> None:
    (folder.root / "public/a").write_text("x")
    if where == "under a file":
        folder.cache.parent.write_text("not a folder")
    else:
        folder.cache.parent.mkdir()
        folder.cache.mkdir() if where == "a folder" else os.mkfifo(folder.cache)
    assert folder.read() == folder.actual_digests()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_an_unwritable_cache_folder_is_ignored(site: Folder) -> None:
    site.cache.parent.chmod(0o500)
    try:
        (site.root / "public/a").write_text("new")
        assert site.read() == site.actual_digests()
    finally:
        site.cache.parent.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_cache_is_ignored(site: Folder) -> None:
    os.chown(site.cache, 65534, -1)
    site.read()
    assert site.opened == ["a", "b", "c"]


def test_only_the_owner_can_read_the_cache(site: Folder) -> None:
    assert site.cache.stat().st_mode & 0o777 == 0o600


def test_the_cache_size_is_limited(site: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some unseen entries are kept, because another environment may deploy another folder."""
    monkeypatch.setattr(stat_cache, "MAX_UNSEEN_ENTRIES", 1)
    for name in ("a", "b", "c"):
        (site.root / "public" / name).unlink()
    (site.root / "public/d").write_text("d")
    site.read()
    cache = StatCache(site.cache)
    assert list(cache._index) == ["public/d", "public/a", "public/b"]


def test_old_caches_of_other_projects_are_deleted(site: Folder) -> None:
    old, young, strange = (
        site.cache.with_name(name) for name in ("files-1.bin", "files-2.bin", "etags-1.json")
    )
    for path in (old, young, strange):
        path.touch()
    os.utime(old, (0, 0))
    os.utime(strange, (0, 0))
    (site.root / "public/a").write_text("new")
    site.read()
    assert not old.exists()
    assert young.exists()
    assert strange.exists()


def test_findings_are_cached_but_not_the_secret(site: Folder) -> None:
    (site.root / "public/b").write_text(f"x\n  {KEY}\n")
    for _ in range(2):
        cache = StatCache(site.cache)
        read = read_files(site.root, FileSelection("public"), cache)
        cache.write()
        assert [str(problem) for problem in read.secrets] == ["public/b:2:3 looks like a Mosaic API key"]
    assert StatCache(site.cache)._findings == {"public/b": (SecretFinding("mosaic_key", 2, 3),)}
    assert b"Zx8Kq2Lw9Rt4" not in site.cache.read_bytes()


def test_concurrent_deploys_leave_a_valid_cache(folder: Folder, later: None) -> None:
    for number in range(200):
        (folder.root / f"public/{number:03}").write_text(str(number))
    expected = folder.actual_digests()
    begin = threading.Barrier(4)
    wrong: list[object] = []

    def deploy() -> None:
        begin.wait(20)
        for _ in range(5):
            cache = StatCache(folder.cache)
            found = read_files(folder.root, FileSelection("public"), cache).found
            wrong.extend(name for name in found if found[name].object.sha256 != expected[name])
            cache._changed = True
            cache.write()

    threads = [threading.Thread(target=deploy) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert folder.read() == expected
    assert folder.opened == []
    assert [path.name for path in folder.cache.parent.iterdir()] == [folder.cache.name]


EDITS = st.lists(
    st.tuples(
        st.sampled_from(
            ["write", "same size", "time put back", "replace", "delete", "rename", "touch", "chmod"]
        ),
        st.sampled_from("abc"),
        st.sampled_from("abc"),
        st.binary(max_size=6),
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(EDITS, min_size=1, max_size=5))
def test_digests_are_correct_after_any_edits(rounds: list) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Folder(Path(name) / "project", patch)
        real = time.time_ns
        patch.setattr(digests.time, "time_ns", lambda: real() + HOUR)
        for each in "abc":
            (folder.root / "public" / each).write_bytes(each.encode() * 5)
        for edits in rounds:
            for edit in edits:
                make_edit(folder.root / "public", *edit)
            assert folder.read() == folder.actual_digests()
            opened = list(folder.opened)
            assert folder.read() == folder.actual_digests()
            assert folder.opened == [], opened


def make_edit(folder: Path, kind: str, first: str, second: str, content: bytes) -> None:
    """Makes one edit; creates the file if it doesn't exist."""
    path, other = folder / first, folder / second
    if kind == "write" or not path.exists():
        path.write_bytes(content)
        return
    before = path.stat()
    if kind in ("same size", "time put back"):
        path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))
    if kind == "time put back":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif kind == "replace":
        (folder / "new").write_bytes(content)
        (folder / "new").replace(path)
    elif kind == "delete":
        path.unlink()
    elif kind == "rename":
        path.replace(other)
    elif kind == "touch":
        path.touch()
    elif kind == "chmod":
        path.chmod(before.st_mode ^ 0o010)


def test_objects_have_path_digest_and_size(site: Folder) -> None:
    cache = StatCache(site.cache)
    found = read_files(site.root, FileSelection("public"), cache).found
    content = b"content of a"
    assert found["a"].object == Object("a", hashlib.sha256(content).hexdigest(), len(content))
