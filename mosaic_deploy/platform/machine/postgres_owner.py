"""Which folder for PostgreSQL belongs to a state folder, also after the state folder was moved or copied.

state.json has an absolute path. In a copied state folder it is the original's, whose databases the copy must neither use
nor delete.
"""

from __future__ import annotations

import json
from pathlib import Path

from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.machine.os_user import SHARED_FOLDER

_OWNER_FILE = "state-folder"
"""In a folder below /var/lib: the path of its state folder."""


def own_postgres_folder(home: Path, recorded: Path) -> Path:
    """The folder of the platform in `home`, whose state.json has `recorded`. Raises ProcessFault if that is another's."""
    if recorded.parent != SHARED_FOLDER:
        inside = home / "postgres"
        # A running server is recognized by its path, so another name of the same folder is kept.
        return recorded if _is_same(recorded, inside) else inside
    owner = read_owner(recorded)
    if owner is not None and not _is_same(owner, home) and _recorded_folder(owner) == recorded:
        raise ProcessFault(
            "state_copied",
            f"{home} and {owner} have the same databases, in {recorded}: one folder is a copy of the other",
            "copy a platform with `mosaic-deploy local backup FILE` and `mosaic-deploy local restore FILE`",
        )
    return recorded


def record_owner(home: Path, folder: Path) -> None:
    """Notes that `folder` belongs to the platform in `home`, unless it is in there."""
    if folder.parent == SHARED_FOLDER:
        (folder / _OWNER_FILE).write_text(str(home), encoding="utf-8")


def may_belong_to(folder: Path, home: Path) -> bool:
    """Whether the platform in `home` uses this folder for PostgreSQL, or has a state that can't be read."""
    try:
        (home / "state.json").stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return _recorded_folder(home) in (folder, None)


def read_owner(folder: Path) -> Path | None:
    """The state folder of the platform that the folder belongs to; None if that isn't recorded."""
    try:
        return Path((folder / _OWNER_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _recorded_folder(home: Path) -> Path | None:
    try:
        return Path(json.loads((home / "state.json").read_text(encoding="utf-8"))["postgres_folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_same(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except OSError:
        return first == second
