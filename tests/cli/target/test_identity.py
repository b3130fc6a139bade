"""Lock holders, and whether they are still running."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from mosaic_deploy.cli.target.identity import current_process, holder, holder_is_gone


def test_a_running_process_is_not_gone() -> None:
    assert holder({}).endswith(f"@{socket.gethostname()} (pid {os.getpid()})")
    assert not holder_is_gone(holder({}))


def test_an_ended_process_is_gone_without_proc(monkeypatch) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    name = f"ada@{socket.gethostname()} (pid {ended.stdout.strip()})"
    monkeypatch.setattr("mosaic_deploy.cli.target.identity.current_process", dict)
    assert holder_is_gone(name)
    monkeypatch.undo()
    if current_process():
        assert not holder_is_gone(name), "it may be another container's, which has the same name"


@pytest.mark.parametrize("name", [
    "", "GitHub Actions a/b run 7", "ada@elsewhere (pid 99999999)", "ada@{host} (pid 0)", "ada@{host} (pid x)",
    "ada@{host} (pid 999999999999999)",
])  # fmt: skip
def test_other_holders_are_not_known_to_be_gone(name: str, monkeypatch) -> None:
    monkeypatch.setattr("mosaic_deploy.cli.target.identity.current_process", dict)
    assert not holder_is_gone(name.replace("{host}", socket.gethostname()))


def test_a_ci_run_names_who_started_it() -> None:
    run = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "a/b", "GITHUB_RUN_ID": "7"}
    assert holder(run) == "GitHub Actions a/b run 7"
    assert holder({**run, "GITHUB_ACTOR": "ada"}) == "GitHub Actions a/b run 7, by ada"
    again = {**run, "GITHUB_ACTOR": "ada", "GITHUB_TRIGGERING_ACTOR": "bob"}
    assert holder(again) == "GitHub Actions a/b run 7, by bob"
