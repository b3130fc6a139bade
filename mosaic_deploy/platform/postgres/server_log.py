"""Rotation of PostgreSQL's log."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

MAX_BYTES = 5_000_000


def rotate_log(log: Path) -> None:
    """If it is larger than `MAX_BYTES`, copy it to `….1` and truncate it.

    PostgreSQL keeps the file open, so it can't be renamed; a line written in between is lost. On a full disk it is only
    truncated.
    """
    try:
        if log.stat().st_size <= MAX_BYTES:
            return
    except FileNotFoundError:
        return
    with contextlib.suppress(OSError):
        shutil.copyfile(log, log.with_name(log.name + ".1"))
    os.truncate(log, 0)
