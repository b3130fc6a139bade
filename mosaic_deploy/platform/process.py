"""Start, stop, status and reset: the platform as a background process of this user.

Only the standard library is imported here, so that asking is quick.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mosaic_deploy.platform import home
from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.version import __version__

Document = dict[str, Any]

_START_PATIENCE = 120.0
_STOP_PATIENCE = 45.0


def start(folder: Path, port: int | None) -> Document:
    """Start in the background unless it runs; returns when it is healthy. Two at once: one starts, both report."""
    home.create_home(folder)
    if running := find_running(folder):
        return running
    with home.locked(folder / "start.lock", wait=_START_PATIENCE) as mine:
        if not mine:
            raise ProcessFault(
                "start_busy", "another start has been under way for two minutes", log_hint(folder)
            )
        if running := find_running(folder):
            return running
        _end_unhealthy(folder)
        return {**launch(folder, port), "status": "started"}


def stop(folder: Path) -> Document:
    """Stop web server and PostgreSQL, whatever state they are in. Nothing running is fine."""
    if folder.is_dir() and home.read_state(folder) is not None:
        with home.locked(folder / "start.lock", wait=_START_PATIENCE):
            stop_all(folder)
    return {"status": "stopped"}


def status(folder: Path) -> Document:
    """What runs, or last ran. Starts nothing, changes nothing."""
    running = find_running(folder)
    document = running or home.read_platform(folder) or {}
    state = home.read_state(folder)
    known: Document = {
        "url": None,
        "api_key": state.api_key if state else None,
        "pid": None,
        "port": state.port or None if state else None,
        "postgres_port": None,
        "home": str(folder),
        "version": __version__,
        "versions": {"platform": __version__},
    }
    known.update(document)
    if not running:
        known["pid"] = None
    known["status"] = "running" if running else "stopped"
    known["projects"] = _count_projects(running) if running else None
    known["sizes"] = _sizes(folder, state)
    known["data_bytes"] = known["sizes"]["databases"] + known["sizes"]["files"]
    return known


def open_pages(folder: Path) -> Document:
    """A link that opens the pages in one browser, once. The platform is started where it doesn't run."""
    document = start(folder, None)
    code, answer = _request(document, "POST", "/open", timeout=10)
    if code != 200:
        raise ProcessFault("open_failed", f"the platform answered {code or 'nothing'}", log_hint(folder))
    return {"url": answer["url"], "expires_in": answer["expires_in"]}


def show_key(folder: Path) -> Document:
    """The current API key, as it lies in the home. Needs no running platform."""
    state = home.read_state(folder)
    if state is None:
        raise ProcessFault(
            "key_missing", f"there is no platform in {folder}", "make one with `mosaic-deploy local start`"
        )
    return {"api_key": state.api_key}


def rotate_key(folder: Path) -> Document:
    """A new key in place of the current one. The platform is started where it doesn't run."""
    document = start(folder, None)
    code, answer = _request(document, "POST", "/key/rotate", timeout=30)
    if code != 200:
        raise ProcessFault("rotation_failed", f"the platform answered {code or 'nothing'}", log_hint(folder))
    return answer


def reset(folder: Path, project_id: str | None) -> Document:
    """Delete everything, or one project. Asks nothing."""
    if project_id is not None:
        return _reset_project(folder, project_id)
    if not folder.is_dir():
        return {"status": "reset"}
    with home.locked(folder / "start.lock", wait=_START_PATIENCE):
        state = home.readable_state(folder)
        if state is not None:
            stop_all(folder, keep=False)
            _delete_postgres(Path(state.postgres_folder))
        for name in ("store", "store.restored", "postgres"):
            shutil.rmtree(folder / name, ignore_errors=True)
        for name in ("state.json", "restore.json", "platform.json", "serve.pid"):
            (folder / name).unlink(missing_ok=True)
        for path in folder.glob("platform.log*"):
            path.unlink(missing_ok=True)
    return {"status": "reset"}


def _reset_project(folder: Path, project_id: str) -> Document:
    """The server deletes it; one that was not running runs only for this."""
    was_running = find_running(folder)
    if was_running is None and home.read_state(folder) is None:
        raise ProcessFault("project_not_found", f"there is no project {project_id!r}")
    document = was_running or start(folder, None)
    try:
        path = "/v1/project/projects/" + quote(project_id, safe="")
        code, answer = _request(document, "DELETE", path, timeout=60)
    finally:
        if was_running is None:
            stop(folder)
    if code == 404:
        raise ProcessFault("project_not_found", f"there is no project {project_id!r}")
    if code != 200:
        message = answer.get("error", {}).get("message", f"the platform answered {code}")
        raise ProcessFault("reset_failed", message, log_hint(folder))
    return {"status": "reset", "project_id": project_id}


