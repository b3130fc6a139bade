"""Runs commands of the platform, which is another process and isn't imported.

`python -m mosaic_deploy.platform COMMAND` prints one JSON document.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mosaic_deploy.errors import (
    AccountNotFound,
    BackupInvalid,
    FileExists,
    MosaicError,
    PackageMissing,
    PlatformAlreadyRunning,
    PlatformFailed,
    PlatformNotRunning,
    PortUnavailable,
    ProjectNotFound,
    SourceUnreadable,
    WriteFailed,
)

_REQUIRED_PACKAGES = ("jinja2", "obstore", "pg0", "psycopg", "psycopg_pool", "starlette", "uvicorn")
_START_TIMEOUT = 180.0
"""Seconds; the first start unpacks PostgreSQL, possibly to a slow disk."""


SERVE_COMMAND = (
    "mosaic-deploy platform serve --database-url postgresql://USER:PASSWORD@HOST/postgres --store file:///FOLDER"
    " --base-domain http://localhost:8787 --smtp smtp://localhost/?from=YOU@example.com"
)
"""The complete command for an own PostgreSQL server."""
_SERVE_HINT = f"; if there is no PostgreSQL wheel for this system, use your own server: {SERVE_COMMAND}"


_ERRORS: Mapping[str, type[MosaicError]] = {
    "project_not_found": ProjectNotFound,
    "account_not_found": AccountNotFound,
    **dict.fromkeys(("key_missing", "nothing_to_back_up"), PlatformNotRunning),
    "already_running": PlatformAlreadyRunning,
    **dict.fromkeys(("local_not_installed", "postgres_missing"), PackageMissing),
    **dict.fromkeys(("port_unavailable", "address_unusable"), PortUnavailable),
    "backup_exists": FileExists,
    "backup_unreadable": SourceUnreadable,
    **dict.fromkeys(("backup_damaged", "backup_too_new", "backup_of_another_system"), BackupInvalid),
    **dict.fromkeys(("backup_failed", "restore_failed", "disk_full", "home_not_writable"), WriteFailed),
}
"""Error codes of the platform's process → error classes; PlatformFailed for all others."""


def platform_home() -> Path:
    """The platform's data folder: `MOSAIC_HOME`, else the system's default."""
    if chosen := os.environ.get("MOSAIC_HOME"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/mosaic-deploy").expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path("~/.local/share").expanduser()) / "mosaic-deploy"


def run_platform_command(
    *arguments: str,
    timeout: float | None = _START_TIMEOUT,
    environment: Mapping[str, str] | None = None,
    embedded: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Runs one command of the platform and returns its document. Raises the error that fits the command's error code.

    `on_progress` gets the bytes done and the total; only for commands that copy, without a `timeout`. `environment`
    is added to this process's; pass secrets there, because other users can see arguments. Not `embedded` means that
    the command doesn't need the PostgreSQL package.
    """
    _require_packages([name for name in _REQUIRED_PACKAGES if embedded or name != "pg0"])
    command = [sys.executable, "-P", "-m", "mosaic_deploy.platform", *arguments]
    if on_progress is not None:
        return _parse_document(_run_with_progress([*command, "--progress"], on_progress))
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **(environment or {})},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PlatformFailed(
            f"the embedded platform didn't respond to {arguments[0]!r} within {timeout or 0:.0f} s",
            hint=f"see its log: {platform_home() / 'platform.log'}",
        ) from None
    return _parse_document(ended)


def _run_with_progress(
    command: Sequence[str], on_progress: Callable[[int, int], None]
) -> subprocess.CompletedProcess[str]:
    """The completed command with the last line of its stdout; the lines before it are its progress."""
    last = ""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as stderr,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                last = line
                if progress := _parse_progress(line):
                    on_progress(*progress)
        except BaseException:
            # Closing the pipe makes the command stop and undo what it has begun, which takes a while.
            process.stdout.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_START_TIMEOUT)
            raise
        code = process.wait()
        stderr.seek(0)
        return subprocess.CompletedProcess(command, code, last, stderr.read())


def _parse_progress(line: str) -> tuple[int, int] | None:
    try:
        progress = json.loads(line)
        return int(progress["done"]), int(progress["total"])
    except (ValueError, KeyError, TypeError):
        return None


def _parse_document(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    try:
        document = json.loads(ended.stdout)
    except ValueError:
        lines = (ended.stderr or ended.stdout).strip().splitlines()
        reason = lines[-1] if lines else f"exit code {ended.returncode}"
        raise PlatformFailed(
            f"the embedded platform failed: {reason}", hint=f"see its log: {platform_home() / 'platform.log'}"
        ) from None
    error = document.get("error")
    if error:
        raise _ERRORS.get(str(error.get("code")), PlatformFailed)(
            str(error.get("message")), hint=error.get("hint")
        )
    assert isinstance(document, dict)
    return document


def missing_packages(needed: Iterable[str] = _REQUIRED_PACKAGES) -> list[str]:
    """The packages in `needed` that aren't installed."""
    return [name for name in needed if importlib.util.find_spec(name) is None]


def _require_packages(needed: list[str]) -> None:
    if missing := missing_packages(needed):
        from mosaic_deploy.installed import install_command

        extra = "local" if "pg0" in needed else "serve"
        raise PackageMissing(
            f"the platform needs packages that aren't installed: {', '.join(missing)}",
            hint=install_command(extra) + (_SERVE_HINT if missing == ["pg0"] else ""),
        )
