"""`mosaic-deploy local`: what a person types, on a platform of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from started_platform import run_platform

from mosaic_deploy.platform.ports import free_port


@pytest.fixture(scope="module")
def own_home(tmp_path_factory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("local") / "home"
    assert run_platform(folder, "start", "--port", str(free_port()))["status"] == "started"
    yield folder
    assert run_platform(folder, "reset")["status"] == "reset"


def run(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mosaic_deploy", "local", *arguments],
        env={**os.environ, "MOSAIC_HOME": str(home), **environment},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip


def test_open_prints_a_link_and_nothing_else(own_home) -> None:
    done = run(own_home, "open")
    (link,) = done.stdout.splitlines()
    assert httpx.get(link).status_code == 200
    document = json.loads(run(own_home, "open", "--output", "json").stdout)
    assert httpx.get(document["url"]).status_code == 200


def test_logs(own_home) -> None:
    asked = run(own_home, "logs", "--raw", "-n", "5")
    assert all("time" in json.loads(line) for line in asked.stdout.splitlines())
    assert "GET /healthz" in run(own_home, "logs").stdout
    assert run(own_home, "logs", "-n", "0").stdout == ""


def test_logs_go_on(own_home) -> None:
    following = subprocess.Popen(
        [sys.executable, "-m", "mosaic_deploy", "local", "logs", "-f", "-n", "1"],
        env={**os.environ, "MOSAIC_HOME": str(own_home)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert following.stdout is not None
        # It reads on from here.
        assert following.stdout.readline()
        root = json.loads((own_home / "platform.json").read_text())["url"]
        asked = httpx.get(root + "/v1/project").headers["X-Request-Id"]
        line = next(line for line in following.stdout if asked in line)
        assert "401" in line
    finally:
        following.kill()
        following.wait()
        following.stdout.close()


def test_a_running_platform_is_not_given_another_mail_server(own_home) -> None:
    refused = run(own_home, "start", "--smtp", "smtp://127.0.0.1/?from=a@b.example")
    assert (refused.returncode, "local stop" in refused.stderr) == (1, True)


def test_backup_and_restore_ask_before_they_replace(own_home, tmp_path) -> None:
    file = tmp_path / "backup.tgz"
    saved = run(own_home, "backup", str(file))
    assert (saved.returncode, "backed up" in saved.stdout) == (0, True), saved.stderr
    again = run(own_home, "backup", str(file))
    assert (again.returncode, "exists already" in again.stderr) == (1, True)
    refused = run(own_home, "restore", str(file))
    assert (refused.returncode, "--yes" in refused.stderr) == (1, True)
    assert run_platform(own_home, "status")["status"] == "running"
    done = run(own_home, "restore", str(file), "--yes", "--output", "json")
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "restored"), done.stderr
    # It ran before, so it runs again.
    assert run_platform(own_home, "status")["status"] == "running"
    fresh = tmp_path / "fresh"
    assert run(fresh, "restore", str(file)).returncode == 0
    assert run_platform(fresh, "reset")["status"] == "reset"


def test_reset_asks(own_home) -> None:
    refused = run(own_home, "reset")
    assert (refused.returncode, "--yes" in refused.stderr) == (1, True)
    assert run_platform(own_home, "status")["status"] == "running"
