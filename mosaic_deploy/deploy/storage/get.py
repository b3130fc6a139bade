"""`storage get`: where storage files are downloaded to, and the download."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from mosaic_deploy.deploy.storage.patterns import chosen_names
from mosaic_deploy.deploy.storage.stored import Stored
from mosaic_deploy.errors import (
    ApiError,
    Interrupted,
    Location,
    MosaicError,
    Problem,
    ResponseInvalid,
    StorageFileMissing,
    TransfersFailed,
    WriteFailed,
)
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.rate_limit import DEFAULT_PARALLELISM
from mosaic_deploy.live.compare_bytes import EtagCache, read_digest
from mosaic_deploy.live.download import download
from mosaic_deploy.model.quantities import count_text
from mosaic_deploy.source.files.local_file import CHUNK, open_regular
from mosaic_deploy.source.files.names import path_problem

OnProgress = Callable[[int, int], None]
"""Called with the bytes fetched so far and in total."""


@dataclass(frozen=True, slots=True)
class Download:
    """A storage file to download. `size` is None if it isn't listed; `overwrites`: another file is at `target`."""

    name: str
    url: str
    size: int | None
    target: Path
    overwrites: bool = False


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """`unchanged` are the names of files that are at their targets already. `site` is the project's URL."""

    site: str
    downloads: tuple[Download, ...]
    unchanged: tuple[str, ...] = ()

    @property
    def overwritten(self) -> tuple[Path, ...]:
        return tuple(each.target for each in self.downloads if each.overwrites)


def plan_download(api: Api, stored: Stored, arguments: Sequence[str], to: str) -> DownloadPlan:
    """The files that `arguments` choose, below the folder `to`, or one file at the path `to`.

    A local file of the same size is compared with the live one. Writes nothing. Raises StorageFileMissing, WriteFailed for
    names that would lead out of the folder, ResponseInvalid for files without a URL, ApiError.
    """
    try:
        chosen = chosen_names(arguments, frozenset(stored.sizes))
    except StorageFileMissing as error:
        # As with `cp a.txt target`: the last argument is taken for a name in storage.
        *others, last = arguments
        missing = [each.location.file for each in error.problems if each.location]
        if others and not to and missing == [last]:
            error.hint = f"if {last} is meant as the local path, write --to {last}; {error.hint}"
        raise
    targets = _targets(chosen, arguments, to)
    if unlisted := [name for name in targets if not stored.urls.of(name)]:
        raise ResponseInvalid(f"storage lists no URL for {unlisted[0]}, so it can't be downloaded")
    wanted = [
        Download(name, stored.urls.of(name), stored.sizes[name], target, os.path.lexists(target))
        for name, target in targets.items()
    ]
    cache = EtagCache(stored.project.url)
    with ThreadPoolExecutor(DEFAULT_PARALLELISM) as pool:
        equal = list(pool.map(lambda each: each.overwrites and _is_there(api, each, cache), wanted))
    cache.write()
    return DownloadPlan(
        stored.project.url,
        tuple(each for each, there in zip(wanted, equal, strict=True) if not there),
        tuple(each.name for each, there in zip(wanted, equal, strict=True) if there),
    )


def _targets(chosen: Mapping[str, str], arguments: Sequence[str], to: str) -> dict[str, Path]:
    """Where to write each of the files: name → path."""
    single = len(arguments) == 1 and list(chosen) == [arguments[0]]
    if single and to and not to.endswith(("/", os.sep)) and not Path(to).is_dir():
        return {arguments[0]: Path(to)}
    folder = Path(to or ".")
    if os.path.lexists(folder) and not folder.is_dir():
        raise WriteFailed(f"{to} isn't a folder", hint="several files are downloaded into a folder")
    problems: list[Problem] = []
    by_path: dict[str, str] = {}
    for name, inner in chosen.items():
        problem = path_problem(inner) or _leads_out(folder, inner)
        if problem is None and inner in by_path:
            problem = Problem(f"would be written to the same file as {by_path[inner]}", Location(name))
        by_path.setdefault(inner, name)
        if problem:
            problems.append(Problem(problem.message, Location(name)))
    if problems:
        raise WriteFailed(f"nothing was downloaded: these can't be written below {folder}", problems=problems)
    return {name: folder / inner for name, inner in chosen.items()}


def _leads_out(folder: Path, inner: str) -> Problem | None:
    """Why the path isn't below `folder`: a link in it, or on Windows a drive or a reserved character."""
    root, target = os.path.realpath(folder), folder / inner
    real = os.path.realpath(target.parent)
    if os.path.commonpath([root, real]) != root or not target.is_relative_to(folder):
        return Problem("leads out of the folder", Location(inner))
    if target.is_dir():
        return Problem("a folder of that name is there", Location(inner))
    return None


