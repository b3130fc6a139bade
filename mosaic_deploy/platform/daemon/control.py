"""The commands that control the embedded platform: start, stop, status, reset, key, open."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import quote

from mosaic_deploy.platform.daemon.client import (
    START_TIMEOUT_SECONDS,
    Document,
    find_running,
    launch_daemon,
    log_hint,
    port_change_note,
    request_json,
    stop_all,
    stop_unhealthy,
)
from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.machine import state_folder
from mosaic_deploy.platform.machine.sizes import file_size, tree_size
from mosaic_deploy.platform.machine.state_folder import PlatformState
from mosaic_deploy.version import __version__


def start(folder: Path, port: int | None) -> Document:
    """Starts the daemon unless it runs, and returns once it is healthy. Of two concurrent calls one starts it."""
    state_folder.create_home(folder)
    if running := find_running(folder):
        return running
    with state_folder.file_lock(folder / "start.lock", wait=START_TIMEOUT_SECONDS) as acquired:
        if not acquired:
            raise ProcessFault(
                "start_busy", "another start is still running after 10 minutes", log_hint(folder)
            )
        if running := find_running(folder):
            return running
        stop_unhealthy(folder)
        old_state = state_folder.read_state_or_none(folder)
        started = {**launch_daemon(folder, port), "status": "started"}
        return {**started, **port_change_note(old_state, started["port"], requested=port is not None)}


def stop(folder: Path) -> Document:
    """Stops the daemon and PostgreSQL in whatever state they are. Does nothing if neither runs."""
    if folder.is_dir() and state_folder.read_state(folder) is not None:
        with state_folder.file_lock(folder / "start.lock", wait=START_TIMEOUT_SECONDS):
            stop_all(folder)
    return {"status": "stopped"}


def status(folder: Path) -> Document:
    """The running platform's document, or that of the last run. Starts nothing."""
    running = find_running(folder)
    state = state_folder.read_state(folder)
    usage = _disk_usage(folder, state)
    document: Document = {
        "url": None,
        "api_key": state.api_key if state else None,
        "pid": None,
        "port": state.port or None if state else None,
        "postgres_port": None,
        "version": __version__,
        "versions": {"platform": __version__},
        **(running or state_folder.read_platform(folder) or {}),
        # Not that of the last run: the folder may have been moved or copied since.
        "home": str(folder),
        "status": "running" if running else "stopped",
        "projects": _count_projects(running) if running else None,
        "sizes": usage,
        "data_bytes": usage["databases"] + usage["files"],
    }
    return document if running else {**document, "pid": None}


def open_dashboard(folder: Path) -> Document:
    """A one-time link to the dashboard. Starts the platform if needed."""
    document = start(folder, None)
    code, body = request_json(document, "POST", "/open", timeout=10)
    if code != 200:
        raise ProcessFault("open_failed", _status_text(code), log_hint(folder))
    return {"url": body["url"], "expires_in": body["expires_in"]}


def show_key(folder: Path) -> Document:
    """The current API key, from state.json. Needs no running platform."""
    state = state_folder.read_state(folder)
    if state is None:
        raise ProcessFault(
            "key_missing", f"there is no platform in {folder}", "start it with `mosaic-deploy local start`"
        )
    return {"api_key": state.api_key}


def find_psql(folder: Path) -> Document:
    """The path of PostgreSQL's psql, and the variables that it needs. Needs no running platform."""
    from mosaic_deploy.platform.postgres.installation import ensure_installation

    state = state_folder.read_state(folder)
    if state is None:
        raise ProcessFault(
            "psql_missing", f"there is no platform in {folder}", "start it with `mosaic-deploy local start`"
        )
    installation = ensure_installation(Path(state.postgres_folder))
    needed = ("LD_LIBRARY_PATH",)
    environment = {name: value for name, value in installation.environment().items() if name in needed}
    return {"program": installation.program_path("psql"), "environment": environment}


def rotate_key(folder: Path) -> Document:
    """Replaces the current API key. Starts the platform if needed."""
    document = start(folder, None)
    code, body = request_json(document, "POST", "/key/rotate", timeout=30)
    if code != 200:
        raise ProcessFault("rotation_failed", _status_text(code), log_hint(folder))
    return body


def reset(folder: Path, project_id: str | None) -> Document:
    """Deletes everything, or one project, without confirmation."""
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
    """Deletes the project through the API. Starts the platform only for this if it isn't running."""
    was_running = find_running(folder)
    if was_running is None and state_folder.read_state(folder) is None:
        raise ProcessFault("project_not_found", f"project {project_id!r} doesn't exist")
    document = was_running or start(folder, None)
    try:
        path = "/v1/project/projects/" + quote(project_id, safe="")
        code, body = request_json(document, "DELETE", path, timeout=60)
    finally:
        if was_running is None:
            stop(folder)
    if code == 404:
        raise ProcessFault("project_not_found", f"project {project_id!r} doesn't exist")
    if code != 200:
        message = body.get("error", {}).get("message", _status_text(code))
        raise ProcessFault("reset_failed", message, log_hint(folder))
    return {"status": "reset", "project_id": project_id}


def _status_text(code: int) -> str:
    return f"the platform answered with status {code}" if code else "the platform didn't answer"


def _count_projects(document: Document) -> int | None:
    code, body = request_json(document, "GET", "/v1/project/projects", timeout=5)
    return len(body["projects"]) if code == 200 else None


def _delete_postgres(folder: Path) -> None:
    from mosaic_deploy.platform.machine.os_user import delete_postgres_folder

    delete_postgres_folder(folder)


def _disk_usage(folder: Path, state: PlatformState | None) -> dict[str, int]:
    """Bytes on disk, by kind."""
    return {
        "databases": tree_size(Path(state.postgres_folder) / "data") if state else 0,
        "files": tree_size(folder / "store"),
        "logs": sum(file_size(path) for path in _logs(folder, state)),
    }


def _logs(folder: Path, state: PlatformState | None) -> list[Path]:
    postgres_logs = Path(state.postgres_folder).glob("postgres.log*") if state else ()
    return [*folder.glob("platform.log*"), *postgres_logs]
