"""A repository's files start no program: not as modules of Python, and not by the configuration of a git repository in it."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

import pytest

from mosaic_deploy.cli.commands.start.git_files import is_ignored, is_tracked
from mosaic_deploy.cli.target.ancestry import commit_comparison
from mosaic_deploy.cli.target.commit import uncommitted_files
from mosaic_deploy.cli.target.platform_process import run_platform_command
from mosaic_deploy.git import repository_root, run_git
from mosaic_deploy.source.manifest.read import read_manifest

PACKAGE = Path(__file__).parents[3] / "mosaic_deploy"
COMMIT = ("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "x", "--allow-empty")


@pytest.mark.parametrize("name", ["logging.py", "asyncio/__init__.py", "mosaic_deploy/__init__.py"])
def test_modules_of_the_repository_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    trap = tmp_path / name
    trap.parent.mkdir(exist_ok=True)
    trap.write_text(f"open({str(tmp_path / 'started')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOSAIC_HOME", str(tmp_path / "home"))
    assert run_platform_command("status")["status"] == "stopped"
    assert not (tmp_path / "started").exists()


def test_no_process_imports_modules_of_the_current_folder() -> None:
    """`-m` without `-P` puts the current folder first."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.List) and any(getattr(item, "value", None) == "-m" for item in node.elts):
                assert any(getattr(item, "value", None) == "-P" for item in node.elts), file


@pytest.fixture
def with_bare_repository(tmp_path: Path) -> Path:
    """A folder that is a repository by its files, which can be committed, inside another repository."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(["git", "-C", str(tmp_path), *COMMIT], check=True)
    inner = tmp_path / "sub"
    subprocess.run(["git", "init", "-q", "--bare", str(inner)], check=True)
    for name, value in (
        ("core.bare", "false"),
        ("core.worktree", str(inner)),
        ("core.fsmonitor", f"touch {tmp_path / 'started'}; false"),
        ("core.pager", f"touch {tmp_path / 'started'}"),
        ("alias.cat-file", f"!touch {tmp_path / 'started'}"),
    ):
        subprocess.run(["git", "config", "-f", str(inner / "config"), name, value], check=True)
    (inner / ".env").write_text("")
    subprocess.run(["git", "-C", str(inner), *COMMIT], check=True, env={**os.environ, "PWD": str(inner)})
    (tmp_path / "started").unlink(missing_ok=True)
    return inner


def test_a_repository_among_the_files_starts_nothing(with_bare_repository: Path) -> None:
    inner = with_bare_repository
    assert is_tracked(inner) is False
    assert is_ignored(inner) is False
    (inner / "mosaic.yaml").write_text("version: 1\nproject: {name: x}\n")
    commit_comparison(read_manifest(inner, environ={}))("a" * 40, False)
    assert repository_root(inner) == inner.parent
    for command in (["rev-parse", "HEAD"], ["ls-files"], ["status"], ["cat-file", "blob", "HEAD:.env"]):
        run_git(inner, *command)
    assert not (inner.parent / "started").exists()


def test_filters_of_the_repository_start_nothing(tmp_path: Path) -> None:
    """Git compares a file with its commit by the filters that the repository's configuration names."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "mosaic.yaml").write_text("version: 1\nproject: {name: x}\n")
    (tmp_path / ".gitattributes").write_text("mosaic.yaml filter=trap")
    subprocess.run(["git", "-C", str(tmp_path), "add", "."], check=True)
    subprocess.run(["git", "-C", str(tmp_path), *COMMIT], check=True)
    filtering = ("config", "filter.trap.clean", f"touch {tmp_path / 'started'}; cat")
    subprocess.run(["git", "-C", str(tmp_path), *filtering], check=True)
    (tmp_path / "mosaic.yaml").write_text("version: 1\nproject: {name: y}\n")
    assert uncommitted_files(read_manifest(tmp_path, environ={})) == ()
    assert not (tmp_path / "started").exists()


def test_the_doctor_asks_only_the_outer_repository(with_bare_repository: Path, run) -> None:
    inner = with_bare_repository
    (inner / "mosaic.yaml").write_text("version: 1\nproject: {name: x}\n")
    (inner / ".env").write_text("MOSAIC_API_KEY=")
    run("doctor", "--in", "sub")
    assert not (inner.parent / "started").exists()


def test_dotenv_is_found_in_a_subfolder(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for name in ("a b", "*"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".env").write_text("")
    (tmp_path / ".gitignore").write_text("/a b/.env\n")
    subprocess.run(["git", "-C", str(tmp_path), "add", "--", ":(literal)*/.env"], check=True)
    assert [is_ignored(tmp_path / name) for name in ("a b", "*")] == [True, False]
    assert [is_tracked(tmp_path / name) for name in ("a b", "*")] == [False, True]
