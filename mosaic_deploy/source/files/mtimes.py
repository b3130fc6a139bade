"""Time stamps of everything below some folders, for file systems that tell nothing of edits."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

_TIME_SHARE = 20
"""A look takes at most one part in so many of the time."""

Stamps = dict[str, tuple[int, ...]]


class Poller:
    """Looks now and then, and tells the difference. Time stamps count in full: a save may follow another at once."""

    def __init__(self, folders: Sequence[str], interval: float) -> None:
        self._folders = folders
        self._interval = interval
        self._stamps = self._scan()
        self._next = time.monotonic() + interval

    def changed(self, patience: float) -> set[str]:
        """The paths that are new, gone or others than at the last look, waiting for the next one at most so long."""
        wait = self._next - time.monotonic()
        if wait > patience:
            time.sleep(patience)
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
    """Files by all of their stamps, folders by which they are: what happens in them is told by its own path."""
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
