"""`dev.command`: the project's own backend, run by `dev` with its environment, and ended with all that it started."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.cli.watch.test_watch_loop import watching  # noqa: F401 - a fixture

_BACKEND = """\
import json, os, subprocess, sys
child = subprocess.Popen(["sleep", "1000"])
wanted = ("DATABASE_URL", "MOSAIC_API_KEY", "MOSAIC_API_URL", "MOSAIC_PROJECT_ID", "MOSAIC_SITE_URL", "MOSAIC_SECRET_KEY")
with open("environment.json", "w") as file:
    json.dump({name: os.environ.get(name) for name in wanted}, file)
print("connected to", os.environ["DATABASE_URL"], "with", os.environ["MOSAIC_API_KEY"])
print("version 1 runs as", os.getpid(), child.pid)
if len(sys.argv) > 1:
    sys.exit(3)
child.wait()
"""


@pytest.fixture
def backend_folder(folder: Path) -> Path:
    (folder / "backend.py").write_text(_BACKEND)
    write_command(folder, "backend.py")
    return folder


def write_command(folder: Path, arguments: str) -> None:
    manifest = folder / "mosaic.yaml"
    text = manifest.read_text().partition("dev:")[0]
    manifest.write_text(f"{text}dev:\n  command: exec {sys.executable} {arguments}\n  watch: [backend.py]\n")


def pids(line: str) -> list[int]:
    return [int(each) for each in re.findall(r"\d+", line.partition("runs as")[2])]


def wait_until_ended(found: list[int]) -> None:
    deadline = time.monotonic() + 30
    while any(is_running(pid) for pid in found):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return not Path("/proc").is_dir()


def test_a_backend_runs_with_the_projects_database_and_starts_again(
    backend_folder: Path,
    platform,
    watching,  # noqa: F811
) -> None:
    dev = watching(
        command="dev", env={"MOSAIC_API_KEY": "of-my-account", "MOSAIC_SECRET_KEY": "of-my-account"}
    )
    assert dev.until("backend | connected to") == "backend | connected to ******** with ********"
    first = pids(dev.until("backend | version 1 runs"))
    environ = json.loads((backend_folder / "environment.json").read_text())
    assert environ["DATABASE_URL"].startswith("postgres")
    assert environ["MOSAIC_API_KEY"] == platform.api_key
    assert environ["MOSAIC_API_URL"] == platform.url
    assert environ["MOSAIC_PROJECT_ID"] in environ["MOSAIC_SITE_URL"]
    assert environ["MOSAIC_SECRET_KEY"] is None

    (backend_folder / "backend.py").write_text(_BACKEND.replace("version 1", "version 2"))
    dev.until("backend | a watched file changed; starting it again")
    second = pids(dev.until("backend | version 2 runs"))
    wait_until_ended(first)

    # Another command, which ends at once, and what it left running ends with it.
    write_command(backend_folder, "backend.py end")
    third = pids(dev.until("backend | version 2 runs"))
    wait_until_ended(second)
    dev.until("backend | it ended with exit code 3; starting it again in 1 s")
    wait_until_ended(third)

    write_command(backend_folder, "backend.py")
    dev.until("backend | connected to")
    last = pids(dev.until("backend | version 2 runs"))
    while not all(map(is_running, last)):  # the one that ends may have been started once more
        last = pids(dev.until("backend | version 2 runs"))
    assert dev.end() == 130
    assert not any(map(is_running, last))


def test_a_backend_ends_with_a_dev_that_is_killed(backend_folder: Path, watching) -> None:  # noqa: F811
    dev = watching("-o", "ndjson", command="dev")
    found = pids(json.loads(dev.until('"type":"backend"', "runs as"))["line"])
    dev.end(signal.SIGKILL)
    wait_until_ended(found)
    # Nothing was said but whole documents.
    assert all(json.loads(line)["type"] for line in dev.output)


def test_a_program_that_does_not_exist_is_reported(folder: Path, watching) -> None:  # noqa: F811
    manifest = folder / "mosaic.yaml"
    manifest.write_text(manifest.read_text() + "dev:\n  command: [./nowhere]\n")
    dev = watching(command="dev")
    dev.until("backend | it can't be started: No such file or directory; starting it again in 1 s")
    assert dev.end() == 130
