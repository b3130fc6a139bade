"""Edits as editors, checkouts and build tools make them, seen by the real listener."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest

from mosaic_deploy import watch
from mosaic_deploy.source.manifest.read import read_manifest
from mosaic_deploy.watch import Edits, WatchedPaths, _watch_error, watch_edits, watched_paths

MANIFEST = (
    "version: 1\nproject: {name: x}\nstatic: {dir: public}\nstorage: {dir: assets}\n"
    "database: {migrations: sql, seeds: [seeds/a.sql]}\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("public/a.css", "public/deep/b.html", "assets/a.bin", "sql/1_t.sql", "seeds/a.sql"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("select 1")
    (tmp_path / "mosaic.yaml").write_text(MANIFEST)
    return tmp_path


class Collector:
    """Collects the sets of a listener."""

    def __init__(self, edits: Iterator[Edits]) -> None:
        self._edits = edits
        assert next(edits) == frozenset()
        self.sets: list[Edits] = []

    def until(self, name: str) -> Edits:
        """All edits, up to the set that contains `name`, or its folder if that was replaced."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if edits := next(self._edits):
                self.sets.append(edits)
                if name in edits or name.rpartition("/")[0] in edits:
                    return frozenset().union(*self.sets)
        raise AssertionError(f"no edit of {name} in {self.sets}")


@pytest.fixture(params=["listening", "polling"])
def collector(root: Path, request: pytest.FixtureRequest) -> Collector:
    deployed = lambda name: name in ("public/a.css", "public/deep/b.html")  # noqa: E731
    paths = watched_paths(read_manifest(root, environ={}))
    return Collector(watch_edits(paths, poll=request.param == "polling", deployed=deployed))


def test_watched_paths_are_what_a_deploy_reads(root: Path) -> None:
    (root / "mosaic.yaml").write_text(MANIFEST.replace("dir: public}", "dir: ./public/deep/}"))
    assert watched_paths(read_manifest(root, environ={})) == WatchedPaths(
        root,
        ("public/deep", "assets", "sql"),
        ("mosaic.yaml", ".env", "seeds/a.sql", ".mosaicignore", "public/.mosaicignore"),
    )


def _rename_over(root: Path) -> None:
    (root / "public/a.css.tmp").write_text("new")
    (root / "public/a.css.tmp").replace(root / "public/a.css")


def _as_vim_does(root: Path) -> None:
    (root / "public/4913").write_text("")
    (root / "public/4913").unlink()
    (root / "public/a.css").rename(root / "public/a.css~")
    (root / "public/a.css").write_text("new")
    (root / "public/a.css~").unlink()


SAVES: dict[str, tuple[Callable[[Path], object], str]] = {
    "in place": (lambda root: (root / "public/a.css").write_text("new"), "public/a.css"),
    "renamed over": (_rename_over, "public/a.css"),
    "as vim does": (_as_vim_does, "public/a.css"),
    "deep": (lambda root: (root / "public/deep/b.html").write_text("new"), "public/deep/b.html"),
    "the manifest": (lambda root: (root / "mosaic.yaml").write_text(MANIFEST + "\n"), "mosaic.yaml"),
    "variables": (lambda root: (root / ".env").write_text("A=1"), ".env"),
    "a seed": (lambda root: (root / "seeds/a.sql").write_text("select 22"), "seeds/a.sql"),
    "a migration": (lambda root: (root / "sql/2_u.sql").write_text("select 2"), "sql/2_u.sql"),
    "patterns": (lambda root: (root / "public/.mosaicignore").write_text("*.x"), "public/.mosaicignore"),
    "patterns above": (lambda root: (root / ".mosaicignore").write_text("*.x"), ".mosaicignore"),
    "a deleted file": (lambda root: (root / "public/a.css").unlink(), "public/a.css"),
}


@pytest.mark.parametrize("save", SAVES)
def test_a_save_is_seen(root: Path, collector: Collector, save: str) -> None:
    effect, name = SAVES[save]
    effect(root)
    collector.until(name)


@pytest.mark.parametrize("content", ["one", "two"])
def test_a_file_saved_twice_at_once_is_one_set(root: Path, collector: Collector, content: str) -> None:
    (root / "public/a.css").write_text(content)
    (root / "public/a.css").write_text("and again")
    collector.until("public/a.css")
    assert len(collector.sets) == 1
    assert (root / "public/a.css").read_text() == "and again"