def launch(folder: Path, port: int | None) -> Document:
    """Start the daemon and wait for its report: the platform's document, or why it could not start."""
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "mosaic_deploy.platform", "serve", "--report-to", str(writing)]
    if port is not None:
        command += ["--port", str(port)]
    handle = os.open(folder / "platform.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "ab") as log:
        daemon = subprocess.Popen(
            command,
            env={**os.environ, "MOSAIC_HOME": str(folder)},
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
    # It is meant to outlive us: no warning that it does.
    daemon.returncode = 0
    if report is None:
        raise ProcessFault("start_failed", "the platform did not start", log_hint(folder))
    if "error" in report:
        error = report["error"]
        raise ProcessFault(error["code"], error["message"], error["hint"] or log_hint(folder))
    return report


def _read_report(reading: int) -> Document | None:
    """The daemon's document; None when it ended or fell silent without one."""
    received = b""
    deadline = time.monotonic() + _START_PATIENCE
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
    """The running platform's document, where it answers as the one of this home."""
    document = home.read_platform(folder) if home.is_locked(folder / "serve.lock") else None
    if document is None:
        return None
    code, answer = _request(document, "GET", "/healthz", timeout=5)
    if code == 200 and answer.get("home_id") == document.get("home_id"):
        return {**document, "status": "running"}
    return None


def _request(document: Document, method: str, path: str, timeout: float) -> tuple[int, Document]:
    """(status, JSON body); status 0 when nobody answers."""
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


def _count_projects(document: Document) -> int | None:
    code, answer = _request(document, "GET", "/v1/project/projects", timeout=5)
    return len(answer["projects"]) if code == 200 else None


def _end_unhealthy(folder: Path) -> None:
    """A daemon that holds the lock but doesn't answer is on its way up, on its way down, or stuck."""
    lock = folder / "serve.lock"
    deadline = time.monotonic() + 15
    while home.is_locked(lock) and time.monotonic() < deadline:
        if find_running(folder):
            return
        time.sleep(0.1)
    if home.is_locked(lock):
        _end_daemon(folder)


def stop_all(folder: Path, *, keep: bool = True) -> None:
    """Where nothing is to be kept, nothing is waited for: neither requests under way nor PostgreSQL's last writes."""
    from mosaic_deploy.platform.postgres import stop_postmaster

    _end_daemon(folder, graceful=keep)
    state = home.readable_state(folder)
    if state is not None:
        # Left behind by a daemon that was killed.
        stop_postmaster(Path(state.postgres_folder) / "data", keep=keep)


def _end_daemon(folder: Path, *, graceful: bool = True) -> None:
    """SIGTERM, and SIGKILL when that isn't heeded. The lock tells whether it lives: a pid alone could be
    another program's by now."""
    lock = folder / "serve.lock"
    steps = ((signal.SIGTERM, _STOP_PATIENCE), (signal.SIGKILL, 5.0))
    for number, patience in steps if graceful else steps[1:]:
        deadline = time.monotonic() + patience
        sent = 0
        while home.is_locked(lock):
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
    raise ProcessFault("stop_failed", "the platform doesn't end", log_hint(folder))


def _daemon_pid(folder: Path) -> int:
    try:
        return int((folder / "serve.pid").read_text())
    except (OSError, ValueError):
        return 0


def _delete_postgres(folder: Path) -> None:
    from mosaic_deploy.platform.account import delete_folder

    delete_folder(folder)


def _sizes(folder: Path, state: home.State | None) -> dict[str, int]:
    """Bytes on disk."""
    return {
        "databases": _tree_size(Path(state.postgres_folder) / "data") if state else 0,
        "files": _tree_size(folder / "store"),
        "logs": sum(_file_size(path) for path in folder.glob("platform.log*")),
    }


def _tree_size(place: Path) -> int:
    total = 0
    for base, _, names in os.walk(place):
        for name in names:
            total += _file_size(Path(base) / name)
    return total


def _file_size(path: Path) -> int:
    """0 where it is gone: files come and go while the server runs."""
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def log_hint(folder: Path) -> str:
    return f"see {folder / 'platform.log'}"
