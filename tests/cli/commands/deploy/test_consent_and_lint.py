"""Hazards, confirmation and lint, as users run them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def shop(run, folder: Path) -> Path:
    """A live table with rows, and a pending migration that drops it."""
    (folder / "sql/1_t.sql").write_text(
        "create table t (id bigint);\ninsert into t select generate_series(1, 2100);\nanalyze t;\n"
    )
    done = run("apply", "--local", "--yes")
    assert done.returncode == 0, done.stderr
    (folder / "sql/2_drop.sql").write_text("-- away with it\ndrop table t;\n")
    return folder


def answered(environment: dict[str, str], cwd: Path, answer: str, *arguments: str) -> tuple[int, str]:
    """Runs the command in a terminal and types `answer`."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mosaic_deploy", *arguments]
    process = subprocess.Popen(
        command, cwd=cwd, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    seen = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        seen += part
    os.close(ours)
    return process.wait(timeout=60), seen.decode()


def test_the_plan_shows_hazards_and_affected_rows(run, shop):
    shown = run("plan", "--local")
    assert (
        "  Hazards\n    destructive sql/2_drop.sql:2:1: drops table t (≈2.1 k rows)  [drop_table]\n"
        in shown.stdout
    )
    assert "destructive changes need confirmation, or --allow destructive in CI" in shown.stdout
    document = json.loads(run("plan", "--local", "-o", "json").stdout)
    [hazard] = document["hazards"]
    assert hazard["location"] == {"file": "sql/2_drop.sql", "line": 2, "column": 1}
    assert (hazard["severity"], hazard["object"], hazard["ignored"]) == ("destructive", "t", None)
    assert document["policy"] == {"denied": [], "to_confirm": 1, "to_prune": 0, "to_overwrite": 0}


def test_yes_does_not_approve_destroying_data(run, shop):
    refused = run("apply", "--local", "--yes")
    assert refused.returncode == 1
    assert "error[destructive_unconfirmed]" in refused.stderr
    assert "sql/2_drop.sql:2:1 drops table t (≈2.1 k rows)" in refused.stderr
    assert "mosaic-deploy apply --local --yes --allow destructive" in refused.stderr
    error = json.loads(run("apply", "--local", "--yes", "-o", "json").stdout)["error"]
    assert (error["code"], error["mutation_state"]) == ("destructive_unconfirmed", "none")


@pytest.fixture
def stranger(run, folder: Path) -> Path:
    """A live site with an unmanaged file, and a manifest with `prune: all`."""
    (folder / "public/hand.txt").write_text("by hand")
    assert run("apply", "--local", "--yes").returncode == 0
    (folder / "public/hand.txt").unlink()
    assert run("apply", "--local", "--yes").returncode == 0
    forget = "delete from mosaic_deploy.objects where path = 'hand.txt'"
    assert run("sql", "--local", "--allow", "destructive", forget).returncode == 0
    manifest = folder / "mosaic.yaml"
    manifest.write_text(manifest.read_text().replace("dir: public", "dir: public\n  prune: all\n  keep: 0"))
    return folder


def test_pruning_needs_the_exact_number(run, stranger):
    shown = run("plan", "--local")
    assert "not deployed by this project" in shown.stdout
    assert "needs --allow prune=1" in shown.stdout
    assert json.loads(run("plan", "--local", "-o", "json").stdout)["policy"]["to_prune"] == 1
    for given in ((), ("--allow", "prune=2"), ("--allow", "destructive")):
        refused = run("apply", "--local", "--yes", *given)
        assert refused.returncode == 1
        assert "error[prune_unconfirmed]" in refused.stderr
        assert "--allow prune=1" in refused.stderr
    done = run("apply", "--local", "--yes", "--allow", "prune=1")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("given", ["prune", "prune=", "prune=all", "prune=-1", "prune=²", "other"])
def test_invalid_values_of_allow_are_refused(run, folder, given):
    refused = run("apply", "--local", "--allow", given)
    assert refused.returncode == 2
    assert "use destructive, prune=N, overwrite=N" in refused.stderr


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("y\n", 0)])
def test_pruning_is_confirmed_even_with_yes(environment, stranger, answer, code):
    found, shown = answered(environment, stranger, answer, "apply", "--local", "--yes")
    assert found == code
    assert (
        "This deletes 1 file that this manifest didn't deploy, or that changed since. Apply anyway?" in shown
    )


def test_allow_does_not_replace_yes(run, shop):
    refused = run("apply", "--local", "--allow", "destructive")
    assert refused.returncode == 1
    assert "error[confirmation_required]" in refused.stderr


def test_allow_destructive(run, shop):
    done = run("apply", "--local", "--yes", "--allow", "destructive")
    assert done.returncode == 0, done.stderr


