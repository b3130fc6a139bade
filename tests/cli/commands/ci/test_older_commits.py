"""A deploy from an older commit than the live one: refused in CI, a warning elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


def test_a_job_that_checked_out_an_older_tag_is_refused(run, history) -> None:
    """A run started by hand for the newest commit, with `ref:` of an older one."""
    folder, older, newer = history
    git(folder, "tag", "v1", older)
    git(folder, "checkout", "-q", "v1")
    assert "error[commit_older]" in run("ci", "apply", "--local", env={"GITHUB_SHA": newer}).stderr
    done = run("ci", "apply", "--local", "--allow", "older-commit", env={"GITHUB_SHA": newer})
    assert done.returncode == 0, done.stderr
    [newest, *_] = json.loads(run("history", "--local", "-o", "json").stdout)["deploys"]
    assert newest["commit"] == older


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        ({"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}, "it belongs to another user"),
        ({"PATH": "/nowhere"}, "git isn't installed here"),
        ({"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "x"}, "git can't read the repository (error: "),
    ],
    ids=["owner", "no git", "broken configuration"],
)
def test_the_plan_says_why_git_cannot_tell(run, history, env, reason) -> None:
    folder, older, _ = history
    git(folder, "checkout", "-q", older)
    shown = " ".join(run("plan", "--local", env=env).stdout.split())
    assert f"it isn't known whether {older[:12]} is newer" in shown
    assert reason in shown


def test_in_a_hook_of_another_repository_the_folder_counts(run, history, tmp_path) -> None:
    folder, older, newer = history
    git(folder, "checkout", "-q", older)
    refused = run("ci", "apply", "--local", env={"GIT_DIR": str(tmp_path), "GIT_WORK_TREE": str(tmp_path)})
    assert f"{older[:12]} is older than the live commit {newer[:12]}" in refused.stdout


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
    refused = run("ci", "apply", "--local", cwd=clone)
    assert refused.returncode == 1
    assert "error[commit_older]: it isn't known whether" in refused.stderr
    assert "fetch-depth: 0" in refused.stderr
    git(clone, "fetch", "-q", "--unshallow", "origin", "main:main")
    git(clone, "checkout", "-q", newer)
    assert run("ci", "apply", "--local", cwd=clone).returncode == 0
    git(clone, "checkout", "-q", older)
    done = run("ci", "apply", "--local", "--allow", "older-commit", cwd=clone)
    assert done.returncode == 0, done.stderr


def test_a_clone_from_before_the_live_commit_cannot_tell(run, history) -> None:
    """As of a job that checked out its commit before the newer one was pushed and deployed."""
    folder, _, newer = history
    clone = folder.parent / f"{folder.name}-before"
    environment = {**os.environ, **_IDENTITY}
    subprocess.run(["git", "clone", "-q", f"file://{folder}", str(clone)], check=True, env=environment)
    newest = commit(folder, "newest")
    assert run("ci", "apply", "--local").returncode == 0
    refused = run("ci", "apply", "--local", cwd=clone)
    assert refused.returncode == 1
    assert (
        f"error[commit_older]: it isn't known whether {newer[:12]} is newer than the live commit {newest[:12]}"
        in refused.stderr
    )
    git(clone, "fetch", "-q")
    assert f"{newer[:12]} is older than the live commit" in run("ci", "apply", "--local", cwd=clone).stderr
    git(clone, "merge", "-q", "origin/main")
    assert run("ci", "apply", "--local", cwd=clone).returncode == 0


def test_a_failed_deploy_that_changed_nothing_does_not_count(run, history) -> None:
    folder, _, newer = history
    (folder / "sql/2_bad.sql").write_text("insert into t values ('x');")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "bad")
    assert "error[migration_failed]" in run("ci", "apply", "--local").stderr
    git(folder, "checkout", "-q", newer)
    done = run("ci", "apply", "--local")
    assert done.returncode == 0, done.stderr


def test_a_job_that_waited_for_the_lock_checks_again(run, history, environment) -> None:
    """The newer commit is deployed while the job of the older one waits."""
    folder, _, _ = history
    middle, newest = commit(folder, "middle"), commit(folder, "newest")
    git(folder, "checkout", "-q", middle)
    lock = "insert into mosaic_deploy.lease values (true, 'the other job', 'token', now(), now() + interval '50 seconds')"
    assert run("sql", "--local", "--allow", "destructive", lock).returncode == 0
    with subprocess.Popen(
        [sys.executable, "-m", "mosaic_deploy", "ci", "apply", "--local"],
        cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True,
    ) as job:  # fmt: skip
        assert job.stderr is not None
        while "waiting for" not in (line := job.stderr.readline()):
            assert line, "it ended without waiting"
        ended = (
            "with one as (update mosaic_deploy.ledger set serial = serial + 2 returning serial), two as ("
            "insert into mosaic_deploy.deploys (id, serial, status, holder, plan, report) "
            f"select 'other', serial, 'done', 'the other job', 'p', '{{\"commit\": \"{newest}\", \"done\": []}}' from one) "
            "delete from mosaic_deploy.lease"
        )
        assert run("sql", "--local", "--allow", "destructive", ended).returncode == 0
        refused = job.stderr.read()
        assert job.wait(60) == 1
    assert f"{middle[:12]} is older than the live commit {newest[:12]}" in refused
    assert "error[commit_older]" in refused
