"""Updates the desired state after edits by reading only the edited files, if that is enough."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from mosaic_deploy.model.snapshot import Object
from mosaic_deploy.source.files.digests import read_digest
from mosaic_deploy.source.files.local_file import LocalFile
from mosaic_deploy.source.files.stat_cache import StatCache
from mosaic_deploy.source.snapshot import Desired, with_site


@dataclass(frozen=True, slots=True)
class FileIndex:
    """Maps each path below the project folder to its kinds and names on the platform.

    `no_links` is whether no file is a symlink, has hard links, or is in a linked folder, so that each file can only
    change under its own path.
    """

    names: dict[str, tuple[tuple[str, str], ...]]
    no_links: bool


def index_files(desired: Desired) -> FileIndex:
    """The index of all files. Calls stat on each file, but opens none."""
    names: dict[str, tuple[tuple[str, str], ...]] = {}
    for kind, files in (("static", desired.site.site.files), ("storage", desired.own_storage_files)):
        for name, file in files.items():
            relative_path = posixpath.normpath(file.relative_path)
            names[relative_path] = (*names.get(relative_path, ()), (kind, name))
    return FileIndex(names, _no_links(desired.manifest.root, names))


def reread_files(desired: Desired, index: FileIndex, edited: Collection[str]) -> Desired | None:
    """`desired` with the current content of the `edited` files.

    None if everything must be read again: for added, deleted or special files, folders, SQL, pattern files, or possible
    secrets.
    """
    static, storage_files = desired.site.site.files, dict(desired.storage_files)
    changed: dict[str, dict[str, LocalFile]] = {"static": {}, "storage": {}}
    for relative_path in edited:
        if relative_path in desired.route_files:
            return None
        kinds = index.names.get(relative_path)
        if kinds is None and _is_transient(desired.manifest.root, relative_path, index):
            continue
        read = _read_object(desired.manifest.root, relative_path) if kinds and index.no_links else None
        if kinds is None or read is None:
            return None
        for kind, name in kinds:
            files = static if kind == "static" else storage_files
            changed[kind][name] = replace(files[name], object=replace(read, path=name))
    if changed["storage"]:
        storage_files |= changed["storage"]
        objects = {name: file.object for name, file in storage_files.items()}
        snapshot = replace(desired.snapshot, storage=objects)
        desired = replace(desired, snapshot=snapshot, storage_files=storage_files)
    return with_site(desired, desired.site.with_edits(changed["static"])) if changed["static"] else desired


def _is_transient(root: Path, relative_path: str, index: FileIndex) -> bool:
    """Whether an unknown file no longer exists, as with an editor's temporary files. Never true for SQL files."""
    if relative_path.lower().endswith(".sql"):
        return False
    below = f"{relative_path}/"
    return not os.path.lexists(f"{root}/{relative_path}") and not any(
        name.startswith(below) for name in index.names
    )


def _read_object(root: Path, relative_path: str) -> Object | None:
    """The file as an Object, None if it isn't a regular file that may be published."""
    path = f"{root}/{relative_path}"
    try:
        status = os.lstat(path)
        if not _is_single_file(status):
            return None
        digest = read_digest(path, relative_path, StatCache(None))
    except OSError:
        return None
    return None if digest.findings else Object(relative_path, digest.sha256, digest.size)


def _no_links(root: Path, names: Iterable[str]) -> bool:
    folders: set[str] = set()
    for relative_path in names:
        try:
            if not _is_single_file(os.lstat(f"{root}/{relative_path}")):
                return False
        except OSError:
            return False
        folder = posixpath.dirname(relative_path)
        while folder and folder not in folders:
            folders.add(folder)
            folder = posixpath.dirname(folder)
    return not any(os.path.islink(f"{root}/{folder}") for folder in folders)  # noqa: PTH114 - the path is a str


def _is_single_file(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1
