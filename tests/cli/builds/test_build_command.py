"""Builds before plan, apply and CI, as users see them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from living import is_alive

BUILD = "set -e; echo building; mkdir -p dist; cat src/* >dist/index.html; echo x >>../count"
Edit = Callable[..., Path]


@pytest.fixture
def built(tmp_path: Path, folder: Path) -> Path:
    """A project beside a counter of its builds."""
    root = tmp_path / "built"
    (root / "src").mkdir(parents=True)
    (root / "src/a").write_text("<h1>one")
    (root / "build.sh").write_text(BUILD)
    name = (folder / "mosaic.yaml").read_text().partition("name: ")[2].split("\n")[0].strip("}")
    (root / "mosaic.yaml").write_text(
        f"version: 1\nproject: {{name: {name} built}}\nbuild: {{command: sh build.sh, output: dist}}\nstatic: {{}}\n"
    )
    return root


def builds(root: Path) -> int:
    count = root.parent / "count"
    return len(count.read_text().split()) if count.is_file() else 0


@pytest.fixture
def go(run, built: Path) -> Callable[..., Any]:
    return lambda *arguments, **more: run(*arguments, cwd=built, **more)


def test_it_builds_if_inputs_or_the_output_changed(built: Path, go) -> None:
    state = go("status", "--local")
    assert state.returncode == 0
    assert "dist isn't built yet, so its files aren't checked" in state.stdout
    checked = go("validate")
    assert checked.returncode == 0
    assert "dist isn't built yet, so its files aren't checked" in checked.stdout
    missing = go("plan", "--local", "--no-build")
    assert (missing.returncode, builds(built)) == (1, 0)
    assert "build_output_missing" in missing.stderr
    assert "mosaic.yaml:3:39: dist does not exist" in missing.stderr

    partial = go("plan", "--local", "--only", "project")
    assert (partial.returncode, builds(built)) == (0, 0)
    assert "Partial plan: 1 change left out by --only." in partial.stdout
    planned = go("plan", "--local")
    assert "Building: sh build.sh (dist does not exist)\nBuilt in " in planned.stderr
    assert "  building" not in planned.stderr
    assert builds(built) == 1
    assert go("apply", "--local", "--yes").returncode == 0
    assert builds(built) == 1

    (built / "src/a").write_text("<h1>two")
    stale = go("plan", "--local", "--no-build")
    assert "dist is taken as it is, and may be out of date: src/a changed" in stale.stdout
    assert "No changes" in stale.stdout
    lines = [json.loads(line) for line in go("apply", "--local", "--yes", "-o", "ndjson").stdout.splitlines()]
    [line] = [line for line in lines if line["type"] == "build"]
    assert (line["command"], line["reason"]) == ("sh build.sh", "src/a changed")
    assert lines[-1]["done"] == ["static:index.html"]

    (built / "dist/index.html").write_text("edited by hand")
    assert "No changes" in go("apply", "--local", "--yes").stdout
    assert (built / "dist/index.html").read_text() == "<h1>two"
    assert "Building" in go("plan", "--local", "--build").stderr
    assert builds(built) == 4


def test_a_saved_plan_is_applied_with_the_files_it_was_made_of(built: Path, go) -> None:
    assert go("plan", "--local", "--out", "../plan.json").returncode == 0
    (built / "src/a").write_text("<h1>later")
    assert go("apply", "../plan.json").returncode == 0
    assert builds(built) == 1
    assert go("plan", "--local", "--out", "../plan.json").returncode == 0
    (built / "dist/index.html").unlink()
    assert go("apply", "../plan.json").returncode == 0
    assert builds(built) == 3


@pytest.mark.parametrize(
    ("script", "settings", "code", "words"),
    [
        (
            "echo why; exit 7",
            "",
            "build_failed",
            ("`sh build.sh` ended with exit code 7\n", "  why\n", "3 | build:"),
        ),
        ("nonexistent-program", "", "build_failed", ("exit code 127", "a program wasn't found: install it")),
        (
            "sleep 30",
            ", timeout: 0.2",
            "build_failed",
            ("was ended after 200 ms, the limit in build.timeout",),
        ),
        (
            "mkdir -p dist",
            "",
            "build_output_missing",
            ("dist has no files, although build.command succeeded",),
        ),
        ("true", "", "build_output_missing", ("dist does not exist, although build.command succeeded",)),
        (
            "mkdir -p dist sub; echo >sub/x",
            ", dir: src",
            "build_failed",
            ("it ran in src",),
        ),
        (
            "ln -s ../outside dist; mkdir -p ../outside; echo >../outside/x",
            "",
            "manifest_invalid",
            ('"dist" is outside the project folder',),
        ),
    ],
)
def test_a_build_that_fails_deploys_nothing(
    built: Path, go, script: str, settings: str, code: str, words: tuple[str, ...]
) -> None:
    (built / "build.sh").write_text(script)
    manifest = (built / "mosaic.yaml").read_text()
    (built / "mosaic.yaml").write_text(manifest.replace("dist}", f"dist{settings}}}"))
    ended = go("apply", "--local", "--yes")
    assert ended.returncode == 1
    assert ended.stdout == ""
    for word in (code, *words):
        assert word in ended.stderr


def test_an_error_for_programs_has_the_end_of_the_output(built: Path, go) -> None:
    (built / "build.sh").write_text("seq 1 20; exit 1")
    error = json.loads(go("plan", "--local", "-o", "json").stdout)["error"]
    assert error["code"] == "build_failed"
    assert error["location"] == {"file": "mosaic.yaml", "line": 3, "column": 18}
    assert error["message"].splitlines()[1:] == [f"  {number}" for number in range(6, 21)]


def test_build_needs_a_build(folder: Path, run) -> None:
    ended = run("plan", "--local", "--build")
    assert (ended.returncode, "mosaic.yaml has no build" in ended.stderr) == (2, True)


def test_two_at_once_build_once_and_ctrl_c_ends_a_build(built: Path, environment: dict[str, str]) -> None:
    (built / "build.sh").write_text(f"echo $$ >../pid\nwhile ! [ -e ../go ]; do sleep 0.05; done\n{BUILD}")
    program = [sys.executable, "-m", "mosaic_deploy", "plan", "--local"]

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            program, cwd=built, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def wait_for_build() -> None:
        while not ((built.parent / "pid").is_file() and (built.parent / "pid").read_text()):
            time.sleep(0.01)

    with start() as first:
        wait_for_build()
        first.send_signal(signal.SIGINT)
        assert first.wait(60) == 130
    assert not is_alive(int((built.parent / "pid").read_text()))
    (built.parent / "pid").unlink()
    with start() as first:
        wait_for_build()
        with start() as second:
            assert second.stderr is not None
            assert "Waiting for another build of dist." in second.stderr.readline()
            (built.parent / "go").write_text("")
            assert first.wait(60) == second.wait(60) == 0
    assert builds(built) == 1


def test_ci_builds_only_for_events_that_run_trusted_code(built: Path, go, tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text("{}")
    actions = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_PATH": str(event), "GITHUB_WORKSPACE": str(built)}
    others = {**actions, "GITHUB_EVENT_NAME": "pull_request_target"}
    refused = go("ci", "plan", "--local", "--allow-event", "pull_request_target", env=others)
    assert "build_output_missing" in refused.stdout + refused.stderr
    assert builds(built) == 0
    ended = go("ci", "plan", "--local", env={**actions, "GITHUB_EVENT_NAME": "push"})
    assert ended.returncode == 0, ended.stderr
    assert builds(built) == 1
