"""The backup format: a gzipped tar whose last member has the SHA-256 of every other member.

A truncated file lacks the digests. They detect damage, not tampering.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import secrets
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

METADATA_MEMBER = "backup.json"
DIGESTS_MEMBER = "digests.json"
_CHUNK = 1 << 20
# The digests of a million files.
_JSON_LIMIT = 256 << 20

ProgressCallback = Callable[[int, int], None]
"""Called with (bytes done, total bytes)."""


class ArchiveDamaged(Exception):
    """The file isn't a backup, or it is truncated or corrupt."""


def write_archive(
    target: Path,
    metadata: Mapping[str, Any],
    trees: Mapping[str, Path],
    *,
    exclude: frozenset[str] = frozenset(),
    on_progress: ProgressCallback | None = None,
) -> int:
    """Writes the folders `trees` (name in the archive to folder). Returns the file's size in bytes.

    `target` appears only when it is complete, readable by its owner only (0600). `exclude` are paths in the archive.
    `on_progress` counts bytes read from the folders. Raises OSError.
    """
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as raw:
            with (
                gzip.GzipFile("", "wb", 1, raw, 0) as compressed,
                tarfile.open(fileobj=compressed, mode="w|") as tar,
            ):
                _write_members(
                    tar, metadata, trees, exclude, _Progress(_total_size(trees, exclude), on_progress)
                )
            raw.flush()
            os.fsync(raw.fileno())
        size = temporary.stat().st_size
        temporary.replace(target)
        _sync_folder(target.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return size


def read_metadata(path: Path) -> dict[str, Any]:
    """The archive's first member, without reading the rest. Raises ArchiveDamaged, OSError."""
    with _open_tar(path) as (tar, _):
        first = tar.next()
        if first is None or first.name != METADATA_MEMBER:
            raise ArchiveDamaged("it isn't a mosaic-deploy backup")
        return _read_json_member(tar, first)


def extract_archive(
    path: Path,
    destinations: Mapping[str, Path],
    on_progress: ProgressCallback | None = None,
    *,
    wanted: Mapping[str, Callable[[tuple[str, ...]], bool]] | None = None,
) -> None:
    """Extracts each tree into its destination, an empty or missing folder, and checks every digest.

    A tree in `wanted` is extracted in part: only members whose path, in parts, that function accepts. `on_progress`
    counts bytes read from the archive. Raises ArchiveDamaged or OSError; the caller must delete what was extracted by
    then.
    """
    found: dict[str, list[Any]] = {}
    expected: dict[str, Any] | None = None
    with _open_tar(path, on_progress) as (tar, content):
        for member in tar:
            if expected is not None:
                raise ArchiveDamaged("unexpected data after its end")
            if member.name == DIGESTS_MEMBER:
                expected = _read_json_member(tar, member)
            elif member.name == METADATA_MEMBER:
                found[METADATA_MEMBER] = _extract_member(tar, member, None)
            else:
                place = _member_path(member, destinations)
                root, *parts = member.name.split("/")
                is_wanted = (wanted or {}).get(root, _everything)(tuple(parts))
                if not member.isdir():
                    found[member.name] = _extract_member(tar, member, place if is_wanted else None)
                elif is_wanted:
                    place.mkdir(mode=0o700, parents=True, exist_ok=True)
        # gzip compares its CRC at the end of the file; the digests cover neither folders nor padding.
        while content.read(_CHUNK):
            pass
    if expected is None:
        raise ArchiveDamaged("unexpected end of file")
    if found != expected:
        names = sorted(
            name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)
        )
        raise ArchiveDamaged(
            f"checksum mismatch in {len(names)} file{'' if len(names) == 1 else 's'}, such as {names[0]}"
        )


def _everything(_parts: tuple[str, ...]) -> bool:
    return True


class _Progress:
    """Counts bytes and reports them to `on_progress`."""

    def __init__(self, total: int, on_progress: ProgressCallback | None) -> None:
        self._total = total
        self._on_progress = on_progress
        self._done = 0

    def add(self, count: int) -> None:
        self._done += count
        if self._on_progress is not None:
            self._on_progress(min(self._done, self._total), self._total)


def _total_size(trees: Mapping[str, Path], exclude: frozenset[str]) -> int:
    """Total bytes of the files to archive."""
    found = (each for root, folder in trees.items() for each in _walk(root, folder))
    return sum(path.stat().st_size for name, path in found if name not in exclude and path.is_file())


