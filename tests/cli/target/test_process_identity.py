"""Whether a process has certainly ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mosaic_deploy.cli.target.identity import current_process, has_ended

pytestmark = pytest.mark.skipif(not current_process(), reason="this system has no /proc")

_TELL = "import json, sys; from mosaic_deploy.cli.target.identity import current_process; print(json.dumps(current_process()), flush=True)"


@pytest.fixture
def other() -> Iterator[subprocess.Popen[str]]:
    """A process that prints its identity and waits to be killed."""
    command = [sys.executable, "-c", f"{_TELL}; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def told(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stdout is not None
    found: dict[str, object] = json.loads(process.stdout.readline())
    return found


def test_a_running_process_has_not_ended(other) -> None:
    assert not has_ended(current_process())
    assert not has_ended(told(other))


def test_a_stopped_process_has_not_ended(other) -> None:
    process = told(other)
    other.send_signal(signal.SIGSTOP)
    assert not has_ended(process)


def test_a_killed_process_has_ended_even_as_a_zombie(other) -> None:
    process = told(other)
    other.kill()
    # WNOWAIT leaves the zombie.
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert has_ended(process)
    other.wait()
    assert has_ended(process)


def test_a_reused_process_id_is_another_process(other) -> None:
    process = told(other)
    started = process["started"]
    assert isinstance(started, int)
    assert has_ended({**process, "started": started - 1})


@pytest.mark.parametrize("field", ["host", "boot", "namespaces", "pid", "started"])
def test_processes_elsewhere_are_unknown(other, field: str) -> None:
    """Another machine, boot or container, or an incomplete record."""
    process = told(other)
    other.kill()
    other.wait()
    assert has_ended(process)
    assert not has_ended({**process, field: "elsewhere"})
    assert not has_ended({name: value for name, value in process.items() if name != field})


def test_an_unidentified_process_is_unknown() -> None:
    assert not has_ended({})


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="namespaces need root")
def test_another_pid_namespace_is_unknown(other) -> None:
    """A container with the same host name and boot ID doesn't see our processes, which doesn't mean that they ended."""
    process = told(other)
    ask = f"import json, sys; from mosaic_deploy.cli.target.identity import has_ended; print(has_ended(json.loads({json.dumps(process)!r})))"
    inside = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", ask]
    done = subprocess.run(inside, capture_output=True, text=True, check=False, timeout=60)
    if done.stderr.startswith("unshare: "):
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "False\n"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="namespaces need root")
def test_proc_of_another_namespace_identifies_nothing() -> None:
    inside = ["unshare", "--pid", "--fork", sys.executable, "-c", _TELL]
    done = subprocess.run(inside, capture_output=True, text=True, check=False, timeout=60)
    if done.stderr.startswith("unshare: "):
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "{}\n"
