"""The commit recorded for a deploy."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from mosaic_deploy.cli.target.commit import read_commit, uncommitted_files
from mosaic_deploy.source.manifest.read import read_manifest


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


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("public/index.html", True), ("public/new.html", True), ("sql/1_t.sql", True), ("mosaic.yaml", True),
        ("public/built.html", False), ("notes.txt", False), (".env", False),
    ],
)  # fmt: skip
def test_only_changes_of_what_a_deploy_reads_count(folder: Path, path: str, counts: bool) -> None:
    """Also in a project below the repository's root. A build's output is ignored by git."""
    root = folder.parent
    for name in (".git", ".gitignore"):
        assert not (root / name).exists()
    (folder / ".gitignore").write_text("built.html\n")
    _git(folder, "init", "-q")
    _git(folder, "add", ".")
    _git(folder, "commit", "-q", "-m", "one")
    manifest = read_manifest(folder, environ={})
    assert uncommitted_files(manifest) == ()
    with (folder / path).open("a") as file:
        file.write("\n")
    assert uncommitted_files(manifest) == ((path,) if counts else ())


def test_changes_in_a_project_below_the_root_of_the_repository(repository: Path) -> None:
    project = repository / "apps/[a]"
    (project / "public").mkdir(parents=True)
    (project / "public/a.html").write_text("a")
    (project / "mosaic.yaml").write_text("version: 1\nproject: {name: x}\nstatic: {dir: public}\n")
    (repository / "apps/a").mkdir()
    (repository / "apps/a/other.html").write_text("another project's")
    _git(repository, "add", ":(literal)apps/[a]")
    _git(repository, "commit", "-q", "-m", "two")
    manifest = read_manifest(project, environ={})
    assert uncommitted_files(manifest) == ()
    (project / "public/a.html").unlink()
    assert uncommitted_files(manifest) == ("apps/[a]/public/a.html",)


@pytest.mark.parametrize("command", [("ci", "apply"), ("apply", "--yes")])
def test_a_deploy_with_uncommitted_changes_is_marked(run, folder: Path, command) -> None:
    _git(folder, "init", "-q")
    _git(folder, "add", ".")
    _git(folder, "commit", "-q", "-m", "one")
    commit = _git(folder, "rev-parse", "HEAD")
    (folder / "public/index.html").write_text("in no commit")
    note = f"public/index.html differs from commit {commit[:12]}; the history marks this deploy as dirty"
    assert note in run("plan", "--local").stdout
    shown = run(*command, "--local")
    assert (shown.returncode, note in shown.stdout) == (0, True)
    assert f"{commit[:12]}-dirty" in run("history", "--local").stdout
    [deploy] = json.loads(run("history", "--local", "-o", "json").stdout)["deploys"]
    assert (deploy["commit"], deploy["dirty"]) == (commit, True)
    assert "dirty" not in run("plan", "--local").stdout, "nothing is deployed"

    _git(folder, "checkout", "-q", ".")
    replaces = f"the live files may differ from commit {commit[:12]}: its deploy had uncommitted changes"
    shown = run(*command, "--local")
    assert (shown.returncode, replaces in shown.stdout) == (0, True)
    newest, _ = json.loads(run("history", "--local", "-o", "json").stdout)["deploys"]
    assert (newest["commit"], newest["dirty"]) == (commit, False)
    (folder / "public/index.html").write_text("again")
    _git(folder, "commit", "-q", "-a", "-m", "two")
    shown = run("plan", "--local").stdout
    assert "1 to change" in shown
    assert "commit" not in shown.replace(folder.name, "")
