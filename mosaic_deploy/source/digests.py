"""Bytes on disk → a digest, read only where the stat cache doesn't know it."""

from __future__ import annotations

import hashlib
import os
import time
from io import FileIO

from mosaic_deploy.source.finding import LARGEST_SCANNED
from mosaic_deploy.source.local_file import CHUNK, open_regular
from mosaic_deploy.source.stat_cache import Digest, StatCache


def read_digest(path: str, name: str, status: os.stat_result, cache: StatCache) -> Digest:
    """The digest of the file at `path`, which the cache knows as `name`. Raises OSError."""
    known = cache.find(name, status)
    if known is not None:
        return known
    began = time.time_ns()
    with open_regular(path) as file:
        before = os.fstat(file.fileno())
        digest = _digest(file, before.st_size)
        after = os.fstat(file.fileno())
    if digest.size == before.st_size and _stamps(before) == _stamps(after):
        cache.keep(name, before, digest, began)
    return digest


def _stamps(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _digest(file: FileIO, size: int) -> Digest:
    """Reads to the end; what is small enough is in memory as a whole, and looked through for secrets."""
    if size > LARGEST_SCANNED:
        return _streamed(file)
    # A whole small file comes at once: the reading ends where a byte more was asked for than came.
    content = file.read(size + 1) or b""
    while len(content) != size and (more := file.read(CHUNK)):
        content += more
        if len(content) > LARGEST_SCANNED:
            return _streamed(file, content)
    from mosaic_deploy.source.secret_rules import scan

    return Digest(hashlib.sha256(content).hexdigest(), len(content), scan(content))


def _streamed(file: FileIO, first: bytes = b"") -> Digest:
    digest = hashlib.sha256(first)
    size = len(first)
    while chunk := file.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return Digest(digest.hexdigest(), size)
