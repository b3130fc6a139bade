"""A file to deploy, and reading it once more when it is sent: the very bytes that were planned, or nothing."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from mosaic_deploy.errors import Location, SourceChanged
from mosaic_deploy.model.snapshot import Object

CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LocalFile:
    """One file to deploy: what it is called on the platform, and where it is below the project folder."""

    object: Object
    root: Path
    relative_path: str

    @property
    def source(self) -> Path:
        return self.root / self.relative_path


def open_regular(path: str | Path) -> FileIO:
    """Opens a file for reading. OSError also for what isn't one: opening a fifo must not wait for its writer."""
    file = FileIO(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(errno.EINVAL, "neither a file nor a folder", str(path))


def read_unchanged(file: LocalFile) -> bytes:
    """The file's bytes, if they are still those that were hashed. Raises SourceChanged."""
    return b"".join(unchanged_chunks(file))


def unchanged_chunks(file: LocalFile, size: int = CHUNK) -> Iterator[bytes]:
    """The file's bytes in chunks of at most `size`; the last one only once all are known to be the planned ones.

    Raises SourceChanged, before the first chunk where the size tells already. So whoever passes chunks on as they
    come never passes on a whole file of other content. An empty file has no chunk.
    """
    digest = hashlib.sha256()
    left = file.object.size
    held = b""
    try:
        with open_regular(file.source) as opened:
            if os.fstat(opened.fileno()).st_size != left:
                raise changed_error(file)
            # One byte more than there should be: a file that grew is seen here, however it is read.
            while chunk := opened.read(min(size, left + 1)):
                left -= len(chunk)
                if left < 0:
                    raise changed_error(file)
                if held:
                    yield held
                digest.update(chunk)
                held = chunk
    except OSError as error:
        raise changed_error(file) from error
    if left or digest.hexdigest() != file.object.sha256:
        raise changed_error(file)
    if held:
        yield held


def changed_error(file: LocalFile) -> SourceChanged:
    return SourceChanged(
        f"{file.relative_path} changed on disk after the plan was made",
        hint="run the same command again for a new plan",
        location=Location(file.relative_path),
    )
