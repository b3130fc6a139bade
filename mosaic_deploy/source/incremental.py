"""Reading again only what was edited, where that is enough to know what is desired."""

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
from mosaic_deploy.source.snapshot import Desired


@dataclass(frozen=True, slots=True)
class FileIndex:
    """Where a desired side's files are: for each path below the project folder, its kinds and names.

    `no_links`: none of them is a link, below one, or has a second name, so that each is changed by its own path alone.
    """

    names: dict[str, tuple[tuple[str, str], ...]]
    no_links: bool


def index_files(desired: Desired) -> FileIndex:
    """Looks at every file once, and opens none."""
    names: dict[str, tuple[tuple[str, str], ...]] = {}
    for kind, files in (("static", desired.static), ("storage", desired.storage_files)):
        for name, file in files.items():
            shown = posixpath.normpath(file.relative_path)
            names[shown] = (*names.get(shown, ()), (kind, name))
    return FileIndex(names, _no_links(desired.manifest.root, names))


def reread_files(desired: Desired, found: FileIndex, edited: Collection[str]) -> Desired | None:
    """`desired` with the `edited` files as they are now.

    None where that can't be known from them alone: a file that is new, gone, or no plain file, one that looks like a
    secret, a folder, SQL, patterns. Then everything is to be read.
    """
    static, storage_files = dict(desired.static), dict(desired.storage_files)
    changed: dict[str, dict[str, Object]] = {"static": {}, "storage": {}}
    for shown in edited:
        kinds = found.names.get(shown)
        if kinds is None and _is_transient(desired.manifest.root, shown, found):
            continue
        read = _read_object(desired.manifest.root, shown) if kinds and found.no_links else None
        if kinds is None or read is None:
            return None
        for kind, name in kinds:
            files = static if kind == "static" else storage_files
            made = replace(read, path=name)
            changed[kind][name] = made
            files[name] = LocalFile(made, files[name].root, files[name].relative_path)
    snapshot = desired.snapshot
    if changed["static"]:
        snapshot = replace(snapshot, static={**(snapshot.static or {}), **changed["static"]})
    if changed["storage"]:
        snapshot = replace(snapshot, storage={**(snapshot.storage or {}), **changed["storage"]})
    return replace(desired, snapshot=snapshot, static=static, storage_files=storage_files)


def _is_transient(root: Path, shown: str, found: FileIndex) -> bool:
    """Whether the unknown `relative_path` came and went, as an editor's temporary files do; of SQL that isn't known here."""
    if shown.lower().endswith(".sql"):
        return False
    below = f"{shown}/"
    return not os.path.lexists(f"{root}/{shown}") and not any(name.startswith(below) for name in found.names)


def _read_object(root: Path, shown: str) -> Object | None:
    """None for what isn't a plain file that may be published."""
    path = f"{root}/{shown}"
    try:
        status = os.lstat(path)
        if not _is_single_file(status):
            return None
        digest = read_digest(path, shown, StatCache(None))
    except OSError:
        return None
    return None if digest.findings else Object(shown, digest.sha256, digest.size)


def _no_links(root: Path, names: Iterable[str]) -> bool:
    folders: set[str] = set()
    for shown in names:
        try:
            if not _is_single_file(os.lstat(f"{root}/{shown}")):
                return False
        except OSError:
            return False
        folder = posixpath.dirname(shown)
        while folder and folder not in folders:
            folders.add(folder)
            folder = posixpath.dirname(folder)
    return not any(os.path.islink(f"{root}/{folder}") for folder in folders)  # noqa: PTH114 - a path as text


def _is_single_file(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1
