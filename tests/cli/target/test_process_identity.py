"""Whether a process has ended: said only where it is certain."""

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

_TELL = "import json, sys; from mosaic_deploy.cli.target.identity import own_process; print(json.dumps(own_process()), flush=True)"


@pytest.fixture
def other() -> Iterator[subprocess.Popen[str]]:
    """A process that has told of itself in its first line, and waits to be killed."""
    command = [sys.executable, "-c", f"{_TELL}; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def told(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stdout is not None
    found: dict[str, object] = json.loads(process.stdout.readline())
    return found


def test_what_runs_has_not_ended(other) -> None:
    assert not has_ended(current_process())
    assert not has_ended(told(other))


def test_what_stands_still_has_not_ended(other) -> None:
    process = told(other)
    other.send_signal(signal.SIGSTOP)
    assert not has_ended(process)


def test_what_was_killed_has_ended_also_while_nobody_has_collected_it(other) -> None:
    process = told(other)
    other.kill()
    # WNOWAIT leaves the zombie.
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert has_ended(process)
    other.wait()
    assert has_ended(process)


def test_another_process_of_the_same_number_is_another(other) -> None:
    process = told(other)
    started = process["started"]
    assert isinstance(started, int)
    assert has_ended({**process, "started": started - 1})


@pytest.mark.parametrize("field", ["host", "boot", "namespaces", "pid", "started"])
def test_of_another_place_nothing_is_said(other, field: str) -> None:
    """Another machine, another boot, another container, or a record that lacks something."""
    process = told(other)
    other.kill()
    other.wait()
    assert has_ended(process)
    assert not has_ended({**process, field: "elsewhere"})
    assert not has_ended({name: value for name, value in process.items() if name != field})


def test_of_a_process_that_told_nothing_nothing_is_said() -> None:
    assert not has_ended({})


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="namespaces need root")
def test_in_another_namespace_of_numbers_it_is_not_looked_for(other) -> None:
    """A container that shares the machine's name and boot doesn't see our processes, and doesn't take that for an end."""
    process = told(other)
    ask = f"import json, sys; from mosaic_deploy.cli.target.identity import ended; print(ended(json.loads({json.dumps(process)!r})))"
    inside = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", ask]
    done = subprocess.run(inside, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    assert done.stdout == "False\n"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="namespaces need root")
def test_with_the_proc_of_another_namespace_a_process_tells_nothing() -> None:
    inside = ["unshare", "--pid", "--fork", sys.executable, "-c", _TELL]
    done = subprocess.run(inside, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    assert done.stdout == "{}\n"