def _write_members(
    tar: tarfile.TarFile,
    metadata: Mapping[str, Any],
    trees: Mapping[str, Path],
    exclude: frozenset[str],
    progress: _Progress,
) -> None:
    digests = {METADATA_MEMBER: _add_json_member(tar, METADATA_MEMBER, metadata)}
    for root, folder in trees.items():
        for name, path in _walk(root, folder):
            if name in exclude:
                continue
            if path.is_dir():
                entry = tarfile.TarInfo(name)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o700
                tar.addfile(entry)
            elif path.is_file():
                with path.open("rb") as content:
                    digests[name] = _add_file(tar, name, content, progress)
    _add_json_member(tar, DIGESTS_MEMBER, digests)


def _walk(root: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """(name in the archive, path) of everything below, folders first. Skips symlinks: the platform makes none."""
    if not folder.is_dir():
        return
    yield root, folder
    for base, folders, files in os.walk(folder):
        for name in sorted(folders) + sorted(files):
            path = Path(base) / name
            if not path.is_symlink():
                yield f"{root}/{path.relative_to(folder).as_posix()}", path


def _add_file(tar: tarfile.TarFile, name: str, content: IO[bytes], progress: _Progress) -> list[Any]:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = os.fstat(content.fileno()).st_size, 0o600
    reader = _DigestingReader(content, progress)
    tar.addfile(entry, reader)
    return [entry.size, reader.digest.hexdigest()]


def _add_json_member(tar: tarfile.TarFile, name: str, document: Mapping[str, Any]) -> list[Any]:
    content = json.dumps(document).encode()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    tar.addfile(entry, io.BytesIO(content))
    return [len(content), hashlib.sha256(content).hexdigest()]


class _DigestingReader(io.RawIOBase):
    def __init__(self, content: IO[bytes], progress: _Progress) -> None:
        self._content = content
        self._progress = progress
        self.digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._content.read(size)
        self.digest.update(chunk)
        self._progress.add(len(chunk))
        return chunk


class _CountingReader(io.RawIOBase):
    """A file that counts the bytes read from it."""

    def __init__(self, content: IO[bytes], progress: _Progress) -> None:
        self._content = content
        self._progress = progress

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._content.read(size)
        self._progress.add(len(chunk))
        return chunk


@contextlib.contextmanager
def _open_tar(
    path: Path, on_progress: ProgressCallback | None = None
) -> Iterator[tuple[tarfile.TarFile, gzip.GzipFile]]:
    try:
        with path.open("rb") as raw:
            counted = _CountingReader(raw, _Progress(path.stat().st_size, on_progress))
            # Not tarfile's own "r|gz", which doesn't compare the CRC.
            with gzip.GzipFile(fileobj=counted) as content, tarfile.open(fileobj=content, mode="r|") as tar:
                yield tar, content
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, UnicodeError) as error:
        raise ArchiveDamaged(_reason(error)) from error


def _member_path(member: tarfile.TarInfo, destinations: Mapping[str, Path]) -> Path:
    """The path to extract a member to. Raises ArchiveDamaged for names that lead outside their tree."""
    root, *rest = member.name.split("/")
    plain = all(part not in ("", ".", "..") and "\x00" not in part for part in rest)
    if root not in destinations or not plain or not (member.isreg() or member.isdir()):
        raise ArchiveDamaged(f"unexpected member {member.name!r}")
    return destinations[root].joinpath(*rest)


def _extract_member(tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path | None) -> list[Any]:
    content = tar.extractfile(member)
    if content is None:
        raise ArchiveDamaged(f"{member.name} isn't a file")
    digest, size = hashlib.sha256(), 0
    handle = None
    if place is not None:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") if handle is not None else Path(os.devnull).open("wb") as written:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            written.write(chunk)
    return [size, digest.hexdigest()]


def _read_json_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, Any]:
    content = tar.extractfile(member) if member.size <= _JSON_LIMIT else None
    try:
        document = json.loads(content.read() if content else b"")
    except (ValueError, RecursionError) as error:
        raise ArchiveDamaged(f"{member.name} isn't valid JSON") from error
    if not isinstance(document, dict):
        raise ArchiveDamaged(f"{member.name} isn't valid JSON")
    return document


def _reason(error: Exception) -> str:
    """gzip and tarfile word a truncated file differently; here it is always `unexpected end of file`."""
    truncated = isinstance(error, EOFError) or "unexpected end of data" in str(error)
    return "unexpected end of file" if truncated else str(error)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
