"""PostgreSQL's folders below /var/lib whose platform is gone: its state folder was deleted by hand, and they stayed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mosaic_deploy.platform.machine import os_user
from mosaic_deploy.platform.machine.postgres_owner import may_belong_to, read_owner
from mosaic_deploy.platform.machine.sizes import tree_size
from mosaic_deploy.platform.postgres.postmaster import running_postmaster

Document = dict[str, Any]


def find_leftovers() -> Document:
    """The folders with the state folders that they belonged to, bytes, and `pid` if PostgreSQL still runs in them."""
    return {"folders": [_describe(folder, home) for folder, home in _leftovers()], "removed": []}


def remove_leftovers(folders: Sequence[str]) -> Document:
    """Deletes those of `folders` that are leftovers, and in which nothing runs. `folders` are then those that are left."""
    removed = []
    for folder, home in _leftovers():
        found = _describe(folder, home)
        if str(folder) in folders and found["pid"] is None:
            os_user.delete_postgres_folder(folder)
            if not folder.exists():
                removed.append(found)
    return {**find_leftovers(), "removed": removed}


def _leftovers() -> Iterator[tuple[Path, Path]]:
    """A folder without a recorded owner may be of a restore that is running, so it is none."""
    try:
        folders = sorted(os_user.SHARED_FOLDER.iterdir())
    except OSError:
        return
    for folder in folders:
        home = read_owner(folder)
        if home is not None and not may_belong_to(folder, home):
            yield folder, home


def _describe(folder: Path, home: Path) -> Document:
    running = running_postmaster(folder / "data")
    return {
        "folder": str(folder),
        "home": str(home),
        "bytes": tree_size(folder),
        "pid": running.pid if running else None,
    }
