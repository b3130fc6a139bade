"""PostgreSQL's log, kept small."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

MAX_BYTES = 5_000_000


def rotate_log(log: Path) -> None:
    """Where it has grown large: copied to `….1`, and emptied. PostgreSQL keeps the file open and appends to it, so
    it can't be renamed; a line that is written in between is lost. On a full disk only the emptying is done."""
    try:
        if log.stat().st_size <= MAX_BYTES:
            return
    except FileNotFoundError:
        return
    with contextlib.suppress(OSError):
        shutil.copyfile(log, log.with_name(log.name + ".1"))
    os.truncate(log, 0)
