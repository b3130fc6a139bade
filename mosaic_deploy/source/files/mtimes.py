"""Polls folders for changed time stamps, for file systems without change notifications."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

_TIME_SHARE = 20
"""A scan may take at most 1/20 of the time."""

Stamps = dict[str, tuple[int, ...]]


class Poller:
    """Scans folders at an interval and reports differences. Compares full time stamps, to detect two quick saves."""

    def __init__(self, folders: Sequence[str], interval: float) -> None:
        self._folders = folders
        self._interval = interval
        self._stamps = self._scan()
        self._next = time.monotonic() + interval

    def changed(self, timeout: float) -> set[str]:
        """Paths that were added, deleted or changed since the last scan. Waits for the next scan up to `timeout` seconds."""
        wait = self._next - time.monotonic()
        if wait > timeout:
            time.sleep(timeout)
            return set()
        time.sleep(max(0.0, wait))
        began = time.monotonic()
        before, self._stamps = self._stamps, self._scan()
        ended = time.monotonic()
        self._next = ended + max(self._interval, _TIME_SHARE * (ended - began))
        after = self._stamps
        gone_or_new = before.keys() ^ after.keys()
        return gone_or_new | {path for path, stamp in after.items() if before.get(path, stamp) != stamp}

    def _scan(self) -> Stamps:
        return {path: stamp for folder in self._folders for path, stamp in _walk_stamps(folder)}


def _walk_stamps(folder: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Paths with their stamps: time stamps, size and inode of files, only the inode of folders."""
    pending, seen = [folder], set[tuple[int, int]]()
    while pending:
        here = pending.pop()
        try:
            with os.scandir(here) as entries:
                found = list(entries)
        except OSError:
            continue
        for entry in found:
            try:
                status = entry.stat()
            except OSError:
                yield entry.path, (0,)
                continue
            identity = (status.st_ino, status.st_dev)
            if not entry.is_dir():
                yield entry.path, (status.st_mtime_ns, status.st_ctime_ns, status.st_size, *identity)
            elif identity not in seen:
                seen.add(identity)
                pending.append(entry.path)
                yield entry.path, identity
