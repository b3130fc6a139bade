"""The state folder: where it is, what is remembered in it, and its locks.

<home>/state.json      private: keys, ports, where PostgreSQL's part lies (0600)
<home>/platform.json   the running platform as `start` reports it (0600)
<home>/settings.json   what this run was told by its environment (0600)
<home>/platform.log    what the daemon says
<home>/store/          bytes of static files and stored objects
<home>/postgres/       installation, data and log of PostgreSQL, unless it had to go elsewhere
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mosaic_deploy.platform.faults import ProcessFault

DEFAULT_PORT = 8787
SETTING_VARIABLES = ("MOSAIC_SMTP_URL", "MOSAIC_LOCAL_SQL", "MOSAIC_LOCAL_STORAGE", "MOSAIC_LOCAL_EMAILS")
"""Variables that hold for one run, from its start to `local stop`."""


@dataclass(frozen=True)
class PlatformState:
    """What must be the same at the next start. Never printed."""

    home_id: str
    api_key: str
    signing_key: str
    postgres_password: str
    postgres_folder: str
    postgres_port: int = 0
    port: int = 0


def home_folder() -> Path:
    """`MOSAIC_HOME`, else the platform's usual place. Absolute; need not exist."""
    if given := os.environ.get("MOSAIC_HOME"):
        return Path(given).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "mosaic-deploy"
    data = os.environ.get("XDG_DATA_HOME")
    base = Path(data) if data and Path(data).is_absolute() else Path.home() / ".local" / "share"
    return base / "mosaic-deploy"


def create_home(home: Path) -> None:
    """Make the folder; a root caller's stays passable, so that an unprivileged PostgreSQL can live in it."""
    try:
        if not home.exists():
            home.mkdir(parents=True)
            home.chmod(0o711 if os.geteuid() == 0 else 0o700)
        probe = home / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ProcessFault(
            "home_not_writable",
            f"the state folder {home} can't be written: {error.strerror or error}",
            "set MOSAIC_HOME to a folder you own",
        ) from error


def new_state(postgres_folder: Path) -> PlatformState:
    return PlatformState(
        home_id=secrets.token_hex(8),
        api_key="mk_" + secrets.token_urlsafe(32),
        signing_key=secrets.token_hex(32),
        postgres_password=secrets.token_urlsafe(24),
        postgres_folder=str(postgres_folder),
    )


def read_state(home: Path) -> PlatformState | None:
    """None when the platform has never started here."""
    document = _read_json(home / "state.json")
    if document is None:
        return None
    try:
        return parse_state(document)
    except TypeError as error:
        raise _damaged(home / "state.json") from error


def parse_state(document: dict[str, Any]) -> PlatformState:
    """Raises TypeError where something is missing."""
    known = {field.name for field in fields(PlatformState)}
    return PlatformState(**{name: value for name, value in document.items() if name in known})


def read_state_or_none(home: Path) -> PlatformState | None:
    """For what must work on a damaged home, too."""
    try:
        return read_state(home)
    except ProcessFault:
        return None


def has_state(home: Path) -> bool:
    """Whether a platform has ever started here, whatever has become of it."""
    return (home / "state.json").exists()


def write_state(home: Path, state: PlatformState) -> None:
    write_private_json(home / "state.json", asdict(state))


def read_platform(home: Path) -> dict[str, Any] | None:
    """The last running platform's document, or None."""
    return _read_json(home / "platform.json")


def write_platform(home: Path, document: dict[str, Any]) -> None:
    write_private_json(home / "platform.json", document)


def write_settings(home: Path) -> None:
    """Of this very process. They may hold a password."""
    settings = {name: os.environ[name] for name in SETTING_VARIABLES if os.environ.get(name)}
    write_private_json(home / "settings.json", settings)


def read_settings(home: Path) -> dict[str, str]:
    """Of the last run."""
    return {name: str(value) for name, value in (_read_json(home / "settings.json") or {}).items()}


def environment_with_settings(
    environment: Mapping[str, str], settings: Mapping[str, str] | None
) -> dict[str, str]:
    """The environment with these settings instead of its own; with its own where there are none to go on with."""
    if settings is None:
        return dict(environment)
    others = {name: value for name, value in environment.items() if name not in SETTING_VARIABLES}
    return {**others, **settings}


def write_private_json(path: Path, document: dict[str, Any]) -> None:
    """Atomic for readers, and readable by the owner alone from the first byte."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(document, stream, indent=2)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def read_private_json(path: Path) -> dict[str, Any] | None:
    """None where there is no such file; ProcessFault where it can't be read."""
    return _read_json(path)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _damaged(path) from error
    if not isinstance(document, dict):
        raise _damaged(path)
    return document


def _damaged(path: Path) -> ProcessFault:
    return ProcessFault(
        "state_damaged",
        f"{path} can't be read",
        "restore it from a backup, or start over with `mosaic-deploy local reset`",
    )


@contextmanager
def file_lock(path: Path, *, wait: float) -> Iterator[bool]:
    """Hold an exclusive lock on `path` for the block; yields False when it wasn't had within `wait` seconds.

    The kernel releases it when the holder dies, so no lock is ever stale.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield _acquire(handle, time.monotonic() + wait)
    finally:
        os.close(handle)


def hold_lock_until_exit(path: Path) -> bool:
    """Take the lock until this process has ended; False when another one has it.

    The handle is left open on purpose: with the lock gone, the process is gone too.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if _acquire(handle, time.monotonic()):
        return True
    os.close(handle)
    return False


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock. Writes nothing."""
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _acquire(handle, time.monotonic())
    finally:
        os.close(handle)


def _acquire(handle: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        else:
            return True
