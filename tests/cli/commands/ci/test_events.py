"""`ci` and the action run for events on their list, and stop for every other event of GitHub."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from mosaic_deploy.cli.commands.ci.events import APPLY_EVENTS, PLAN_EVENTS, check_event
from mosaic_deploy.cli.commands.ci.github import Github
from mosaic_deploy.errors import EventNotAllowed

ROOT = Path(__file__).parents[4]
PAYLOADS: dict[str, Any] = json.loads((ROOT / "tests/cases/github/events.json").read_text())
del PAYLOADS["//"]
PAYLOADS |= {
    "pull_request_target": PAYLOADS["pull_request"],
    "schedule": {"schedule": "0 4 * * *"},
    "workflow_call": PAYLOADS["push"],
    "image_version": {},
    "a_future_event": {},
    "": {},
}
ALLOWED = {"plan": PLAN_EVENTS, "apply": APPLY_EVENTS}
STEP = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"][-1]["run"]


def github(name: str, folder: Path, **more: str) -> Github:
    (folder / "event.json").write_text(json.dumps(PAYLOADS[name]))
    event = name.partition(" ")[0]
    return Github(
        {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": event,
            "GITHUB_EVENT_PATH": str(folder / "event.json"),
            **more,
        }
    )


def test_the_payloads_are_those_of_real_events() -> None:
    assert len(PAYLOADS) >= 40
    assert PAYLOADS["push"]["deleted"] is False
    assert PAYLOADS["push (deletion)"]["deleted"] is True
    assert PAYLOADS["pull_request"]["pull_request"]["number"]
    assert PAYLOADS["issue_comment"]["comment"]["body"]


@pytest.mark.parametrize("name", PAYLOADS, ids=str)
@pytest.mark.parametrize("command", ["plan", "apply"])
def test_only_listed_events_run(name: str, command: str, tmp_path: Path) -> None:
    job = github(name, tmp_path)
    if name in ALLOWED[command]:
        check_event(job, command, ())
        return
    with pytest.raises(EventNotAllowed) as caught:
        check_event(job, command, ())
    assert caught.value.hint
    if name != "push (deletion)":
        assert "allow-event: " in caught.value.hint
        assert name in caught.value.message


@pytest.mark.parametrize("name", ["merge_group", "issue_comment", "pull_request"])
def test_an_event_can_be_allowed(name: str, tmp_path: Path) -> None:
    check_event(github(name, tmp_path), "apply", (name,))
    with pytest.raises(EventNotAllowed):
        check_event(github("workflow_run", tmp_path), "apply", (name,))


def test_a_deletion_and_no_name_cannot_be_allowed(tmp_path: Path) -> None:
    for name in ("push (deletion)", ""):
        with pytest.raises(EventNotAllowed):
            check_event(github(name, tmp_path), "apply", ("push", ""))


def test_outside_github_there_are_no_events(tmp_path: Path) -> None:
    check_event(github("issue_comment", tmp_path, GITHUB_ACTIONS=""), "apply", ())


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_the_command_stops_before_it_reads_anything(run, tmp_path: Path, command: str) -> None:
    environ = dict(github("issue_comment", tmp_path).environ)
    ended = run("ci", command, "no such folder", env={**environ, "MOSAIC_API_KEY": "mk_x"})
    assert ended.returncode != 0
    assert f"error[event_not_allowed]: ci {command} doesn't run for the event issue_comment" in ended.stderr
    assert "--allow-event issue_comment" in ended.stderr


def _action(name: str, folder: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """The action's last step, with a program that prints its arguments."""
    program = folder / "mosaic-deploy"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    environ = {
        "PATH": os.environ["PATH"], "PROGRAM": str(program), "COMMAND": "auto", "TARGET": ".", "LABEL": "",
        "ALLOW": "", "ALLOW_EVENT": "", "BUILD": "auto", "GITHUB_EVENT_NAME": name.partition(" ")[0], **inputs,
    }  # fmt: skip
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", STEP],
        env=environ,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize("name", PAYLOADS, ids=str)
def test_auto_in_the_action(name: str, tmp_path: Path) -> None:
    ended = _action(name, tmp_path)
    if name == "pull_request":
        assert (ended.returncode, ended.stdout) == (0, "ci plan --label  .\n")
    elif name.partition(" ")[0] in APPLY_EVENTS:
        assert (ended.returncode, ended.stdout) == (0, "ci apply .\n")
    else:
        assert ended.returncode == 2
        assert f"allow-event: {name}" in ended.stdout


def test_an_allowed_event_in_the_action(tmp_path: Path) -> None:
    ended = _action("merge_group", tmp_path, COMMAND="apply", ALLOW_EVENT="merge_group")
    assert ended.stdout == "ci apply --allow-event merge_group .\n"


def test_builds_in_the_action(tmp_path: Path) -> None:
    assert _action("push", tmp_path, BUILD="never").stdout == "ci apply --no-build .\n"
    assert _action("pull_request", tmp_path, BUILD="always").stdout == "ci plan --label  --build .\n"
    assert _action("push", tmp_path, BUILD="yes").returncode == 2
