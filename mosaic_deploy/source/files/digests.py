"""Bytes on disk → a digest, and who hears of it while that takes."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from io import FileIO

from mosaic_deploy.source.files.local_file import CHUNK, open_regular
from mosaic_deploy.source.files.secrets import LARGEST_SCANNED
from mosaic_deploy.source.files.stat_cache import Digest, StatCache

Hashed = Callable[[int, int], None]
"""Hears how many bytes have been hashed, and how many are to be."""


class Hashing:
    """Counts bytes as they are hashed, and says so."""

    def __init__(self, hashed: Hashed, total: int) -> None:
        self._hashed = hashed
        self._total = total
        self._done = 0

    def heard(self, size: int) -> None:
        self._done += size
        self._hashed(self._done, self._total)


def unheard(_done: int, _total: int) -> None:
    """Nobody listens."""


def read_digest(path: str, name: str, cache: StatCache, hashing: Hashing | None = None) -> Digest:
    """The digest of the file at `path`, for the cache to know as `name`. Raises OSError."""
    began = time.time_ns()
    with open_regular(path) as file:
        before = os.fstat(file.fileno())
        digest = _digest(file, before.st_size, hashing or Hashing(unheard, 0))
        after = os.fstat(file.fileno())
    if digest.size == before.st_size and _stamps(before) == _stamps(after):
        cache.keep(name, before, digest, began)
    return digest


def _stamps(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _digest(file: FileIO, size: int, hashing: Hashing) -> Digest:
    """Reads to the end; what is small enough is in memory as a whole, and looked through for secrets."""
    if size > LARGEST_SCANNED:
        return _streamed(file, hashing)
    # A whole small file comes at once: the reading ends where a byte more was asked for than came.
    content = file.read(size + 1) or b""
    while len(content) != size and (more := file.read(CHUNK)):
        content += more
        if len(content) > LARGEST_SCANNED:
            return _streamed(file, hashing, content)
    from mosaic_deploy.source.files.secret_rules import scan

    hashing.heard(len(content))
    return Digest(hashlib.sha256(content).hexdigest(), len(content), scan(content))


def _streamed(file: FileIO, hashing: Hashing, first: bytes = b"") -> Digest:
    digest = hashlib.sha256(first)
    size = len(first)
    hashing.heard(size)
    while chunk := file.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
        hashing.heard(len(chunk))
    return Digest(digest.hexdigest(), size)
