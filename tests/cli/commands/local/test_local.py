"""`mosaic-deploy local`, on a separate platform."""

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

from mosaic_deploy.platform.machine.ports import free_port


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
    assert "POST /open" in run(own_home, "logs").stdout
    assert run(own_home, "logs", "-n", "0").stdout == ""


def test_logs_follow(own_home) -> None:
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


def test_settings_of_a_running_platform_cannot_change(own_home) -> None:
    refused = run(own_home, "start", "--smtp", "smtp://127.0.0.1/?from=a@b.example")
    assert (refused.returncode, "local stop" in refused.stderr) == (1, True)


def test_database_url_suggests_platform_serve(tmp_path) -> None:
    for given in (
        ["--database-url", "postgresql://u:secret@h/d"],
        ["--database-url=postgresql://u:secret@h/d"],
    ):
        refused = run(tmp_path / "none", "start", *given)
        assert refused.returncode == 2
        assert "  mosaic-deploy platform serve --database-url postgresql://" in refused.stderr
        assert "secret" not in refused.stderr


def test_a_taken_port_is_an_error(own_home, tmp_path) -> None:
    home = tmp_path / "other"
    port = run_platform(own_home, "status")["port"]
    refused = run(home, "start", "--port", str(port))
    assert refused.returncode == 1
    assert (
        f"error[port_unavailable]: can't listen on port {port}: another program is using it" in refused.stderr
    )
    assert run_platform(home, "reset")["status"] == "reset"


def test_backup_and_restore_ask_before_they_replace(own_home, tmp_path) -> None:
    file = tmp_path / "backup.tgz"
    nowhere = run(own_home, "backup", str(tmp_path / "no" / "x"))
    assert nowhere.returncode == 1
    assert "error[write_failed]" in nowhere.stderr
    assert f"there is no folder {tmp_path / 'no'}" in nowhere.stderr
    piped = run(own_home, "backup", "-")
    assert (piped.returncode, "a backup needs a file" in piped.stderr) == (2, True)
    assert run(own_home, "restore", "-").returncode == 2
    saved = run(own_home, "backup", str(file))
    assert (saved.returncode, "backed up" in saved.stdout) == (0, True), saved.stderr
    again = run(own_home, "backup", str(file))
    assert (again.returncode, "already exists" in again.stderr) == (1, True)
    refused = run(own_home, "restore", str(file))
    assert (refused.returncode, "--yes" in refused.stderr) == (1, True)
    assert run_platform(own_home, "status")["status"] == "running"
    done = run(own_home, "restore", str(file), "--yes", "--output", "json")
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "restored"), done.stderr
    # It ran before, so it runs again.
    assert run_platform(own_home, "status")["status"] == "running"
    fresh = tmp_path / "fresh"
    restored = run(fresh, "restore", str(file))
    assert restored.returncode == 0
    assert "\nport: " in restored.stdout, "where it will answer"
    # Its port is taken by the other platform: that is said when it starts.
    started = run(fresh, "start")
    assert (
        f"port changed:    port {run_platform(own_home, 'status')['port']} is in use; using "
        in started.stdout
    )
    assert run(fresh, "stop").returncode == 0
    port = free_port()
    assert f"using port {port} instead of " in run(fresh, "start", "--port", str(port)).stdout
    back = run(fresh, "restore", str(file), "--yes")
    assert f"instead of {port}; site and file URLs change" in back.stdout
    assert f"url:             {run_platform(fresh, 'status')['url']}\n" in back.stdout
    _told_where_a_command_starts_it(fresh, own_home, tmp_path)
    assert run_platform(fresh, "reset")["status"] == "reset"


def _told_where_a_command_starts_it(home: Path, other: Path, folder: Path) -> None:
    """A command with `--local` starts the platform, and prints the notice of `local start` to stderr."""
    assert run(home, "stop").returncode == 0
    state = json.loads((home / "state.json").read_text())
    port = run_platform(other, "status")["port"]
    (home / "state.json").write_text(json.dumps({**state, "port": port}))
    (folder / "mosaic.yaml").write_text("version: 1\nproject:\n  name: moved\n")
    done = subprocess.run(
        [sys.executable, "-m", "mosaic_deploy", "plan", "--local", "-o", "json"],
        env={**os.environ, "MOSAIC_HOME": str(home)}, cwd=folder,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=100,
    )  # fmt: skip
    assert json.loads(done.stdout)["type"] == "plan"
    assert f"note: port {port} is in use; using " in done.stderr


def test_reset_asks(own_home) -> None:
    refused = run(own_home, "reset")
    assert (refused.returncode, "--yes" in refused.stderr) == (1, True)
    assert run_platform(own_home, "status")["status"] == "running"
