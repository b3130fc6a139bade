"""PostgreSQL may take minutes to recover after a crash; the start waits as long as it reports progress."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from started_platform import create_project, run_platform

from mosaic_deploy.platform.daemon import background_jobs
from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.machine.os_user import OsUser
from mosaic_deploy.platform.machine.ports import bind, free_port, is_free
from mosaic_deploy.platform.postgres import server_process
from mosaic_deploy.platform.postgres.server_process import Postgres


@pytest.fixture
def starting(tmp_path, monkeypatch):
    """A server process that isn't ready."""
    monkeypatch.setattr(server_process, "_QUIET_SECONDS", 1.0)
    postgres = Postgres(
        installation=None, folder=tmp_path, os_user=OsUser(os.geteuid(), os.getegid(), is_other_user=False)
    )
    postgres.data.mkdir()
    postgres.log.write_text("")
    sleeping = [sys.executable, "-c", "import time; time.sleep(60)", str(postgres.data)]
    with subprocess.Popen(sleeping) as process:
        postgres._process = process
        write_status(postgres, "starting")
        yield postgres
        process.kill()


def write_status(postgres: Postgres, status: str) -> None:
    lines = [str(postgres._process.pid), str(postgres.data), "0", "5432", "", "127.0.0.1", "0", status]
    (postgres.data / "postmaster.pid").write_text("\n".join(lines))


def test_a_server_that_reports_progress_is_waited_for(starting) -> None:
    def recover() -> None:
        for _ in range(10):
            time.sleep(0.3)
            with starting.log.open("a") as log:
                log.write("LOG:  syncing data directory (fsync), elapsed time\n")
        write_status(starting, "ready   ")

    thread = threading.Thread(target=recover)
    thread.start()
    starting._wait_until_ready(0)
    thread.join()


def test_a_server_that_reports_nothing_is_stopped(starting) -> None:
    with pytest.raises(ProcessFault, match="reported nothing for 1 seconds"):
        starting._wait_until_ready(0)
    starting._process.wait(10)


@pytest.fixture
def running(tmp_path) -> Iterator[Path]:
    """The data folder of a running platform."""
    home = tmp_path / "home"
    started = run_platform(home, "start", "--port", str(free_port()))
    assert started["exit_code"] == 0, started
    yield home
    assert run_platform(home, "reset")["exit_code"] == 0


def kill_server(home: Path) -> None:
    pid = int((postgres_data(home) / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)


def postgres_data(home: Path) -> Path:
    return Path(json.loads((home / "state.json").read_text())["postgres_folder"]) / "data"


def connection_to(home: Path) -> psycopg.Connection:
    state = json.loads((home / "state.json").read_text())
    return psycopg.connect(
        host="127.0.0.1", port=state["postgres_port"], user="mosaic", password=state["postgres_password"],
        dbname="postgres", autocommit=True,
    )  # fmt: skip


def check_works_again(home: Path) -> None:
    platform = json.loads((home / "platform.json").read_text())
    for _ in range(60):
        answer = httpx.get(
            f"{platform['url']}/v1/project/projects", headers={"X-API-Key": platform["api_key"]}, timeout=60
        )
        if answer.status_code == 200:
            break
        assert answer.status_code == 503, answer.text
        time.sleep(0.5)
    create_project(platform["url"], platform["api_key"], "After the crash")


def test_postgres_is_durable(running) -> None:
    with connection_to(running) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)


def test_the_processes_of_a_killed_server_are_waited_for(running) -> None:
    """PostgreSQL refuses to start while one of them still has the shared memory."""
    with connection_to(running) as connection:
        [backend] = connection.execute("SELECT pg_backend_pid()").fetchone()
        # A stopped process doesn't notice that its server is gone.
        os.kill(backend, signal.SIGSTOP)
        kill_server(running)
        threading.Timer(3, os.kill, (backend, signal.SIGCONT)).start()
        time.sleep(4)
        check_works_again(running)


def test_the_port_of_a_killed_server_is_waited_for(running) -> None:
    """Another program may have it for a moment. Clients know this port."""
    port = json.loads((running / "state.json").read_text())["postgres_port"]
    kill_server(running)
    with taken(port):
        time.sleep(3)
    check_works_again(running)
    assert json.loads((running / "platform.json").read_text())["postgres_port"] == port


def test_a_server_that_ends_during_the_first_repairs_does_not_end_the_platform() -> None:
    closed = AsyncConnectionPool("host=127.0.0.1", open=False)
    asyncio.run(background_jobs.resume_provisioning(SimpleNamespace(pool=closed)))


@contextlib.contextmanager
def taken(port: int) -> Iterator[None]:
    deadline = time.monotonic() + 5
    while not is_free(port):
        assert time.monotonic() < deadline
    with bind(port):
        yield
