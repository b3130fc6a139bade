"""Digests of a build's inputs and output. Unchanged files aren't read again: their digests are cached by `stat` values."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable

from mosaic_deploy.model.manifest import BuildSpec, Manifest
from mosaic_deploy.source.builds.inputs import InputFile, find_inputs
from mosaic_deploy.source.files.local_file import open_regular
from mosaic_deploy.source.files.stat_cache import Digest, StatCache, named_cache

Digests = dict[str, str]
"""The SHA-256 of each file in hex, by its path relative to the project folder."""


def input_digests(manifest: Manifest, build: BuildSpec) -> Digests:
    root = os.path.realpath(manifest.root)
    files = find_inputs(manifest, build).files
    return {_relative(path, root): digest for path, digest in _digests(files, f"{root}\0inputs").items()}


def output_digest(folder: str) -> str:
    """The digest of all names and contents in a folder; empty if there is no file in it."""
    files = list(_files_below(folder))
    if not files:
        return ""
    summed = hashlib.sha256()
    for path, digest in sorted(_digests(files, f"{folder}\0output").items()):
        summed.update(f"{_relative(path, folder)}\0{digest}\n".encode(errors="surrogateescape"))
    return summed.hexdigest()


def _relative(path: str, folder: str) -> str:
    # relpath takes ten times as long, and there may be many thousand names.
    start = f"{folder}/"
    return path[len(start) :] if path.startswith(start) else os.path.relpath(path, folder)


def _files_below(folder: str) -> Iterable[InputFile]:
    """Also of linked folders, but each folder once."""
    seen = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(here)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if name != ".git"]
        for name in names:
            path = f"{here}/{name}"
            with contextlib.suppress(OSError):
                yield InputFile(path, os.stat(path))  # noqa: PTH116 - a path as text


def _digests(files: Iterable[InputFile], cache_name: str) -> Digests:
    """By path. Files that disappear meanwhile are left out."""
    cache = named_cache(cache_name)
    found: Digests = {}
    for file in files:
        known = cache.find(file.path, file.status)
        with contextlib.suppress(OSError):
            found[file.path] = known.sha256 if known else _read_digest(file, cache)
    cache.write()
    return found


def _read_digest(file: InputFile, cache: StatCache) -> str:
    if os.path.islink(file.path) and not os.path.isfile(file.path):  # noqa: PTH113, PTH114 - a path as text
        return hashlib.sha256(os.fsencode(os.readlink(file.path))).hexdigest()  # noqa: PTH115
    began = time.time_ns()
    with open_regular(file.path) as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        if os.fstat(opened.fileno()).st_mtime_ns == file.status.st_mtime_ns:
            cache.keep(file.path, file.status, Digest(digest, file.status.st_size), began)
    return digest
