"""The process contract: start, stop, crashes, ports in use, concurrent starts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from started_platform import create_project, run_platform

from mosaic_deploy.platform.machine.ports import free_port


@pytest.fixture(scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder whose platform these tests may kill."""
    folder = tmp_path_factory.mktemp("with space") / "new folder"
    yield folder
    assert run_platform(folder, "reset") == {"status": "reset", "exit_code": 0}


def processes_of(home: Path) -> list[str]:
    state = home / "state.json"
    folders = [str(home)] + ([json.loads(state.read_text())["postgres_folder"]] if state.exists() else [])
    result = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,stat=,command="], capture_output=True, text=True, check=True
    )
    lines = [line for line in result.stdout.splitlines() if line.split()[1][0] != "Z"]
    return [line for line in lines if any(folder in line for folder in folders)]


def wait_dead(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        result = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        if not result.stdout.strip() or result.stdout.startswith("Z"):
            return
        time.sleep(0.02)
    raise AssertionError(f"{pid} lives")


def test_the_life_of_a_platform(own_home) -> None:
    assert run_platform(own_home, "status")["status"] == "stopped"
    assert not own_home.exists()
    assert run_platform(own_home, "stop") == {"status": "stopped", "exit_code": 0}

    with ThreadPoolExecutor(3) as threads:
        starts = list(threads.map(lambda _: run_platform(own_home, "start", "--port", str(PORT)), range(3)))
    assert sorted(one["status"] for one in starts) == ["running", "running", "started"]
    assert len({(one["pid"], one["port"], one["api_key"]) for one in starts}) == 1
    first = starts[0]
    assert first["port"] == PORT
    remembered = json.loads((own_home / "platform.json").read_text())
    assert (own_home / "platform.json").stat().st_mode & 0o777 == 0o600
    expected = {"url", "api_key", "pid", "port", "postgres_port", "home", "version", "status", "home_id"}
    assert expected <= set(remembered)
    assert httpx.get(first["url"] + "/healthz").json()["home_id"] == remembered["home_id"]

    project_id = _fill(first)
    status = run_platform(own_home, "status")
    assert (status["status"], status["projects"]) == ("running", 1)
    assert status["versions"]["postgres"].startswith("18.")
    assert status["data_bytes"] > 1_000_000

    _crash_of_the_server_alone(own_home, first, project_id)
    _crash_of_everything(own_home, first, project_id)
    _taken_port(own_home, first, project_id)
    _stop_after_a_crash(own_home)
    _reset_one_project(own_home, project_id)


PORT = free_port()


def _fill(document) -> str:
    project_id = create_project(document["url"], document["api_key"], "Kept")
    with _client(document) as client:
        client.post(f"/{project_id}/sql", json={"query": "CREATE TABLE kept AS SELECT 42 AS a"})
        client.post(f"/{project_id}/files", json={"filename": "index.html", "content": "kept"})
        upload = client.post(f"/{project_id}/storage/upload", json={"filename": "a.bin", "size": 4})
        assert httpx.put(upload.json()["upload_url"], content=b"kept").status_code == 200
        client.post(f"/{project_id}/auth/magic-link", json={"email": "a@example.com"})
        client.post("/tickets", json={"subject": "kept", "message": "kept"})
    return project_id


def _assert_kept(document, project_id: str) -> None:
    with _client(document) as client:
        rows = client.post(f"/{project_id}/sql", json={"query": "SELECT a FROM kept"}).json()
        assert rows["data"] == [{"a": 42}]
        assert client.get(f"{document['url']}/sites/{project_id}/").text == "kept"
        assert client.get(f"{document['url']}/sites/{project_id}/storage/a.bin").text == "kept"
        assert len(client.get(f"{document['url']}/inbox.json").json()["emails"]) == 1
        assert len(client.get("/tickets").json()["tickets"]) == 1
        assert client.get("/projects").json()["projects"][0]["url"].endswith(f".localhost:{document['port']}")


def _client(document) -> httpx.Client:
    headers = {"X-API-Key": document["api_key"]}
    return httpx.Client(base_url=f"{document['url']}/v1/project", headers=headers, timeout=30)


def _crash_of_the_server_alone(home: Path, first, project_id: str) -> None:
    """PostgreSQL keeps running; the next start uses it."""
    os.kill(first["pid"], signal.SIGKILL)
    wait_dead(first["pid"])
    assert run_platform(home, "status")["status"] == "stopped"
    again = run_platform(home, "start")
    assert (again["status"], again["port"], again["api_key"]) == ("started", first["port"], first["api_key"])
    assert again["postgres_port"] == first["postgres_port"]
    _assert_kept(again, project_id)


def _crash_of_everything(home: Path, first, project_id: str) -> None:
    """As after a power cut: a stale postmaster.pid, and a serve.pid with another program's PID."""
    for line in processes_of(home):
        os.kill(int(line.split()[0]), signal.SIGKILL)
    running = json.loads((home / "platform.json").read_text())["pid"]
    with contextlib.suppress(ProcessLookupError):
        os.kill(running, signal.SIGKILL)
    wait_dead(running)
    (home / "serve.pid").write_text(str(os.getpid()))
    folder = Path(json.loads((home / "state.json").read_text())["postgres_folder"])
    left = folder / "data" / "postmaster.pid"
    if left.exists():
        left.write_text("\n".join([str(os.getpid()), *left.read_text().splitlines()[1:]]) + "\n")
    again = run_platform(home, "start")
    assert (again["status"], again["port"]) == ("started", first["port"])
    _assert_kept(again, project_id)
    assert run_platform(home, "stop") == {"status": "stopped", "exit_code": 0}
    assert processes_of(home) == []


def _taken_port(home: Path, first, project_id: str) -> None:
    """Another port is chosen, reported, and used in URLs."""
    with socket.socket() as busy, socket.socket() as also_busy:
        for other, port in ((busy, first["port"]), (also_busy, first["postgres_port"])):
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", port))
            other.listen()
        changed = run_platform(home, "start")
    assert changed["status"] == "started"
    assert changed["port"] != first["port"]
    assert changed["port_changed"] == (
        f"port {first['port']} is in use; using {changed['port']}; site and file URLs change"
    )
    assert changed["postgres_port"] != first["postgres_port"]
    _assert_kept(changed, project_id)
    assert run_platform(home, "stop")["status"] == "stopped"
    again = run_platform(home, "start")
    assert (again["port"], again["postgres_port"]) == (changed["port"], changed["postgres_port"])
    assert "port_changed" not in again
    _assert_kept(again, project_id)
    _asked_port(home, again)


def _asked_port(home: Path, running) -> None:
    """With --port, the platform starts on that port or not at all."""
    assert run_platform(home, "stop")["status"] == "stopped"
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        refused = run_platform(home, "start", "--port", str(port))
    assert (refused["exit_code"], refused["error"]["code"]) == (1, "port_unavailable")
    assert f"can't listen on port {port}: another program is using it" in refused["error"]["message"]
    assert run_platform(home, "status")["status"] == "stopped"
    assert processes_of(home) == []
    port = free_port()
    changed = run_platform(home, "start", "--port", str(port))
    assert (changed["port"], changed["port_changed"]) == (
        port, f"using port {port} instead of {running['port']}; site and file URLs change",
    )  # fmt: skip


def _stop_after_a_crash(home: Path) -> None:
    pid = run_platform(home, "status")["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_dead(pid)
    assert processes_of(home) != []
    assert run_platform(home, "stop") == {"status": "stopped", "exit_code": 0}
    assert processes_of(home) == []


def _reset_one_project(home: Path, project_id: str) -> None:
    """A stopped platform is started for it, and stopped again."""
    missing = run_platform(home, "reset", "--project", "pod-000")
    assert (missing["exit_code"], missing["error"]["code"]) == (1, "project_not_found")
    done = run_platform(home, "reset", "--project", project_id)
    assert done == {"status": "reset", "project_id": project_id, "exit_code": 0}
    assert processes_of(home) == []
    started = run_platform(home, "start")
    with _client(started) as client:
        assert client.get("/projects").json() == {"projects": []}
    assert run_platform(home, "reset")["status"] == "reset"
    assert processes_of(home) == []
    assert not (home / "state.json").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to step down")
def test_as_root_postgres_runs_as_another_user(platform) -> None:
    folder = Path(json.loads((platform.home / "state.json").read_text())["postgres_folder"])
    server = int((folder / "data/postmaster.pid").read_text().splitlines()[0])
    result = subprocess.run(
        ["ps", "-o", "uid=", "-p", str(server)], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) != 0
    assert (folder / "data").stat().st_uid == int(result.stdout)


def test_provisioning_resumes_after_a_crash(own_home) -> None:
    """A platform killed right after answering 201 finishes the project at its next start."""
    started = run_platform(own_home, "start", "--port", str(PORT))
    with _client(started) as client:
        created = client.post("/projects", json={"name": "Resumed"}).json()
        os.kill(started["pid"], signal.SIGKILL)
    wait_dead(started["pid"])
    again = run_platform(own_home, "start")
    with _client(again) as client:
        deadline = time.monotonic() + 20
        while client.get("/projects").json()["projects"][0]["status"] != "running":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        response = client.post(f"/{created['project_id']}/sql", json={"query": "SELECT uuid_generate_v4()"})
        assert response.status_code == 200, response.text
    assert run_platform(own_home, "stop")["status"] == "stopped"


def test_serve_stops_gracefully(own_home) -> None:
    """In the foreground, SIGTERM waits for running requests and leaves no process."""
    served = subprocess.Popen(
        [sys.executable, "-m", "mosaic_deploy.platform", "serve"],
        env={**os.environ, "MOSAIC_HOME": str(own_home)},
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while run_platform(own_home, "status")["status"] != "running":
            assert time.monotonic() < deadline
        running = run_platform(own_home, "start")
        assert (running["status"], running["pid"]) == ("running", served.pid)
        project_id = create_project(running["url"], running["api_key"], "Slow")
        with ThreadPoolExecutor(1) as threads, _client(running) as client:
            slow = threads.submit(client.post, f"/{project_id}/sql", json={"query": "SELECT pg_sleep(0.5)"})
            time.sleep(0.2)
            served.send_signal(signal.SIGTERM)
            assert slow.result().status_code == 200
        assert served.wait(20) == 0
    finally:
        served.kill()
        served.wait()
    assert processes_of(own_home) == []


def test_an_unwritable_data_folder(tmp_path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    result = run_platform(blocked / "home", "start")
    assert (result["exit_code"], result["error"]["code"]) == (1, "home_not_writable")
    assert "MOSAIC_HOME" in result["error"]["hint"]
