"""A state folder that was copied or moved: each platform has its own PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from started_platform import create_project, run_platform

from mosaic_deploy.platform.machine import os_user
from mosaic_deploy.platform.machine.ports import free_port
from mosaic_deploy.platform.postgres.postmaster import running_postmaster


@pytest.fixture
def home() -> Iterator[Path]:
    """In a folder that PostgreSQL's user may enter, so that root's PostgreSQL is inside, too."""
    with tempfile.TemporaryDirectory(prefix="mosaic-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder / "home"
        for each in folder.iterdir():
            run_platform(each, "reset")


def projects(started: dict) -> list[str]:
    with httpx.Client(headers={"X-API-Key": started["api_key"]}, timeout=60) as client:
        found = client.get(f"{started['url']}/v1/project/projects").json()["projects"]
    return [each["project_id"] for each in found]


def start(home: Path) -> dict:
    started = run_platform(home, "start", "--port", str(free_port()))
    assert started["exit_code"] == 0, started
    return started


def test_a_copy_has_its_own_databases_and_deletes_only_those(home: Path) -> None:
    started = start(home)
    first = create_project(started["url"], started["api_key"], "First")
    assert run_platform(home, "stop")["exit_code"] == 0
    copy = home.with_name("copy")
    subprocess.run(["cp", "-a", home, copy], check=True)
    assert run_platform(copy, "status")["home"] == str(copy)
    original, copied = start(home), start(copy)
    assert original["postgres_port"] != copied["postgres_port"]
    second = create_project(copied["url"], copied["api_key"], "Second")
    assert projects(original) == [first]
    assert sorted(projects(copied)) == sorted([first, second])
    assert run_platform(copy, "reset")["exit_code"] == 0
    assert projects(original) == [first]


def test_a_folder_moved_while_its_postgresql_runs(home: Path) -> None:
    """A platform that was killed leaves it running, and the server's command line has the old path."""
    started = start(home)
    first = create_project(started["url"], started["api_key"], "First")
    os.kill(started["pid"], signal.SIGKILL)
    moved = home.rename(home.with_name("moved"))
    assert running_postmaster(moved / "postgres" / "data") is not None
    again = start(moved)
    assert again["postgres_port"] == started["postgres_port"]
    assert projects(again) == [first]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's PostgreSQL can be outside the state folder")
def test_a_copy_whose_postgresql_is_outside_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    home, copy = tmp_path / "home", tmp_path / "copy"
    try:
        started = start(home)
        first = create_project(started["url"], started["api_key"], "First")
        subprocess.run(["cp", "-a", home, copy], check=True)
        for command in (("start",), ("backup", str(tmp_path / "b.tgz"))):
            refused = run_platform(copy, *command)
            assert refused["error"]["code"] == "state_copied", refused
        assert run_platform(copy, "reset")["exit_code"] == 0
        assert projects(started) == [first]
        assert run_platform(home, "stop")["exit_code"] == 0
        moved = home.rename(tmp_path / "moved")
        assert projects(start(moved)) == [first]
        assert run_platform(moved, "reset")["exit_code"] == 0
        assert str(moved) not in _owners()
    finally:
        for each in (home, copy, tmp_path / "moved"):
            run_platform(each, "reset")


def _owners() -> list[str]:
    return [path.read_text() for path in os_user.SHARED_FOLDER.glob("*/state-folder")]
