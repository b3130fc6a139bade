"""A process as its machine knows it: enough to say later, on the same machine, that it has certainly ended.

A number alone isn't: numbers are given again, and containers of one machine share its name, each with numbers of its
own. What can't be told, as on systems without `/proc`, is {}; of such a process nobody says that it has ended.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACES = ("pid", "time")
"""Numbers count within the first; the second moves the clock that start times are told by."""

Process = Mapping[str, object]


def own_process() -> dict[str, object]:
    """This process: its machine by name and boot, its namespaces, its number, and when it started."""
    try:
        # A /proc of another namespace counts other numbers.
        if int(str(Path("/proc/self").readlink())) != os.getpid():
            return {}
        boot = _BOOT.read_text().strip()
        namespaces = [_namespace(name) for name in _NAMESPACES]
        _, _, started = _state(os.getpid())
    except (OSError, ValueError, IndexError):
        return {}
    if not boot:
        return {}
    where = {"host": socket.gethostname(), "boot": boot, "namespaces": namespaces}
    return {**where, "pid": os.getpid(), "started": started}


def ended(process: Process) -> bool:
    """Whether `process`, as its `own_process` told, has ended. False where in doubt, and of another machine's."""
    own = own_process()
    places = ("host", "boot", "namespaces")
    if not own or any(process.get(name) != own[name] for name in places):
        return False
    pid, started = process.get("pid"), process.get("started")
    return isinstance(pid, int) and pid > 0 and isinstance(started, int) and _ended(pid, started)


def _ended(pid: int, started: int) -> bool:
    try:
        os.kill(pid, 0)  # signal 0 only asks, and sees processes that /proc hides
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass  # another user's: it is there
    try:
        state, threads, began = _state(pid)
    except (OSError, ValueError, IndexError):
        return False
    # A zombie with threads left still works.
    return began != started or (state in "ZX" and threads <= 1)


def _state(pid: int) -> tuple[str, int, int]:
    """State, number of threads, and start in ticks since boot. The name before them may hold blanks and brackets."""
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return fields[0], int(fields[17]), int(fields[19])


def _namespace(name: str) -> str:
    """Empty where the kernel has no such namespaces."""
    try:
        return str(Path(f"/proc/self/ns/{name}").readlink())
    except FileNotFoundError:
        return ""
