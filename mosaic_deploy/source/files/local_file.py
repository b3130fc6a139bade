"""A file to deploy. Reads it again for upload and verifies that it still has the planned content."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

from mosaic_deploy.errors import Location, SourceChanged
from mosaic_deploy.model.snapshot import Object

CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Makes the content to deploy of the content on disk, which has this digest and size."""

    sha256: str
    size: int
    apply: Callable[[bytes], bytes] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to deploy: its Object on the platform, and its path below the project folder `root`.

    With a `rewrite`, the Object is that of the rewritten content.
    """

    object: Object
    root: Path
    relative_path: str
    rewrite: Rewrite | None = None

    @property
    def source(self) -> Path:
        return self.root / self.relative_path


def open_regular(path: str | Path) -> FileIO:
    """Opens a regular file for reading. Raises OSError for anything else; opening a fifo doesn't block."""
    file = FileIO(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(errno.EINVAL, "not a regular file", str(path))


def read_unchanged(file: LocalFile) -> bytes:
    """The content to deploy. Raises SourceChanged if it differs from the planned one."""
    return b"".join(unchanged_chunks(file))


def unchanged_chunks(file: LocalFile, size: int = CHUNK) -> Iterator[bytes]:
    """The content to deploy in chunks of at most `size` bytes. An empty file has no chunks.

    Raises SourceChanged if the content differs from the planned one, always before the last chunk. A caller that
    forwards the chunks therefore never sends a complete file with other content.
    """
    if file.rewrite is None:
        yield from _disk_chunks(file, file.object.sha256, file.object.size, size)
        return
    content = file.rewrite.apply(b"".join(_disk_chunks(file, file.rewrite.sha256, file.rewrite.size, CHUNK)))
    if hashlib.sha256(content).hexdigest() != file.object.sha256:
        raise changed_error(file)
    for start in range(0, len(content), size):
        yield content[start : start + size]


def _disk_chunks(file: LocalFile, sha256: str, left: int, size: int) -> Iterator[bytes]:
    """The content on disk. Raises SourceChanged, before the last chunk, unless it has this digest and `left` bytes."""
    digest = hashlib.sha256()
    pending = b""
    try:
        with open_regular(file.source) as opened:
            if os.fstat(opened.fileno()).st_size != left:
                raise changed_error(file)
            # Reading one byte more than planned detects a file that grew.
            while chunk := opened.read(min(size, left + 1)):
                left -= len(chunk)
                if left < 0:
                    raise changed_error(file)
                if pending:
                    yield pending
                digest.update(chunk)
                pending = chunk
    except OSError as error:
        raise changed_error(file) from error
    if left or digest.hexdigest() != sha256:
        raise changed_error(file)
    if pending:
        yield pending


def changed_error(file: LocalFile) -> SourceChanged:
    return SourceChanged(
        f"{file.relative_path} changed on disk after the plan was made",
        hint="run the same command again to make a new plan",
        location=Location(file.relative_path),
    )
