"""Reads the embedded platform's log: its last lines, and new ones as they are written."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_POLL_SECONDS = 0.2


def read_last_lines(log: Path, count: int) -> list[str]:
    """At most `count` lines, the newest last; includes the rotated log if the current one is short."""
    kept: deque[str] = deque(maxlen=count)
    for path in (log.with_name(log.name + ".1"), log):
        try:
            with path.open(encoding="utf-8", errors="replace") as stream:
                kept.extend(line.rstrip("\n") for line in stream)
        except FileNotFoundError:
            continue
    return list(kept)


def follow_lines(log: Path) -> Iterator[str]:
    """Lines written from now on, without end; continues in the new file after a rotation."""
    stream = _open_log(log)
    try:
        if stream:
            stream.seek(0, os.SEEK_END)
        partial = ""
        while True:
            # Checked before reading, so that the rest of the old file is read first.
            rotated = _was_rotated(log, stream)
            partial += stream.read() if stream else ""
            *lines, partial = partial.split("\n")
            yield from lines
            if rotated:
                if stream:
                    stream.close()
                stream = _open_log(log)
            else:
                time.sleep(_POLL_SECONDS)
    finally:
        if stream:
            stream.close()


def _open_log(log: Path) -> IO[str] | None:
    try:
        return log.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _was_rotated(log: Path, stream: IO[str] | None) -> bool:
    """Whether `log` is a different file than the open one."""
    try:
        current = log.stat()
    except FileNotFoundError:
        return False
    return stream is None or not os.path.samestat(current, os.fstat(stream.fileno()))