class Scripted:
    """A listener of edits at given seconds, on a clock that only waiting advances."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, edits: dict[float, tuple[Callable[[], object], str]]):
        self.now = 0.0
        self._edits = dict(sorted(edits.items()))
        monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self.changes))
        monkeypatch.setattr(watch._EditListener, "_start_listener", lambda _: None)
        monkeypatch.setattr(
            watch._EditListener, "_listener_changes", lambda _, timeout: self.changes(timeout)
        )

    def changes(self, timeout: float) -> set[str]:
        at = next(iter(self._edits), None)
        if at is None or at > self.now + timeout:
            self.now += timeout
            return set()
        self.now = max(self.now, at)
        effect, name = self._edits.pop(at)
        effect()
        return {name}


@pytest.mark.parametrize(
    ("written_after", "seen"), [(0.1, [1.1]), (1.0, [2.0]), (1.9, [2.9]), (2.5, [3.0, 3.5])]
)
def test_a_deployed_file_that_is_written_again_within_two_seconds_was_not_deleted(
    root: Path, monkeypatch: pytest.MonkeyPatch, written_after: float, seen: list[float]
) -> None:
    file = root / "public/a.css"
    paths = watched_paths(read_manifest(root, environ={}))
    edits = {1.0: (file.unlink, "public/a.css")}
    edits[1.0 + written_after] = (lambda: file.write_text("new"), "public/a.css")
    script = Scripted(monkeypatch, edits)
    sets = watch_edits(paths, deployed=lambda name: name == "public/a.css")
    found = [(round(script.now, 1), file.exists()) for edit in islice(sets, 30) if edit]
    assert found == [(at, at >= 1 + written_after) for at in seen]


def test_edits_that_never_end_are_a_set_after_fifteen_seconds(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits = {n / 20: (lambda: None, f"public/new{n}.txt") for n in range(1, 800)}
    script = Scripted(monkeypatch, edits)
    sets = watch_edits(watched_paths(read_manifest(root, environ={})))
    assert next(len(edit) for edit in sets if edit) >= 300
    assert 15 <= script.now < 15.5


def test_a_checkout_of_a_thousand_files_is_few_sets(root: Path, collector: Collector) -> None:
    for number in range(1000):
        (root / f"public/deep/{number}.txt").write_text(str(number))
    edits = collector.until("public/deep/999.txt")
    # More than one if the machine stops in between.
    assert len(collector.sets) <= 3
    assert len([name for name in edits if name.endswith(".txt")]) == 1000


def _rename_away(folder: Path) -> None:
    folder.rename(folder.with_name("old"))


# A file system may give a new folder the number of the deleted one, which then isn't seen to be another.
@pytest.mark.parametrize("remove", [shutil.rmtree, _rename_away])
def test_a_rebuilt_folder_is_one_set_and_still_watched(
    root: Path, collector: Collector, remove: Callable[[Path], None]
) -> None:
    remove(root / "public")
    (root / "public/deep").mkdir(parents=True)
    (root / "public/a.css").write_text("built")
    (root / "public/deep/b.html").write_text("built")
    collector.until("public/a.css")
    assert len(collector.sets) == 1
    (root / "public/deep/b.html").write_text("edited by hand")
    collector.until("public/deep/b.html")


def test_a_folder_created_later_is_watched(root: Path) -> None:
    shutil.rmtree(root / "assets")
    collector = Collector(watch_edits(watched_paths(read_manifest_without_folders(root))))
    (root / "assets").mkdir()
    (root / "assets/new.bin").write_text("new")
    collector.until("assets")
    (root / "assets/later.bin").write_text("later")
    collector.until("assets/later.bin")


def read_manifest_without_folders(root: Path):
    (root / "assets").mkdir()
    manifest = read_manifest(root, environ={})
    shutil.rmtree(root / "assets")
    return manifest


def test_a_new_subfolder_is_watched(root: Path, collector: Collector) -> None:
    (root / "public/new").mkdir()
    collector.until("public/new")
    (root / "public/new/c.html").write_text("new")
    collector.until("public/new/c.html")


def test_git_and_system_files_are_ignored(root: Path, collector: Collector) -> None:
    (root / "public/.git").mkdir()
    (root / "public/.git/index").write_text("x")
    (root / "public/.DS_Store").write_text("x")
    (root / "public/a.css").write_text("new")
    assert collector.until("public/a.css") == {"public/a.css"}


def test_a_symlinked_project_is_watched(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "by another name"
    link.symlink_to(root)
    collector = Collector(watch_edits(watched_paths(read_manifest(link, environ={}))))
    (root / "public/a.css").write_text("new")
    collector.until("public/a.css")


SYSTEM_ERRORS = {
    "Error creating recommended watcher: Too many open files (os error 24)": "fs.inotify.max_user_instances",
    'OS file watch limit reached. about ["/x"]': "fs.inotify.max_user_watches",
    "No space left on device (os error 28)": "fs.inotify.max_user_watches",
    "No such device": "--poll",
}


@pytest.mark.parametrize("message", SYSTEM_ERRORS)
def test_system_errors_have_hints(message: str) -> None:
    error = _watch_error(message)
    assert SYSTEM_ERRORS[message] in str(error.hint)
    assert "--poll" in str(error.hint)


PROGRAM = """
import pathlib, resource, sys, watchfiles._rust_notify
from mosaic_deploy.errors import WatchFailed
from mosaic_deploy.watch import WatchedPaths, watch_edits
if sys.argv[2] == "files":
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
try:
    next(watch_edits(WatchedPaths(pathlib.Path(sys.argv[1]), ("public", "assets"), ("mosaic.yaml",))))
except WatchFailed as error:
    print(error.code, error.hint)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is for Linux")
def test_the_limit_of_instances_is_named(root: Path) -> None:
    """A process that can't open more files gets the same error from inotify."""
    command = [sys.executable, "-c", PROGRAM, str(root), "files"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.startswith("watch_failed"), done
    assert "fs.inotify.max_user_instances" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is for Linux")
def test_the_limit_of_watches_is_named(root: Path) -> None:
    """In a user namespace, so that the machine's limit isn't changed."""
    limited = 'echo 1 > /proc/sys/user/max_inotify_watches && exec "$@"'
    command = [
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        limited,
        "sh",
        sys.executable,
        "-c",
        PROGRAM,
    ]
    try:
        done = subprocess.run(
            [*command, str(root), "watches"], capture_output=True, text=True, timeout=30, check=False
        )
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if done.returncode and not done.stdout:
        pytest.skip(f"no namespaces here: {done.stderr}")
    assert done.stdout.startswith("watch_failed"), done
    assert "fs.inotify.max_user_watches" in done.stdout
