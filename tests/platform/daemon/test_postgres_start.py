"""PostgreSQL may take minutes to recover after a crash; the start waits as long as it reports progress."""

import os
import subprocess
import sys
import threading
import time

import pytest

from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.machine.os_user import OsUser
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
