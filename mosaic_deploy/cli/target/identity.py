"""Who deploys, in words for others; and whether such a one still runs."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mosaic_deploy.live.ledger.lease import LocalProcesses


from pathlib import Path

_LOCAL_HOLDER = re.compile(r".*@(?P<host>[^@]+) \(pid (?P<pid>[0-9]{1,9})\)", re.DOTALL)


def holder(environ: Mapping[str, str] = os.environ) -> str:
    """The CI run, or user, machine and process."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return f"GitHub Actions {environ.get('GITHUB_REPOSITORY', '')} run {environ.get('GITHUB_RUN_ID', '')}".strip()
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} (pid {os.getpid()})"


def local_processes() -> LocalProcesses:
    """This process, and what it knows of others."""
    from mosaic_deploy.live.ledger.lease import LocalProcesses

    return LocalProcesses(current_process(), has_ended, holder_is_gone)


def holder_is_gone(name: str) -> bool:
    """Whether `name`, as `holder` writes it, is a process of this machine that has probably ended.

    Containers that share a machine's name don't share its numbers, so this is asked only where `current_process` has
    nothing better.
    """
    found = _LOCAL_HOLDER.fullmatch(name)
    if not found or found["host"] != socket.gethostname() or os.name != "posix" or current_process():
        return False
    try:
        os.kill(int(found["pid"]), 0)  # signal 0 only asks
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


_BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACES = ("pid", "time")
"""Numbers count within the first; the second moves the clock that start times are told by."""

ProcessIdentity = Mapping[str, object]


def current_process() -> dict[str, object]:
    """This process: its machine by name and boot, its namespaces, its number, and when it started."""
    try:
        # A /proc of another namespace counts other numbers.
        if int(str(Path("/proc/self").readlink())) != os.getpid():
            return {}
        boot = _BOOT_ID_FILE.read_text().strip()
        namespaces = [_read_namespace(name) for name in _NAMESPACES]
        _, _, started = _read_proc_stat(os.getpid())
    except (OSError, ValueError, IndexError):
        return {}
    if not boot:
        return {}
    where = {"host": socket.gethostname(), "boot": boot, "namespaces": namespaces}
    return {**where, "pid": os.getpid(), "started": started}


def has_ended(process: ProcessIdentity) -> bool:
    """Whether `process`, as its `current_process` told, has ended. False where in doubt, and of another machine's."""
    own = current_process()
    places = ("host", "boot", "namespaces")
    if not own or any(process.get(name) != own[name] for name in places):
        return False
    pid, started = process.get("pid"), process.get("started")
    return isinstance(pid, int) and pid > 0 and isinstance(started, int) and _pid_has_ended(pid, started)


def _pid_has_ended(pid: int, started: int) -> bool:
    try:
        os.kill(pid, 0)  # signal 0 only asks, and sees processes that /proc hides
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass  # another user's: it is there
    try:
        state, threads, began = _read_proc_stat(pid)
    except (OSError, ValueError, IndexError):
        return False
    # A zombie with threads left still works.
    return began != started or (state in "ZX" and threads <= 1)


def _read_proc_stat(pid: int) -> tuple[str, int, int]:
    """State, number of threads, and start in ticks since boot. The name before them may hold blanks and brackets."""
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return fields[0], int(fields[17]), int(fields[19])


def _read_namespace(name: str) -> str:
    """Empty where the kernel has no such namespaces."""
    try:
        return str(Path(f"/proc/self/ns/{name}").readlink())
    except FileNotFoundError:
        return ""
