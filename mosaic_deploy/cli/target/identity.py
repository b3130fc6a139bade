"""Identifies this process to other deploys, and tells whether another deploy's process has ended."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mosaic_deploy.live.ledger.lease import LocalProcesses

_LOCAL_HOLDER = re.compile(r".*@(?P<host>[^@]+) \(pid (?P<pid>[0-9]{1,9})\)", re.DOTALL)


def holder(environ: Mapping[str, str] = os.environ) -> str:
    """Who holds the lock, for messages: the CI run, or user, machine and process."""
    if environ.get("GITHUB_ACTIONS") == "true":
        run = f"GitHub Actions {environ.get('GITHUB_REPOSITORY', '')} run {environ.get('GITHUB_RUN_ID', '')}".strip()
        actor = environ.get("GITHUB_TRIGGERING_ACTOR") or environ.get("GITHUB_ACTOR")
        return f"{run}, by {actor}" if actor else run
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} (pid {os.getpid()})"


def local_processes() -> LocalProcesses:
    """This process, and the checks of other processes on this machine."""
    from mosaic_deploy.live.ledger.lease import LocalProcesses

    return LocalProcesses(current_process(), has_ended, holder_is_gone)


def holder_is_gone(name: str) -> bool:
    """Whether `name`, as written by `holder`, is a process on this machine that has probably ended.

    Containers with the same host name have different process IDs, so this is only used on systems where
    `current_process` returns nothing.
    """
    found = _LOCAL_HOLDER.fullmatch(name)
    if not found or found["host"] != socket.gethostname() or os.name != "posix" or current_process():
        return False
    try:
        os.kill(int(found["pid"]), 0)  # signal 0 only checks
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


_BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACES = ("pid", "time")
"""Process IDs are relative to the first, start times to the second."""

ProcessIdentity = Mapping[str, object]


def current_process() -> dict[str, object]:
    """This process: host, boot ID, namespaces, process ID and start time. Empty where /proc doesn't have them."""
    try:
        # /proc may belong to another namespace, with other process IDs.
        if int(str(Path("/proc/self").readlink())) != os.getpid():
            return {}
        boot = _BOOT_ID_FILE.read_text().strip()
        namespaces = [_read_namespace(name) for name in _NAMESPACES]
        _, _, started = _read_proc_stat(os.getpid())
    except (OSError, ValueError, IndexError):
        return {}
    if not boot:
        return {}
    machine = {"host": socket.gethostname(), "boot": boot, "namespaces": namespaces}
    return {**machine, "pid": os.getpid(), "started": started}


def has_ended(process: ProcessIdentity) -> bool:
    """Whether `process`, as its `current_process` returned it, has ended. False if unsure or on another machine."""
    own = current_process()
    machine = ("host", "boot", "namespaces")
    if not own or any(process.get(name) != own[name] for name in machine):
        return False
    pid, started = process.get("pid"), process.get("started")
    return isinstance(pid, int) and pid > 0 and isinstance(started, int) and _pid_has_ended(pid, started)


def _pid_has_ended(pid: int, started: int) -> bool:
    try:
        os.kill(pid, 0)  # signal 0 only checks; it also finds processes that /proc hides
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass  # it exists and belongs to another user
    try:
        state, threads, current_start = _read_proc_stat(pid)
    except (OSError, ValueError, IndexError):
        return False
    # A zombie with other threads is still working.
    return current_start != started or (state in "ZX" and threads <= 1)


def _read_proc_stat(pid: int) -> tuple[str, int, int]:
    """State, number of threads, and start time in ticks since boot."""
    # The process name, before the last bracket, may contain spaces and brackets.
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return fields[0], int(fields[17]), int(fields[19])


def _read_namespace(name: str) -> str:
    """Empty if the kernel has no such namespaces."""
    try:
        return str(Path(f"/proc/self/ns/{name}").readlink())
    except FileNotFoundError:
        return ""
