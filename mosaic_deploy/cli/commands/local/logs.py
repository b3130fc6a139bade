"""Reading the embedded platform's log: its last lines, and those that follow."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_POLL_SECONDS = 0.2


def read_last_lines(log: Path, count: int) -> list[str]:
    """At most `count` lines, the newest last; older files are asked where this one was just turned over."""
    kept: deque[str] = deque(maxlen=count)
    for path in (log.with_name(log.name + ".1"), log):
        try:
            with path.open(encoding="utf-8", errors="replace") as stream:
                kept.extend(line.rstrip("\n") for line in stream)
        except FileNotFoundError:
            continue
    return list(kept)


def follow_lines(log: Path) -> Iterator[str]:
    """Lines written from now on, without end; goes on in the new file after a turn."""
    stream = _open_log(log)
    try:
        if stream:
            stream.seek(0, os.SEEK_END)
        begun = ""
        while True:
            # Asked before reading: what was written to the old file before its turn is read from it.
            turned = _was_rotated(log, stream)
            begun += stream.read() if stream else ""
            *whole, begun = begun.split("\n")
            yield from whole
            if turned:
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
    """Whether the name leads to another file than the one that is open."""
    try:
        found = log.stat()
    except FileNotFoundError:
        return False
    return stream is None or not os.path.samestat(found, os.fstat(stream.fileno()))
