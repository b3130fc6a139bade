"""Which operating-system user runs PostgreSQL, and which folder that user can live in.

PostgreSQL refuses to run as root. A root caller's PostgreSQL runs as `nobody`, which must be able to
pass through every folder above its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mosaic_deploy.platform.faults import ProcessFault

SHARED_FOLDER = Path("/var/lib/mosaic-deploy")


@dataclass(frozen=True)
class OsUser:
    """The user PostgreSQL runs as; `is_other_user` says whether that is another one than ours."""

    uid: int
    gid: int
    is_other_user: bool

    def popen_arguments(self) -> dict[str, Any]:
        """What `subprocess` needs to run a program as this user, readable by nobody else."""
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
        "PostgreSQL will not run as root, and this system has no user `nobody`",
        "run mosaic-deploy as an ordinary user",
    )


def choose_postgres_folder(home: Path, account: OsUser) -> Path:
    """Where PostgreSQL's part goes: inside the home where its user gets in, else under /var/lib."""
    if not account.is_other_user or can_traverse(home, account):
        return home / "postgres"
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return SHARED_FOLDER / digest


def create_postgres_folder(folder: Path, account: OsUser) -> None:
    """The folder itself stays ours; PostgreSQL owns only its data in it."""
    if folder.parent == SHARED_FOLDER:
        SHARED_FOLDER.mkdir(parents=True, exist_ok=True, mode=0o711)
        SHARED_FOLDER.chmod(0o711)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711 if account.is_other_user else 0o700)


def can_traverse(folder: Path, account: OsUser) -> bool:
    """Whether the account may walk from / into `folder`, by permission bits."""
    return all(_is_traversable(step.stat(), account) for step in (folder, *folder.resolve().parents))


def _is_traversable(entry: os.stat_result, account: OsUser) -> bool:
    if entry.st_uid == account.uid:
        return bool(entry.st_mode & stat.S_IXUSR)
    if entry.st_gid == account.gid:
        return bool(entry.st_mode & stat.S_IXGRP)
    return bool(entry.st_mode & stat.S_IXOTH)


def delete_postgres_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if folder.parent == SHARED_FOLDER and SHARED_FOLDER.is_dir() and not any(SHARED_FOLDER.iterdir()):
        # Another home may be moving in right now.
        with contextlib.suppress(OSError):
            SHARED_FOLDER.rmdir()
