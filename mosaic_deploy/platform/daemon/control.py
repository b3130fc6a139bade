"""How much lies on disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from urllib.parse import quote

from mosaic_deploy.platform.daemon.client import (
    START_TIMEOUT_SECONDS,
    Document,
    find_running,
    launch_daemon,
    log_hint,
    request_json,
    stop_all,
    stop_unhealthy,
)
from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.machine import state_folder
from mosaic_deploy.platform.machine.state_folder import PlatformState
from mosaic_deploy.version import __version__


def sizes(folder: Path, state: PlatformState | None) -> dict[str, int]:
    """Bytes on disk."""
    return {
        "databases": _tree_size(Path(state.postgres_folder) / "data") if state else 0,
        "files": _tree_size(folder / "store"),
        "logs": sum(_file_size(path) for path in _logs(folder, state)),
    }


def _logs(folder: Path, state: PlatformState | None) -> list[Path]:
    theirs = Path(state.postgres_folder).glob("postgres.log*") if state else ()
    return [*folder.glob("platform.log*"), *theirs]


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


def start(folder: Path, port: int | None) -> Document:
    """Start in the background unless it runs; returns when it is healthy. Two at once: one starts, both report."""
    state_folder.create_home(folder)
    if running := find_running(folder):
        return running
    with state_folder.file_lock(folder / "start.lock", wait=START_TIMEOUT_SECONDS) as acquired:
        if not acquired:
            raise ProcessFault(
                "start_busy", "another start has been under way for two minutes", log_hint(folder)
            )
        if running := find_running(folder):
            return running
        stop_unhealthy(folder)
        old_state = state_folder.read_state_or_none(folder)
        started = {**launch_daemon(folder, port), "status": "started"}
        return {**started, **port_change_report(old_state, started["port"], asked=port)}


def port_change_report(
    old_state: state_folder.PlatformState | None, port: int, *, asked: int | None = None
) -> Document:
    """`moved`, in words, where the platform listens elsewhere than it did, or than it does by default."""
    old = old_state.port if old_state else 0
    expected = old or asked or state_folder.DEFAULT_PORT
    if port == expected:
        return {}
    why = "" if asked else f"port {expected} is taken; "
    whose = f"of sites and files end in :{port} now" + (f", no longer in :{old}" if old else "")
    return {"moved": f"{why}addresses {whose}"}


def stop(folder: Path) -> Document:
    """Stop web server and PostgreSQL, whatever state they are in. Nothing running is fine."""
    if folder.is_dir() and state_folder.read_state(folder) is not None:
        with state_folder.file_lock(folder / "start.lock", wait=START_TIMEOUT_SECONDS):
            stop_all(folder)
    return {"status": "stopped"}


def status(folder: Path) -> Document:
    """What runs, or last ran. Starts nothing, changes nothing."""
    running = find_running(folder)
    document = running or state_folder.read_platform(folder) or {}
    state = state_folder.read_state(folder)
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
    known["sizes"] = sizes(folder, state)
    known["data_bytes"] = known["sizes"]["databases"] + known["sizes"]["files"]
    return known


def open_dashboard(folder: Path) -> Document:
    """A link that opens the pages in one browser, once. The platform is started where it doesn't run."""
    document = start(folder, None)
    code, body = request_json(document, "POST", "/open", timeout=10)
    if code != 200:
        raise ProcessFault("open_failed", f"the platform answered {code or 'nothing'}", log_hint(folder))
    return {"url": body["url"], "expires_in": body["expires_in"]}


def show_key(folder: Path) -> Document:
    """The current API key, as it lies in the home. Needs no running platform."""
    state = state_folder.read_state(folder)
    if state is None:
        raise ProcessFault(
            "key_missing", f"there is no platform in {folder}", "make one with `mosaic-deploy local start`"
        )
    return {"api_key": state.api_key}


def rotate_key(folder: Path) -> Document:
    """A new key in place of the current one. The platform is started where it doesn't run."""
    document = start(folder, None)
    code, body = request_json(document, "POST", "/key/rotate", timeout=30)
    if code != 200:
        raise ProcessFault("rotation_failed", f"the platform answered {code or 'nothing'}", log_hint(folder))
    return body


def reset(folder: Path, project_id: str | None) -> Document:
    """Delete everything, or one project. Asks nothing."""
    if project_id is not None:
        return _reset_project(folder, project_id)
    if not folder.is_dir():
        return {"status": "reset"}
    with state_folder.file_lock(folder / "start.lock", wait=START_TIMEOUT_SECONDS):
        state = state_folder.read_state_or_none(folder)
        if state is not None:
            stop_all(folder, graceful=False)
            _delete_postgres(Path(state.postgres_folder))
        for name in ("store", "store.restored", "postgres"):
            shutil.rmtree(folder / name, ignore_errors=True)
        for name in ("state.json", "restore.json", "settings.json", "platform.json", "serve.pid"):
            (folder / name).unlink(missing_ok=True)
        for path in folder.glob("platform.log*"):
            path.unlink(missing_ok=True)
    return {"status": "reset"}


def _reset_project(folder: Path, project_id: str) -> Document:
    """The server deletes it; one that was not running runs only for this."""
    was_running = find_running(folder)
    if was_running is None and state_folder.read_state(folder) is None:
        raise ProcessFault("project_not_found", f"there is no project {project_id!r}")
    document = was_running or start(folder, None)
    try:
        path = "/v1/project/projects/" + quote(project_id, safe="")
        code, body = request_json(document, "DELETE", path, timeout=60)
    finally:
        if was_running is None:
            stop(folder)
    if code == 404:
        raise ProcessFault("project_not_found", f"there is no project {project_id!r}")
    if code != 200:
        message = body.get("error", {}).get("message", f"the platform answered {code}")
        raise ProcessFault("reset_failed", message, log_hint(folder))
    return {"status": "reset", "project_id": project_id}


def _count_projects(document: Document) -> int | None:
    code, body = request_json(document, "GET", "/v1/project/projects", timeout=5)
    return len(body["projects"]) if code == 200 else None


def _delete_postgres(folder: Path) -> None:
    from mosaic_deploy.platform.machine.os_user import delete_postgres_folder

    delete_postgres_folder(folder)
