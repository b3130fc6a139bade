"""Which operating-system user runs PostgreSQL, and which folder that user can reach.

PostgreSQL refuses to run as root. Under root it runs as `nobody`, which needs search permission on every parent folder.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mosaic_deploy.platform.faults import ProcessFault

SHARED_FOLDER = Path("/var/lib/mosaic-deploy")


@dataclass(frozen=True)
class OsUser:
    """The user PostgreSQL runs as; `is_other_user` says whether it differs from the current user."""

    uid: int
    gid: int
    is_other_user: bool

    def popen_arguments(self) -> dict[str, Any]:
        """Arguments for `subprocess` to run a program as this user, creating files only this user can read."""
        if not self.is_other_user:
            return {"umask": 0o077}
        return {"user": self.uid, "group": self.gid, "extra_groups": [], "umask": 0o077}


def postgres_os_user() -> OsUser:
    if os.geteuid() != 0:
        return OsUser(os.geteuid(), os.getegid(), is_other_user=False)
    for name in ("nobody", "daemon"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return OsUser(entry.pw_uid, entry.pw_gid, is_other_user=True)
    raise ProcessFault(
        "no_unprivileged_user",
        "PostgreSQL can't run as root, and this system has no user `nobody` or `daemon`",
        "run mosaic-deploy as a regular user",
    )


def choose_postgres_folder(home: Path, user: OsUser) -> Path:
    """A new platform's folder for PostgreSQL: inside the state folder if `user` can reach it, else under /var/lib.

    There it gets a name of its own: a state folder that was deleted by hand has left its PostgreSQL behind, and another one may
    have the same path now.
    """
    if not user.is_other_user or can_traverse(home, user):
        return home / "postgres"
    return SHARED_FOLDER / secrets.token_hex(8)


def create_postgres_folder(folder: Path, user: OsUser) -> None:
    """The current user owns the folder; `user` owns only the data folder in it."""
    if folder.parent == SHARED_FOLDER:
        SHARED_FOLDER.mkdir(parents=True, exist_ok=True, mode=0o711)
        SHARED_FOLDER.chmod(0o711)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711 if user.is_other_user else 0o700)


def can_traverse(folder: Path, user: OsUser) -> bool:
    """Whether the permission bits let `user` reach `folder` from /."""
    return all(_is_traversable(path.stat(), user) for path in (folder, *folder.resolve().parents))


def _is_traversable(entry: os.stat_result, user: OsUser) -> bool:
    if entry.st_uid == user.uid:
        return bool(entry.st_mode & stat.S_IXUSR)
    if entry.st_gid == user.gid:
        return bool(entry.st_mode & stat.S_IXGRP)
    return bool(entry.st_mode & stat.S_IXOTH)


def delete_postgres_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if folder.parent == SHARED_FOLDER and SHARED_FOLDER.is_dir() and not any(SHARED_FOLDER.iterdir()):
        # Another platform may be creating its folder at this moment.
        with contextlib.suppress(OSError):
            SHARED_FOLDER.rmdir()