def test_a_comment_does_not_approve_a_hazard(run, shop):
    (shop / "sql/2_drop.sql").write_text("-- mosaic-ignore: drop_table copied away\ndrop table t;\n")
    assert "[drop_table]  mosaic-ignore: copied away" in run("plan", "--local").stdout
    refused = run("apply", "--local", "--yes")
    assert "error[destructive_unconfirmed]" in refused.stderr
    done = run("apply", "--local", "--yes", "--allow", "destructive")
    assert done.returncode == 0, done.stderr


def test_output_has_no_escapes_outside_a_terminal(run, shop):
    (shop / "sql/2_drop.sql").write_text("create table k (id int primary key);\n")
    for command in (["migrate", "lint"], ["plan", "--local"]):
        shown = run(*command).stdout
        assert "advice" in shown
        assert "\x1b" not in shown and "\\x1b" not in shown


def test_suppressed_hazards_are_counted(run, shop):
    (shop / "sql/2_drop.sql").write_text(
        "-- mosaic-ignore: int4_key few rows\ncreate table k (id int primary key);\n"
    )
    done = run("apply", "--local", "--yes")
    assert done.returncode == 0, done.stderr
    assert "1 silenced by mosaic-ignore" in done.stdout


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("y\n", 0)])
def test_destroying_data_is_confirmed_even_with_yes(environment, shop, answer, code):
    found, shown = answered(environment, shop, answer, "apply", "--local", "--yes")
    assert "This destroys data (drops table t (≈2.1 k rows)). Apply anyway? [y/N]" in shown
    assert (found, "error[declined]" in shown) == (code, code == 1)


def test_no_option_overrides_the_policy(run, environment, shop):
    with (shop / "mosaic.yaml").open("a") as manifest:
        manifest.write("policy: {destructive: deny}\nenvironments: {dev: {policy: {destructive: allow}}}\n")
    assert "Policy: this plan will be refused" in run("plan", "--local").stdout
    refused = run("apply", "--local", "--yes", "--allow", "destructive")
    assert refused.returncode == 1
    assert "error[policy_denied]" in refused.stderr
    assert "mosaic-deploy plan" not in refused.stderr, "the plan is shown above"
    assert "sql/2_drop.sql:2:1 policy.destructive: drops table t" in refused.stderr
    found, shown = answered(environment, shop, "y\n", "apply", "--local")
    assert found == 1
    assert "error[policy_denied]" in shown
    assert run("apply", "--local", "--yes", "--env", "dev", "--allow", "policy").returncode == 0


def test_lint_needs_no_platform(run, folder):
    (folder / "sql/2_drop.sql").write_text("drop table t;\n")
    offline = {"MOSAIC_API_URL": "http://127.0.0.1:9"}
    found = run("migrate", "lint", env=offline)
    assert found.returncode == 1
    assert found.stdout.splitlines()[0] == "sql/2_drop.sql:1:1: destructive[drop_table] drops table t"
    assert found.stdout.splitlines()[-1] == "2 files: 1 destructive."
    only = run("migrate", "lint", "--only", "1_t.sql", env=offline)
    assert (only.returncode, only.stdout) == (0, "1 file: no findings.\n")
    document = json.loads(run("migrate", "lint", "-o", "json", env=offline).stdout)
    assert (document["type"], document["files"], document["summary"]["destructive"]) == ("lint", 2, 1)
    lines = [json.loads(line) for line in run("migrate", "lint", "-o", "ndjson").stdout.splitlines()]
    assert [line["type"] for line in lines] == ["version", "hazard", "lint"]
    assert run("migrate", "lint", "--only", "3_x.sql").returncode == 2


def test_lint_severity(run, folder):
    (folder / "sql/2_more.sql").write_text("create table u (id int primary key);\n")
    assert run("migrate", "lint").returncode == 0
    assert run("migrate", "lint", "--severity", "advice").returncode == 1


def _ways(run, *arguments: str) -> list[tuple[str, bool]]:
    error = json.loads(run(*arguments, "-o", "json").stdout)["error"]
    return [(way["command"], way["needs_person"]) for way in error["next_actions"]]


def test_decisions_of_a_person_are_marked(run, shop):
    [(command, needs)] = _ways(run, "apply", "--local", "--yes")
    assert ("--allow destructive" in command, needs) == (True, True)
    told = run("apply", "--local", "--yes").stderr
    assert "  your decision: to approve this:  mosaic-deploy apply --local --yes --allow" in told
    (shop / "sql/2_drop.sql").write_text("create table u (id bigint);")
    assert [needs for _, needs in _ways(run, "apply", "--local")] == [False]
    (shop / "sql/1_t.sql").write_text("create table t (id int);")
    ways = _ways(run, "apply", "--local", "--yes")
    assert [needs for command, needs in ways if "migrate repair --accept" in command] == [True]
    assert [needs for _, needs in _ways(run, "migrate", "repair", "--accept", "1_t.sql", "--local")] == [True]
    assert [needs for _, needs in _ways(run, "local", "reset", "nothing")] == [True]
