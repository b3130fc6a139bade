"""Finds the embedded platform of this machine, or starts it.

A running platform has a `platform.json` in its home, so that finding it needs no process.
"""

from __future__ import annotations

import json
import socket
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mosaic_deploy.cli.next_commands import current_output_format
from mosaic_deploy.cli.render.layout import write_lines
from mosaic_deploy.cli.target.platform_process import platform_home, run_platform_command
from mosaic_deploy.errors import MosaicError, NextAction, PlatformFailed, PlatformNotRunning
from mosaic_deploy.user_cache import cache_folder
from mosaic_deploy.version import __version__


@dataclass(frozen=True, slots=True)
class EmbeddedPlatform:
    url: str
    api_key: str
    address_notice: str = ""
    """A message if it was started now and listens on another port than before."""

    def __repr__(self) -> str:
        return f"EmbeddedPlatform({self.url!r})"


def ensure_started() -> EmbeddedPlatform:
    """The running platform, started if needed. Raises PlatformFailed and the errors of `run_platform_command`."""
    found = _find_running(platform_home())
    if found is None:
        announce_start()
        found = run_platform_command("start")
    return EmbeddedPlatform(str(found["url"]), str(found["api_key"]), str(found.get("port_changed") or ""))


def announce_start() -> None:
    """Says at a terminal that the platform is being started, which takes seconds."""
    first = not (platform_home() / "platform.json").exists()
    _announce(f"Starting the embedded platform…{' The first start unpacks PostgreSQL.' if first else ''}")


def _announce(text: str) -> None:
    if sys.stderr.isatty() and current_output_format() == "text":
        write_lines(sys.stderr, [text])


def ensure_rehearsals_started() -> EmbeddedPlatform:
    """The platform on which plans for other platforms are rehearsed. It stops itself when it isn't used.

    It has a home of its own in the cache, so a rehearsal never touches the user's projects. Raises as `ensure_started`.
    """
    home = cache_folder() / "rehearsals"
    environment = {
        "MOSAIC_HOME": str(home),
        "MOSAIC_LOCAL_IDLE": _REHEARSALS_IDLE_SECONDS,
        **dict.fromkeys(("MOSAIC_LOCAL_SQL", "MOSAIC_SMTP_URL"), ""),
    }
    found = _find_running(home)
    try:
        if found is not None and found.get("version") != __version__:
            run_platform_command("stop", environment=environment)
            found = None
        if found is None:
            _announce("Starting PostgreSQL for the rehearsal…")
            # Not the usual port, which the user's own platform prefers.
            found = run_platform_command("start", "--port", str(_free_port()), environment=environment)
    except PlatformFailed as error:
        error.hint = f"if that happens again, delete {home}: it is a cache, and is made again"
        raise
    return EmbeddedPlatform(str(found["url"]), str(found["api_key"]))


_REHEARSALS_IDLE_SECONDS = "600"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def read_inbox() -> list[dict[str, Any]]:
    """The emails of the running platform, newest first, with text and links.

    Raises PlatformNotRunning, PlatformFailed.
    """
    found = _find_running(platform_home())
    if found is None:
        raise PlatformNotRunning(
            "the embedded platform isn't running",
            next_actions=[NextAction("start it", "mosaic-deploy local start")],
        )
    opener = _direct_opener()
    opener.addheaders = [("X-API-Key", str(found["api_key"]))]
    try:
        with opener.open(f"{found['url']}/inbox.json", timeout=10) as response:
            emails: list[dict[str, Any]] = json.load(response)["emails"]
    except (OSError, ValueError, KeyError) as error:
        raise PlatformFailed(f"can't read the inbox: {error}") from None
    return emails


def dashboard_link() -> str | None:
    """A single-use link to the dashboard, None if the platform returns none."""
    try:
        return str(run_platform_command("open")["url"])
    except MosaicError:
        return None


def _find_running(home: Path) -> dict[str, Any] | None:
    """The `platform.json` of the platform that runs for this home; starts no process."""
    document = _read_document(home / "platform.json") or {}
    try:
        with _direct_opener().open(f"{document['url']}/healthz", timeout=2) as response:
            health = json.load(response)
    except (OSError, ValueError, KeyError):
        return None
    same = health.get("status") == "ok" and health.get("home_id") == document.get("home_id")
    return document if same else None


def read_platform_file() -> dict[str, Any] | None:
    """The current `platform.json`, with URL and key; doesn't check whether the platform responds."""
    return _read_document(platform_home() / "platform.json")


def _read_document(path: Path) -> dict[str, Any] | None:
    """None if the file can't be read, or isn't a JSON object."""
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _direct_opener() -> urllib.request.OpenerDirector:
    """An opener without proxies, which can't reach this machine's loopback addresses."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def running_url() -> str | None:
    """The URL of the running platform, None if it isn't running."""
    found = _find_running(platform_home())
    return str(found["url"]) if found else None
