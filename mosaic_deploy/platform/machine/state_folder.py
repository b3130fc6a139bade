"""The state folder: its location, its files and its locks.

<home>/state.json      keys, ports and PostgreSQL's folder (0600)
<home>/platform.json   the running platform as `start` reports it (0600)
<home>/settings.json   settings of the current run from its environment (0600)
<home>/platform.log    the daemon's log
<home>/store/          contents of static files and storage files
<home>/postgres/       PostgreSQL's installation, data and log, unless its user can't reach it there
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
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.machine.postgres_owner import own_postgres_folder

DEFAULT_PORT = 8787
SETTING_VARIABLES = ("MOSAIC_SMTP_URL", "MOSAIC_LOCAL_SQL", "MOSAIC_LOCAL_STORAGE", "MOSAIC_LOCAL_EMAILS")
"""Variables that hold for one run, from its start to `local stop`."""


@dataclass(frozen=True)
class PlatformState:
    """Values kept from one start to the next. They are secret and never printed."""

    home_id: str
    api_key: str
    signing_key: str
    postgres_password: str
    postgres_folder: str
    postgres_port: int = 0
    port: int = 0


def home_folder() -> Path:
    """The absolute path of the state folder: `MOSAIC_HOME`, else the system's usual place. It may not exist."""
    if home := os.environ.get("MOSAIC_HOME"):
        return Path(home).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "mosaic-deploy"
    data = os.environ.get("XDG_DATA_HOME")
    base = Path(data) if data and Path(data).is_absolute() else Path.home() / ".local" / "share"
    return base / "mosaic-deploy"


def create_home(home: Path) -> None:
    """Create the state folder. Root's is searchable for others, because PostgreSQL runs unprivileged in it.

    Raises ProcessFault if it can't be written to.
    """
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
            f"can't write to the state folder {home}: {error.strerror or error}",
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
    """None if the platform has never started here. Raises ProcessFault if the file is damaged, or a copy whose
    databases are the original's."""
    document = read_private_json(home / "state.json")
    if document is None:
        return None
    try:
        state = parse_state(document)
    except TypeError as error:
        raise _damaged(home / "state.json") from error
    return replace(state, postgres_folder=str(own_postgres_folder(home, Path(state.postgres_folder))))


def parse_state(document: dict[str, Any]) -> PlatformState:
    """Raises TypeError if a value is missing or of another type."""
    known = {field.name: int if field.name.endswith("port") else str for field in fields(PlatformState)}
    if wrong := [name for name, value in document.items() if type(value) is not known.get(name, type(value))]:
        raise TypeError(f"{wrong[0]} has another type")
    return PlatformState(**{name: value for name, value in document.items() if name in known})


def read_state_or_none(home: Path) -> PlatformState | None:
    """For commands that must work with a damaged state folder, too."""
    try:
        return read_state(home)
    except ProcessFault:
        return None


def has_state(home: Path) -> bool:
    """Whether a platform has ever started here."""
    return (home / "state.json").exists()


def write_state(home: Path, state: PlatformState) -> None:
    write_private_json(home / "state.json", asdict(state))


def read_platform(home: Path) -> dict[str, Any] | None:
    """The document of the running, or last, platform; None if there is none."""
    return read_private_json(home / "platform.json")


def write_platform(home: Path, document: dict[str, Any]) -> None:
    write_private_json(home / "platform.json", document)


def write_settings(home: Path) -> None:
    """Save this process's settings. They may contain a password."""
    settings = {name: os.environ[name] for name in SETTING_VARIABLES if os.environ.get(name)}
    write_private_json(home / "settings.json", settings)


def read_settings(home: Path) -> dict[str, str]:
    """The settings of the last run."""
    return {name: str(value) for name, value in (read_private_json(home / "settings.json") or {}).items()}


def environment_with_settings(
    environment: Mapping[str, str], settings: Mapping[str, str] | None
) -> dict[str, str]:
    """The environment with its settings replaced by `settings`; unchanged if `settings` is None."""
    if settings is None:
        return dict(environment)
    others = {name: value for name, value in environment.items() if name not in SETTING_VARIABLES}
    return {**others, **settings}


def write_private_json(path: Path, document: dict[str, Any]) -> None:
    """Write atomically; only the owner can read the file at any time."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(document, stream, indent=2)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def read_private_json(path: Path) -> dict[str, Any] | None:
    """None if the file doesn't exist. Raises ProcessFault if it can't be read."""
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
        f"{path} is damaged or unreadable",
        "restore it from a backup, or start over with `mosaic-deploy local reset`",
    )


@contextmanager
def file_lock(path: Path, *, wait: float) -> Iterator[bool]:
    """Hold an exclusive lock on `path`; yields False if it couldn't be acquired within `wait` seconds.

    The kernel releases the lock when its holder dies, so it is never stale.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield _acquire(handle, time.monotonic() + wait)
    finally:
        os.close(handle)


def hold_lock_until_exit(path: Path) -> bool:
    """Hold the lock until this process ends; False if another process holds it.

    The handle stays open on purpose: a free lock means that the process has ended.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if _acquire(handle, time.monotonic()):
        return True
    os.close(handle)
    return False


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock. Writes nothing."""
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
