"""The daemon: starts PostgreSQL, the control database and the web server, and stops them in reverse order."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mosaic_deploy.platform.accounts.accounts import ApiKeyAuthenticator, ensure_local_account
from mosaic_deploy.platform.accounts.local_key import LocalKey, rotate_when_due
from mosaic_deploy.platform.app.server import listen, stop_event
from mosaic_deploy.platform.auth import smtp
from mosaic_deploy.platform.daemon import background_jobs, backup
from mosaic_deploy.platform.daemon.report import Report
from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.http import logs
from mosaic_deploy.platform.http.hosts import local_hosts
from mosaic_deploy.platform.http.request_journal import RequestJournal
from mosaic_deploy.platform.machine import state_folder
from mosaic_deploy.platform.machine.os_user import (
    choose_postgres_folder,
    create_postgres_folder,
    postgres_os_user,
)
from mosaic_deploy.platform.machine.ports import bind_preferred_port, bind_requested_port
from mosaic_deploy.platform.machine.postgres_owner import record_owner
from mosaic_deploy.platform.machine.state_folder import PlatformState
from mosaic_deploy.platform.postgres import clones, control_database, databases
from mosaic_deploy.platform.postgres.connections import SessionPool
from mosaic_deploy.platform.postgres.health import DatabaseHealth
from mosaic_deploy.platform.postgres.installation import Installation, ensure_installation
from mosaic_deploy.platform.postgres.server import Server
from mosaic_deploy.platform.postgres.server_log import rotate_log
from mosaic_deploy.platform.postgres.server_process import Postgres
from mosaic_deploy.platform.projects.dev_sessions import DevSessions, DraftSessions
from mosaic_deploy.platform.projects.limits import idle_seconds, local_limits
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.sql.modes import sql_modes_from_environment
from mosaic_deploy.platform.storage.object_store import folder_store
from mosaic_deploy.version import __version__

_RESTART_SECONDS = 60.0

log = logging.getLogger("mosaic_deploy.platform")


def serve(folder: Path, port: int | None, report: Report) -> None:
    """Runs in the foreground until SIGTERM or SIGINT. Calls `report` with the platform's document once it is healthy.

    Raises ProcessFault if it can't start, for example because another platform runs in the same data folder.
    """
    state_folder.create_home(folder)
    # Files are private; folders that PostgreSQL's user must enter get their permissions where they are created.
    os.umask(0o077)
    if not state_folder.hold_lock_until_exit(folder / "serve.lock"):
        raise ProcessFault("already_running", f"a platform is already running in {folder}")
    (folder / "serve.pid").write_text(str(os.getpid()))
    backup.finish_restore(folder)
    # The current folder may be unmounted or deleted later.
    os.chdir(folder)
    # libpq reads PGOPTIONS, PGSERVICE and the like, which are meant for other servers.
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    asyncio.run(_run(folder, port, report))


async def _run(folder: Path, port: int | None, report: Report) -> None:
    stop = stop_event()
    os_user = postgres_os_user()
    state = state_folder.read_state(folder)
    if state is None:
        state = state_folder.new_state(choose_postgres_folder(folder, os_user))
        state_folder.write_state(folder, state)
    listener = (
        bind_requested_port(port) if port else bind_preferred_port(state.port or state_folder.DEFAULT_PORT)
    )
    postgres_folder = Path(state.postgres_folder)
    create_postgres_folder(postgres_folder, os_user)
    record_owner(folder, postgres_folder)
    installation = ensure_installation(postgres_folder)
    postgres = Postgres(installation, postgres_folder, os_user)
    postgres.start(state.postgres_password, state.postgres_port)
    try:
        bound_port: int = listener.getsockname()[1]
        state = replace(state, port=bound_port, postgres_port=postgres.port)
        state_folder.write_state(folder, state)
        async with _open_platform(folder, state, installation) as platform:
            document = await _platform_document(folder, platform, postgres)
            on_ready = partial(_report_ready, folder, document, report)
            await listen(platform, listener, stop, on_ready, _run_background(platform, postgres))
    finally:
        postgres.stop()


def _report_ready(folder: Path, document: dict[str, Any], report: Report) -> None:
    state_folder.write_settings(folder)
    state_folder.write_platform(folder, document)
    log.info("listening on %s", document["url"])
    report(document)


@asynccontextmanager
async def _open_platform(
    folder: Path, state: PlatformState, installation: Installation
) -> AsyncIterator[Platform]:
    sql_modes, limits = sql_modes_from_environment(), local_limits(os.environ)
    idle_seconds(os.environ)  # an invalid value is reported before anything starts
    mailer = smtp.mailer_from_url(os.environ.get(smtp.SMTP_URL_VARIABLE))
    server = Server.embedded(state.postgres_port, state.postgres_password)
    await databases.prepare_server(server, installation)
    # Before anyone can start a new draft.
    await clones.retire_all_clones(server)
    await control_database.migrate(server.conninfo(control_database.DATABASE))
    async with control_database.create_pool(server.conninfo(control_database.DATABASE)) as pool:
        account_id = await ensure_local_account(pool, state.api_key)
        local_key = LocalKey(folder, state.api_key, account_id)
        await local_key.rotate_if_due(pool)
        platform = Platform(
            state=state,
            hosts=local_hosts(state.port),
            pool=pool,
            server=server,
            sessions=SessionPool(server, pool, reuse=sql_modes.reuse, reset=not sql_modes.shared_session),
            store=folder_store(folder / "store"),
            account_id=account_id,
            local_key=local_key,
            authenticator=ApiKeyAuthenticator(),
            journal=RequestJournal(),
            dev=DevSessions(),
            drafts=DraftSessions(),
            health=DatabaseHealth(),
            sql_modes=sql_modes,
            limits=limits,
            mailer=mailer,
        )
        yield platform
        await platform.finish_tasks()
        await platform.sessions.close()


async def _platform_document(folder: Path, platform: Platform, postgres: Postgres) -> dict[str, Any]:
    """What `start` prints and platform.json contains."""
    extensions = await databases.extension_versions(platform.server)
    return {
        "status": "running",
        "url": platform.url,
        "api_key": platform.local_key.value if platform.local_key else None,
        "pid": os.getpid(),
        "port": platform.state.port,
        "postgres_port": postgres.port,
        "home": str(folder),
        "home_id": platform.state.home_id,
        "emails": "local inbox" if platform.mailer is None else platform.mailer.address,
        "version": __version__,
        "versions": {"platform": __version__, "postgres": postgres.version, **extensions},
    }


async def _run_background(platform: Platform, postgres: Postgres) -> None:
    await background_jobs.resume_provisioning(platform)
    await background_jobs.run_concurrently(
        background_jobs.run_background_jobs(platform),
        background_jobs.maintain_connections(platform),
        background_jobs.prepare_spares(platform),
        rotate_when_due(platform),
        background_jobs.stop_when_idle(platform, idle_seconds(os.environ)),
        _supervise_postgres(postgres, platform.state),
    )


async def _supervise_postgres(postgres: Postgres, state: PlatformState) -> None:
    """Restarts PostgreSQL on the same port if it ends. Clients reconnect by themselves."""
    while True:
        await asyncio.sleep(0.5)
        await _rotate_postgres_log(postgres)
        if not postgres.is_running():
            log.error("PostgreSQL ended unexpectedly; restarting it")
            await _restart_postgres(postgres, state.postgres_password)
            log.info("PostgreSQL restarted")


async def _restart_postgres(postgres: Postgres, password: str) -> None:
    """Whatever ended it, such as a full disk, may also keep it from starting for a while, so this tries for a minute."""
    deadline = time.monotonic() + _RESTART_SECONDS
    while True:
        try:
            await asyncio.to_thread(postgres.restart, password)
        except ProcessFault as fault:
            if time.monotonic() > deadline:
                raise
            log.warning("can't restart PostgreSQL yet: %s", fault.message)
            await asyncio.sleep(1)
        else:
            return


async def _rotate_postgres_log(postgres: Postgres) -> None:
    try:
        await asyncio.to_thread(rotate_log, postgres.log)
    except OSError as error:
        log.warning("can't rotate PostgreSQL's log: %s", error)


def configure_logging(folder: Path | None = None) -> None:
    """Logs to `platform.log` in the folder, or to stderr without one."""
    logs.configure(folder)
