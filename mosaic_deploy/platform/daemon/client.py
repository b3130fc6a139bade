"""Starts, finds, calls and stops the daemon from another process. Imports only the standard library."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.machine import state_folder

Document = dict[str, Any]

START_TIMEOUT_SECONDS = 600.0
"""Recovery after a crash takes minutes with hundreds of projects."""
_STOP_TIMEOUT_SECONDS = 45.0


def launch_daemon(folder: Path, port: int | None, settings: Mapping[str, str] | None = None) -> Document:
    """Starts the daemon and waits until it is ready. Returns the platform's document; raises ProcessFault.

    `settings` are those of an earlier run; by default they come from the environment.
    """
    reading, writing = os.pipe()
    command = [sys.executable, "-P", "-m", "mosaic_deploy.platform", "serve", "--report-to", str(writing)]
    if port is not None:
        command += ["--port", str(port)]
    handle = os.open(folder / "platform.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "ab") as log:
        daemon = subprocess.Popen(
            command,
            env={**state_folder.environment_with_settings(os.environ, settings), "MOSAIC_HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[writing],
            start_new_session=True,
        )
    os.close(writing)
    try:
        report = _read_report(reading)
    finally:
        os.close(reading)
    # It outlives this process on purpose: no ResourceWarning.
    daemon.returncode = 0
    if report is None:
        raise ProcessFault("start_failed", "the platform didn't start", log_hint(folder))
    if "error" in report:
        error = report["error"]
        raise ProcessFault(error["code"], error["message"], error["hint"] or log_hint(folder))
    return report


def _read_report(reading: int) -> Document | None:
    """The daemon's document; None if it ended or timed out without sending one."""
    received = b""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(reading, 65536) if ready else b""
        if not chunk:
            break
        received += chunk
    try:
        document: Document = json.loads(received)
    except ValueError:
        return None
    return document


def find_running(folder: Path) -> Document | None:
    """The running platform's document, if it answers and belongs to this data folder."""
    document = state_folder.read_platform(folder) if state_folder.is_locked(folder / "serve.lock") else None
    if document is None:
        return None
    code, body = request_json(document, "GET", "/healthz", timeout=5)
    if code == 200 and body.get("home_id") == document.get("home_id"):
        return {**document, "status": "running"}
    return None


def request_json(document: Document, method: str, path: str, timeout: float) -> tuple[int, Document]:
    """(status, JSON body); status 0 if there is no response."""
    connection = http.client.HTTPConnection("127.0.0.1", document["port"], timeout=timeout)
    try:
        connection.request(method, path, headers={"X-API-Key": document["api_key"]})
        response = connection.getresponse()
        body = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError):
        return 0, {}
    else:
        return response.status, body if isinstance(body, dict) else {}
    finally:
        connection.close()


def stop_unhealthy(folder: Path) -> None:
    """Stops a daemon that holds the lock but doesn't answer, unless it becomes healthy within 15 seconds."""
    lock = folder / "serve.lock"
    deadline = time.monotonic() + 15
    while state_folder.is_locked(lock) and time.monotonic() < deadline:
        if find_running(folder):
            return
        time.sleep(0.1)
    if state_folder.is_locked(lock):
        _terminate_daemon(folder)


def stop_all(folder: Path, *, graceful: bool = True) -> None:
    """Stops the daemon and PostgreSQL. Without `graceful`, kills both at once: only if their data is deleted next."""
    from mosaic_deploy.platform.postgres.postmaster import stop_postmaster

    _terminate_daemon(folder, graceful=graceful)
    state = state_folder.read_state_or_none(folder)
    if state is not None:
        # A daemon that was killed leaves PostgreSQL running.
        stop_postmaster(Path(state.postgres_folder) / "data", graceful=graceful)


def _terminate_daemon(folder: Path, *, graceful: bool = True) -> None:
    """Sends SIGTERM, then SIGKILL. The lock shows whether the daemon is alive: its PID may belong to another program by
    now."""
    lock = folder / "serve.lock"
    steps = ((signal.SIGTERM, _STOP_TIMEOUT_SECONDS), (signal.SIGKILL, 5.0))
    for number, timeout_seconds in steps if graceful else steps[1:]:
        deadline = time.monotonic() + timeout_seconds
        sent = 0
        while state_folder.is_locked(lock):
            pid = _daemon_pid(folder)
            if pid and pid != sent:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
                sent = pid
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        else:
            return
    raise ProcessFault("stop_failed", "the platform didn't stop", log_hint(folder))


def _daemon_pid(folder: Path) -> int:
    try:
        return int((folder / "serve.pid").read_text())
    except (OSError, ValueError):
        return 0


def port_change_note(old_state: state_folder.PlatformState | None, port: int, *, requested: bool) -> Document:
    """`port_changed`, a sentence, if the platform doesn't listen on its earlier port, or on the default one."""
    old = old_state.port if old_state else 0
    if requested:
        text = f"using port {port} instead of {old}" if old not in (0, port) else ""
    else:
        expected = old or state_folder.DEFAULT_PORT
        text = f"port {expected} is in use; using {port}" if port != expected else ""
    if not text:
        return {}
    return {"port_changed": text + ("; site and file URLs change" if old else "")}


def log_hint(folder: Path) -> str:
    return f"see {folder / 'platform.log'}"
