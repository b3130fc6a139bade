"""Who deploys, in words for others; and whether such a one still runs."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mosaic_deploy.cli.process import ended, own_process

if TYPE_CHECKING:
    from mosaic_deploy.live.lease import Witness

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


def witness() -> Witness:
    """This process, and what it knows of others."""
    from mosaic_deploy.live.lease import Witness

    return Witness(own_process(), ended, gone)


def gone(name: str) -> bool:
    """Whether `name`, as `holder` writes it, is a process of this machine that has probably ended.

    Containers that share a machine's name don't share its numbers, so this is asked only where `own_process` has
    nothing better.
    """
    found = _LOCAL.fullmatch(name)
    if not found or found["host"] != socket.gethostname() or os.name != "posix" or own_process():
        return False
    try:
        os.kill(int(found["pid"]), 0)  # signal 0 only asks
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
