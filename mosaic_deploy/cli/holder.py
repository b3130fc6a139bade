"""Who deploys, in words for others; and whether such a one still runs."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Mapping

_LOCAL = re.compile(r".*@(?P<host>[^@]+) \(pid (?P<pid>[0-9]{1,9})\)", re.DOTALL)


def holder(environ: Mapping[str, str] = os.environ) -> str:
    """The CI run, or user, machine and process."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return f"GitHub Actions {environ.get('GITHUB_REPOSITORY', '')} run {environ.get('GITHUB_RUN_ID', '')}".strip()
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} (pid {os.getpid()})"


def gone(name: str) -> bool:
    """Whether `name`, as `holder` writes it, is a process of this machine that has ended. False where in doubt."""
    found = _LOCAL.fullmatch(name)
    if not found or found["host"] != socket.gethostname() or os.name != "posix":
        return False
    try:
        os.kill(int(found["pid"]), 0)  # signal 0 only asks
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
