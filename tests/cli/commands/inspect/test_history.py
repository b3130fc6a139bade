"""What `history` tells of each run: the commit, what was approved and how, and what was added, changed and deleted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import read_json


def commit(folder: Path) -> str:
    for words in (
        ["init", "-q"],
        ["add", "mosaic.yaml", "sql", "public"],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *words], cwd=folder, check=True)
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    )
    return found.stdout.strip()


def newest(run) -> dict:
    return read_json(run("history", "--local", "-o", "json"))["deploys"][0]


@pytest.fixture
def pruning(folder: Path) -> Path:
    manifest = folder / "mosaic.yaml"
    manifest.write_text(manifest.read_text().replace("dir: public", "dir: public\n  prune: true\n  keep: 0"))
    for number in range(6):
        (folder / f"public/{number}.html").write_text(str(number))
    return folder


def test_additions_changes_and_deletions_differ(run, pruning: Path) -> None:
    assert run("apply", "--local", "--yes").returncode == 0
    first = newest(run)
    assert first["counts"]["static"] == {"add": 7}
    assert first["approval"] == {"confirmed": "yes", "approved": []}
    assert "7 static files added" in run("history", "--local").stdout
    for number in range(6):
        (pruning / f"public/{number}.html").unlink()
    (pruning / "public/new.html").write_text("new")
    (pruning / "public/index.html").write_text("changed")
    assert run("apply", "--local", "--yes", "--allow", "prune=6").returncode == 0
    found = newest(run)
    assert found["counts"] == {"static": {"add": 1, "change": 1, "destroy": 6}}
    assert found["approval"] == {
        "confirmed": "yes",
        "approved": [
            {"value": "prune=6", "effect": "deletes 6 files: 6 of the 7 live static files", "by": "allow"}
        ],
    }
    [line] = [line for line in run("history", "--local").stdout.splitlines() if "prune" in line]
    assert "--yes, --allow prune=6" in line
    assert "8 static files (1 added, 1 changed, 6 deleted)" in line


def test_what_the_policy_approved_is_told(run, folder: Path) -> None:
    manifest = folder / "mosaic.yaml"
    manifest.write_text(manifest.read_text() + "policy: {destructive: allow}\n")
    (folder / "sql/1_t.sql").write_text("create table t (id int); insert into t values (1);")
    assert run("apply", "--local", "--yes").returncode == 0
    (folder / "sql/2_drop.sql").write_text("drop table t;")
    assert run("apply", "--local", "--yes").returncode == 0
    [approved] = newest(run)["approval"]["approved"]
    assert (approved["value"], approved["by"]) == ("destructive", "policy")
    assert "destructive by the policy" in run("history", "--local").stdout


@pytest.mark.parametrize("dirty", [False, True])
def test_runs_of_migrate_have_the_commit_and_are_no_deploys(run, folder: Path, dirty: bool) -> None:
    (folder / "sql/1_t.sql").write_text(
        "-- migrate:up\ncreate table t (id int);\n-- migrate:down\ndrop table t;\n"
    )
    deployed = commit(folder)
    assert run("apply", "--local", "--yes").returncode == 0
    (folder / "public/more.html").write_text("x")
    later = commit(folder)
    if dirty:
        (folder / "public/more.html").write_text("y")
    back = run("migrate", "rollback", "--local", "--yes", "--allow", "destructive")
    assert back.returncode == 0, back.stderr
    found = newest(run)
    assert (found["status"], found["commit"], found["dirty"]) == ("rollback", later, dirty)
    assert found["approval"]["confirmed"] == "yes"
    assert found["counts"] == {"rollback": {"destroy": 1}}
    if not dirty:
        subprocess.run(["git", "checkout", "-q", deployed], cwd=folder, check=True)
        plan = read_json(run("plan", "--local", "-o", "json"))
        assert [note["code"] for note in plan["notes"] if "commit" in note["code"]] == [], "it is live still"
