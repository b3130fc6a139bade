"""A deploy from an older commit than the live one: refused in CI, a warning elsewhere."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

_IDENTITY = {
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull,
}  # fmt: skip


def git(folder: Path, *arguments: str) -> str:
    ended = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env={**os.environ, **_IDENTITY},
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout.strip()


def commit(folder: Path, text: str) -> str:
    (folder / "public/index.html").write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "-qm", text)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def history(run, folder: Path) -> tuple[Path, str, str]:
    """The repository, and two commits, of which the newer one is live."""
    git(folder, "init", "-q", "-b", "main")
    (folder / ".gitignore").write_text("cache/\n.mosaic/\n*.json\n")
    older, newer = commit(folder, "older"), commit(folder, "newer")
    assert run("ci", "apply", "--local").returncode == 0
    return folder, older, newer


def test_ci_refuses_an_older_commit_unless_it_is_allowed(run, history) -> None:
    folder, older, newer = history
    git(folder, "checkout", "-q", older)
    shown = run("plan", "--local")
    assert f"{older[:12]} is older than the live commit {newer[:12]}" in shown.stdout
    refused = run("ci", "apply", "--local")
    assert refused.returncode == 1
    assert "error[commit_older]" in refused.stderr
    assert "mosaic-deploy ci apply --local --allow older-commit" in refused.stderr
    assert run("plan", "--local", "--out", "plan.json").returncode == 0
    assert "error[commit_older]" in run("ci", "apply", "plan.json").stderr
    done = run("ci", "apply", "--local", "--allow", "older-commit")
    assert done.returncode == 0, done.stderr
    git(folder, "checkout", "-q", newer)
    assert run("ci", "apply", "--local").returncode == 0, "it is newer again"


def test_the_commit_of_the_job_counts(run, history) -> None:
    _, older, _ = history
    (history[0] / "public/index.html").write_text("older")
    refused = run("ci", "apply", "--local", env={"GITHUB_SHA": older})
    assert "error[commit_older]" in refused.stderr


def test_apply_only_warns(run, history) -> None:
    folder, older, _ = history
    git(folder, "checkout", "-q", older)
    done = run("apply", "--local", "--yes")
    assert (done.returncode, "is older than the live commit" in done.stdout) == (0, True)


def test_a_fork_of_the_history_is_a_warning(run, history) -> None:
    folder, older, newer = history
    git(folder, "checkout", "-q", "-b", "hotfix", older)
    hotfix = commit(folder, "hotfix")
    done = run("ci", "apply", "--local")
    assert done.returncode == 0, done.stderr
    assert f"{hotfix[:12]} and the live commit {newer[:12]} have forked" in done.stdout


def test_a_shallow_clone_cannot_tell(run, history) -> None:
    folder, older, newer = history
    git(folder, "branch", "old", older)
    clone = folder.parent / f"{folder.name}-shallow"
    subprocess.run(
        ["git", "clone", "-q", "--depth", "1", "--branch", "old", f"file://{folder}", str(clone)],
        check=True,
        env={**os.environ, **_IDENTITY},
    )
    shown = run("ci", "plan", "--local", cwd=clone)
    assert shown.returncode == 0, shown.stderr
    assert f"it isn't known whether {older[:12]} is newer than the live commit {newer[:12]}" in shown.stdout
    assert "this clone is shallow" in shown.stdout


def test_a_failed_deploy_that_changed_nothing_does_not_count(run, history) -> None:
    folder, _, newer = history
    (folder / "sql/2_bad.sql").write_text("insert into t values ('x');")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "bad")
    assert "error[migration_failed]" in run("ci", "apply", "--local").stderr
    git(folder, "checkout", "-q", newer)
    done = run("ci", "apply", "--local")
    assert done.returncode == 0, done.stderr
