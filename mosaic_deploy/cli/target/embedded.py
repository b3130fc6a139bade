"""Starting and asking the embedded platform: another process, known by its contract alone.

`python -m mosaic_deploy.platform COMMAND` prints one JSON document; a running platform keeps `platform.json`
in its home, so that finding it costs no process.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mosaic_deploy.errors import PlatformFailed

_REQUIRED_PACKAGES = ("jinja2", "obstore", "pg0", "psycopg", "psycopg_pool", "starlette", "uvicorn")
_START_TIMEOUT = 180.0
"""Seconds: the first start unpacks PostgreSQL, which a slow disk may stretch."""


SERVE_COMMAND = (
    "mosaic-deploy platform serve --database-url postgresql://USER:PASSWORD@HOST/postgres --store file:///FOLDER"
    " --base-domain http://localhost:8787 --smtp smtp://localhost/?from=YOU@example.com"
)
"""The whole command for a PostgreSQL of one's own."""
_SERVE_HINT = (
    f"; where PostgreSQL has no wheel for this system, serve on a server of your own: {SERVE_COMMAND}"
)


@dataclass(frozen=True, slots=True)
class EmbeddedPlatform:
    url: str
    api_key: str
    address_notice: str = ""
    """In words, where it was started now and listens elsewhere than before."""

    def __repr__(self) -> str:
        return f"Embedded({self.url!r})"


def platform_home() -> Path:
    """Where the platform keeps everything: `MOSAIC_HOME`, else the usual place of the system."""
    if chosen := os.environ.get("MOSAIC_HOME"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/mosaic-deploy").expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path("~/.local/share").expanduser()) / "mosaic-deploy"


def ensure_started() -> EmbeddedPlatform:
    """The running platform, started first if need be. Raises PlatformFailed."""
    found = _find_running()
    if found is None:
        found = run_platform_command("start")
    return EmbeddedPlatform(str(found["url"]), str(found["api_key"]), str(found.get("port_changed") or ""))


def read_inbox() -> list[dict[str, Any]]:
    """The newest mails of the running platform, the newest first, with their texts and links.

    Raises PlatformFailed where it isn't running.
    """
    found = _find_running()
    if found is None:
        raise PlatformFailed("the embedded platform isn't running", hint="mosaic-deploy local start")
    opener = _direct_opener()
    opener.addheaders = [("X-API-Key", str(found["api_key"]))]
    try:
        with opener.open(f"{found['url']}/inbox.json", timeout=10) as response:
            emails: list[dict[str, Any]] = json.load(response)["emails"]
    except (OSError, ValueError, KeyError) as error:
        raise PlatformFailed(f"the inbox can't be read: {error}") from None
    return emails


def dashboard_link() -> str | None:
    """A link that opens the platform's pages in one browser, once; None where it can't be had."""
    try:
        return str(run_platform_command("open")["url"])
    except PlatformFailed:
        return None


def run_platform_command(
    *arguments: str,
    timeout: float | None = _START_TIMEOUT,
    environment: Mapping[str, str] | None = None,
    embedded: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Runs one command of the platform and returns its document. Raises PlatformFailed.

    `on_progress` is told how far it is, in bytes done and of how many; of commands that copy, and without a `timeout`.

    `environment` is added to ours; secrets go there, as every user of the machine sees arguments. What isn't
    `embedded` needs no PostgreSQL of its own.
    """
    _require_packages([name for name in _REQUIRED_PACKAGES if embedded or name != "pg0"])
    command = [sys.executable, "-m", "mosaic_deploy.platform", *arguments]
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
            f"the embedded platform did not answer to {arguments[0]!r} within {timeout or 0:.0f} s",
            hint=f"its log is {platform_home() / 'platform.log'}",
        ) from None
    return _parse_document(ended)


def _run_with_progress(
    command: Sequence[str], on_progress: Callable[[int, int], None]
) -> subprocess.CompletedProcess[str]:
    """The command when it has ended, with its last line on stdout: those before it tell how far it was."""
    last = ""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                last = line
                if progress := _parse_progress(line):
                    on_progress(*progress)
        except BaseException:
            # Nobody listens any more: by that it ends, and puts right what it has begun, which takes its time.
            process.stdout.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_START_TIMEOUT)
            raise
        code = process.wait()
        said.seek(0)
        return subprocess.CompletedProcess(command, code, last, said.read())


def _parse_progress(line: str) -> tuple[int, int] | None:
    try:
        told = json.loads(line)
        return int(told["done"]), int(told["total"])
    except (ValueError, KeyError, TypeError):
        return None


def _parse_document(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    try:
        document = json.loads(ended.stdout)
    except ValueError:
        lines = (ended.stderr or ended.stdout).strip().splitlines()
        said = lines[-1] if lines else f"exit code {ended.returncode}"
        raise PlatformFailed(
            f"the embedded platform failed: {said}", hint=f"its log is {platform_home() / 'platform.log'}"
        ) from None
    error = document.get("error")
    if error:
        raise PlatformFailed(str(error.get("message")), hint=error.get("hint"))
    assert isinstance(document, dict)
    return document


def _find_running() -> dict[str, Any] | None:
    """The document of a platform that answers for this home, without starting a process."""
    try:
        document = json.loads((platform_home() / "platform.json").read_text())
        with _direct_opener().open(f"{document['url']}/healthz", timeout=2) as response:
            health = json.load(response)
    except (OSError, ValueError, KeyError):
        return None
    same = health.get("status") == "ok" and health.get("home_id") == document.get("home_id")
    return document if same else None


def read_platform_file() -> dict[str, Any] | None:
    """What a running platform says of itself, with its address and key of now; its health isn't asked for."""
    try:
        document: dict[str, Any] = json.loads((platform_home() / "platform.json").read_text())
    except (OSError, ValueError):
        return None
    return document


def _direct_opener() -> urllib.request.OpenerDirector:
    """Without the environment's proxies: they don't reach this machine's own addresses."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def running_url() -> str | None:
    """Where the platform answers, None where it doesn't run. Starts nothing."""
    found = _find_running()
    return str(found["url"]) if found else None


def missing_packages(needed: Iterable[str] = _REQUIRED_PACKAGES) -> list[str]:
    """What of `needed`, by default what the platform needs, isn't installed."""
    return [name for name in needed if importlib.util.find_spec(name) is None]


def _require_packages(needed: list[str]) -> None:
    if missing := missing_packages(needed):
        from mosaic_deploy.installed import install_command

        extra = "local" if "pg0" in needed else "serve"
        raise PlatformFailed(
            f"the platform needs packages that aren't installed: {', '.join(missing)}",
            hint=install_command(extra) + (_SERVE_HINT if missing == ["pg0"] else ""),
        )
