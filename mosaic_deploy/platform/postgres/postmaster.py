"""The server process of a data folder: whether it runs, and stopping it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Postmaster:
    """The content of a data folder's postmaster.pid: the server that runs, or ran, in it."""

    pid: int
    port: int
    status: str


def running_postmaster(data: Path) -> Postmaster | None:
    """The running server of this data folder, or None if the file is a leftover or its PID was reused."""
    found = read_postmaster_file(data)
    return found if found and _is_server_of(found.pid, data) else None


def stop_postmaster(data: Path, *, graceful: bool = True) -> None:
    """Fast shutdown: rolls back open transactions and writes everything to disk (about 300 files per project).

    Immediate shutdown if that takes too long, or at once if not `graceful`, when the data isn't needed any more.
    """
    found = running_postmaster(data)
    if found is None:
        return
    signals = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))
    for number, timeout in signals if graceful else signals[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(found.pid, number)
        if _wait_until_exited(found.pid, data, timeout):
            return


def _wait_until_exited(pid: int, data: Path, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        if not _is_server_of(pid, data):
            return True
        time.sleep(0.01)
    return False


def read_postmaster_file(data: Path) -> Postmaster | None:
    """Lines of postmaster.pid: pid, folder, start time, port, socket folder, address, shared memory, status."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        port = int(lines[3]) if len(lines) > 3 else 0
        return Postmaster(abs(int(lines[0])), port, lines[7].strip() if len(lines) > 7 else "starting")
    except (OSError, ValueError, IndexError):
        return None


def _is_server_of(pid: int, data: Path) -> bool:
    """Whether the process is the server of this folder, which may have been renamed since the server started."""
    command_line = _command_line(pid)
    if str(data) in command_line:
        return True
    try:
        return "postgres" in command_line and Path(f"/proc/{pid}/cwd").samefile(data)
    except OSError:
        return False


def _command_line(pid: int) -> str:
    """The command line of a process; empty if it doesn't exist or is a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        pass
    if Path("/proc/self").exists():
        return ""
    output = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return output.stdout