def _is_there(api: Api, wanted: Download, cache: EtagCache) -> bool:
    """Whether the local file has the content of the live one."""
    target = wanted.target
    try:
        if not target.is_file() or target.is_symlink() or wanted.size not in (None, target.stat().st_size):
            return False
        digest = hashlib.sha256()
        with open_regular(target) as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        return read_digest(api, wanted.url, cache) == digest.hexdigest()
    except (OSError, ApiError):
        return False


def fetch(api: Api, plan: DownloadPlan, parallelism: int, on_progress: OnProgress) -> None:
    """Downloads the files. Each appears at its target when it is complete, and not before.

    A failure doesn't stop the others. Raises the only failure, or TransfersFailed with all of them, and Interrupted.
    """
    if not plan.downloads:
        return
    api.rate_limiter.set_limit(parallelism)
    cache = EtagCache(plan.site)
    progress = _Progress(sum(each.size or 0 for each in plan.downloads), on_progress)
    failed: list[tuple[Download, MosaicError]] = []
    mode = _new_file_mode()
    with ThreadPoolExecutor(min(parallelism, len(plan.downloads)), thread_name_prefix="download") as pool:
        running = {pool.submit(_fetch_one, api, each, mode, progress, cache): each for each in plan.downloads}
        try:
            for future in as_completed(running):
                try:
                    future.result()
                except MosaicError as error:
                    failed.append((running[future], error))
        finally:
            if any(not future.done() for future in running):
                api.rate_limiter.cancel()
                pool.shutdown(cancel_futures=True)
            # The next run compares these files without fetching them.
            cache.write()
    if failed:
        raise _failure(failed)


def _failure(failed: Sequence[tuple[Download, MosaicError]]) -> MosaicError:
    if len(failed) == 1 or all(isinstance(error, Interrupted) for _, error in failed):
        return failed[0][1]
    error = TransfersFailed(
        f"{count_text(len(failed), 'download')} failed; complete files are kept",
        problems=[Problem(error.message, Location(each.name), hint=error.hint) for each, error in failed],
        hint="run the same command again; it downloads only what is missing",
    )
    error.retryable = any(error.retryable for _, error in failed)
    return error


def _fetch_one(api: Api, wanted: Download, mode: int, progress: _Progress, cache: EtagCache) -> None:
    if api.rate_limiter.cancelled:
        raise Interrupted(f"{wanted.name} was not downloaded")
    try:
        with _complete_file(wanted, mode) as file:
            found = download(
                api, wanted.name, wanted.url, wanted.size, file, lambda done: progress.add(wanted.name, done)
            )
        cache.add(wanted.url, found)
    except OSError as error:
        raise WriteFailed(f"{wanted.target} can't be written: {error.strerror or error}") from None


@contextmanager
def _complete_file(wanted: Download, mode: int) -> Iterator[BinaryIO]:
    """A temporary file beside the target, which becomes the target at the end of the block; removed if it fails.

    It has the permissions of the file that it replaces; a new one has `mode`, because mkstemp's are for the owner only.
    """
    folder = wanted.target.parent
    folder.mkdir(parents=True, exist_ok=True)
    number, path = tempfile.mkstemp(prefix=".mosaic-", suffix=".part", dir=folder)
    temporary = Path(path)
    try:
        with os.fdopen(number, "w+b") as file:
            yield cast("BinaryIO", file)
        replaces = wanted.overwrites and wanted.target.is_file()
        temporary.chmod(wanted.target.stat().st_mode & 0o777 if replaces else mode)
        if wanted.overwrites:
            temporary.replace(wanted.target)
        else:
            _move_to_new(temporary, wanted.target)
    finally:
        temporary.unlink(missing_ok=True)


def _move_to_new(temporary: Path, target: Path) -> None:
    """Raises FileExistsError if a file was made there meanwhile: on a disk that ignores case also by this run."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # no hard links there
        if os.path.lexists(target):
            raise FileExistsError(17, "the file was made there meanwhile") from None
        temporary.replace(target)


def _new_file_mode() -> int:
    """The usual permissions. Not for several threads: what another one creates meanwhile may be closed to others."""
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


class _Progress:
    """Adds up what the concurrent downloads have fetched."""

    def __init__(self, total: int, on_progress: OnProgress) -> None:
        self._total = total
        self._on_progress = on_progress
        self._done: dict[str, int] = {}
        self._sum = 0
        self._lock = threading.Lock()

    def add(self, name: str, done: int) -> None:
        with self._lock:
            self._sum += done - self._done.get(name, 0)
            self._done[name] = done
            self._on_progress(self._sum, self._total)
