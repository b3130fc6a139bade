"""Hashes files, and reports progress."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from io import FileIO

from mosaic_deploy.source.files.local_file import CHUNK, open_regular
from mosaic_deploy.source.files.stat_cache import Digest, StatCache
from mosaic_deploy.source.secrets.kinds import MAX_SCANNED_SIZE

OnHashed = Callable[[int, int], None]
"""Called with the number of bytes hashed so far and in total."""


class HashCounter:
    """Counts hashed bytes and reports them."""

    def __init__(self, on_hashed: OnHashed, total: int) -> None:
        self._hashed = on_hashed
        self._total = total
        self._done = 0

    def add(self, size: int) -> None:
        self._done += size
        self._hashed(self._done, self._total)


def ignore_progress(_done: int, _total: int) -> None:
    """The default OnHashed."""


def read_digest(path: str, name: str, cache: StatCache, hashing: HashCounter | None = None) -> Digest:
    """The digest of the file at `path`, which is also cached as `name`. Raises OSError."""
    began = time.time_ns()
    with open_regular(path) as file:
        before = os.fstat(file.fileno())
        digest = _digest(file, before.st_size, hashing or HashCounter(ignore_progress, 0))
        after = os.fstat(file.fileno())
    if digest.size == before.st_size and _stat_fields(before) == _stat_fields(after):
        cache.keep(name, before, digest, began)
    return digest


def _stat_fields(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _digest(file: FileIO, size: int, hashing: HashCounter) -> Digest:
    """Hashes a file of about `size` bytes. Small files are read into memory and scanned for secrets."""
    if size > MAX_SCANNED_SIZE:
        return _digest_stream(file, hashing)
    # A small file takes a single read: asking for one byte more shows that it ended.
    content = file.read(size + 1) or b""
    while len(content) != size and (more := file.read(CHUNK)):
        content += more
        if len(content) > MAX_SCANNED_SIZE:
            return _digest_stream(file, hashing, content)
    from mosaic_deploy.source.secrets.rules import scan_for_secrets

    hashing.add(len(content))
    return Digest(hashlib.sha256(content).hexdigest(), len(content), scan_for_secrets(content))


def _digest_stream(file: FileIO, hashing: HashCounter, first: bytes = b"") -> Digest:
    digest = hashlib.sha256(first)
    size = len(first)
    hashing.add(size)
    while chunk := file.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
        hashing.add(len(chunk))
    return Digest(digest.hexdigest(), size)
