"""The commit recorded for a deploy."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from mosaic_deploy.cli.target.commit import read_commit


def _git(folder: Path, *arguments: str) -> str:
    named = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")
    command = ["git", *named, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "re po"
    folder.mkdir()
    _git(folder, "init", "-q")
    _git(folder, "commit", "-q", "--allow-empty", "-m", "one")
    return folder


def test_the_commit_is_that_of_git(repository: Path, tmp_path: Path) -> None:
    (repository / "apps/site").mkdir(parents=True)
    head = _git(repository, "rev-parse", "HEAD")
    assert read_commit(repository / "apps/site", {}) == head
    _git(repository, "pack-refs", "--all")
    assert read_commit(repository, {}) == head
    _git(repository, "worktree", "add", "-q", "-b", "x/y", str(tmp_path / "other"))
    assert read_commit(tmp_path / "other", {}) == head
    _git(repository, "checkout", "-q", "--detach")
    assert read_commit(repository, {}) == head


def test_the_commit_of_the_ci_run_counts_only_without_a_repository(repository: Path, tmp_path: Path) -> None:
    """A job may have checked out another commit than the one it runs for."""
    unpacked = tmp_path / "artifact"
    unpacked.mkdir()
    for name in ("GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT"):
        assert read_commit(repository, {name: "a" * 40}) == _git(repository, "rev-parse", "HEAD")
        assert read_commit(unpacked, {name: "a" * 40}) == "a" * 40
        assert read_commit(unpacked, {name: "$(rm)"}) is None


@pytest.mark.parametrize("content", ["", "gitdir: /nowhere", "\0"])
def test_a_broken_repository_has_no_commit(tmp_path: Path, content: str) -> None:
    (tmp_path / ".git").write_text(content)
    assert read_commit(tmp_path, {}) is None


def test_an_empty_repository_has_no_commit(tmp_path: Path) -> None:
    _git(tmp_path, "init", "-q")
    assert read_commit(tmp_path, {}) is None


def test_history_shows_the_commit(run, folder: Path) -> None:
    _git(folder, "init", "-q")
    _git(folder, "add", ".")
    _git(folder, "commit", "-q", "-m", "one")
    assert run("apply", "--local", "--yes").returncode == 0
    [deploy] = json.loads(run("history", "--local", "-o", "json").stdout)["deploys"]
    assert deploy["commit"] == _git(folder, "rev-parse", "HEAD")
