"""PostgreSQL may take minutes to recover after a crash; the start waits as long as it reports progress."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import psycopg
import pytest
from started_platform import run_platform

from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.machine.os_user import OsUser
from mosaic_deploy.platform.machine.ports import free_port
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
    assert starting._process.poll() is not None


def test_the_processes_of_a_killed_server_are_waited_for(tmp_path, monkeypatch) -> None:
    """PostgreSQL refuses to start while one of them still has the shared memory."""
    home = tmp_path / "home"
    started = run_platform(home, "start", "--port", str(free_port()))
    assert started["exit_code"] == 0, started
    state = json.loads((home / "state.json").read_text())
    data = Path(state["postgres_folder"]) / "data"
    with psycopg.connect(
        host="127.0.0.1", port=started["postgres_port"], user="mosaic", password=state["postgres_password"],
        dbname="postgres", autocommit=True,
    ) as connection:  # fmt: skip
        [backend] = connection.execute("SELECT pg_backend_pid()").fetchone()
        # A stopped process doesn't notice that its server is gone.
        os.kill(backend, signal.SIGSTOP)
        os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        threading.Timer(3, os.kill, (backend, signal.SIGCONT)).start()
        time.sleep(4)
        for _ in range(150):
            time.sleep(0.2)
            # It waits up to 20 seconds for a connection to PostgreSQL.
            if httpx.get(f"{started['url']}/healthz", timeout=30).status_code == 200:
                break
        else:
            raise AssertionError("the platform isn't healthy again")
    assert run_platform(home, "reset")["exit_code"] == 0
