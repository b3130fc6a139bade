"""The daemon: PostgreSQL, control database, web server; up in this order, down in the other."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mosaic_deploy.platform import backup, chores, control, databases, home, logs, mailer
from mosaic_deploy.platform.account import choose_folder, create_folder, postgres_account
from mosaic_deploy.platform.accounts import ensure_account
from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.home import State
from mosaic_deploy.platform.hosts import local_hosts
from mosaic_deploy.platform.installation import Installation, ensure_installation
from mosaic_deploy.platform.limits import local_limits
from mosaic_deploy.platform.listen import listen, stop_signal
from mosaic_deploy.platform.local_key import LocalKey
from mosaic_deploy.platform.parts import Platform
from mosaic_deploy.platform.ports import bind_preferred
from mosaic_deploy.platform.postgres import Postgres
from mosaic_deploy.platform.report import Report
from mosaic_deploy.platform.rotation import keep_rotating
from mosaic_deploy.platform.server import Server
from mosaic_deploy.platform.server_log import turn_over
from mosaic_deploy.platform.sessions import Sessions
from mosaic_deploy.platform.store import folder_store
from mosaic_deploy.platform.variants import variants_from
from mosaic_deploy.version import __version__

log = logging.getLogger("mosaic_deploy.platform")


def serve(folder: Path, port: int | None, report: Report) -> None:
    """Run in the foreground until SIGTERM or SIGINT. `report` gets the platform's document once it is healthy.

    Raises ProcessFault where it can't start; another platform on the same home is such a case.
    """
    home.create_home(folder)
    # Nothing we make is for other users; what PostgreSQL's user must pass through is opened where it is made.
    os.umask(0o077)
    if not home.hold_for_life(folder / "serve.lock"):
        raise ProcessFault("already_running", f"a platform already runs on {folder}")
    (folder / "serve.pid").write_text(str(os.getpid()))
    backup.finish(folder)
    # The folder we were started in may be unmounted or deleted; nothing here needs it.
    os.chdir(folder)
    # libpq reads PGOPTIONS, PGSERVICE and their like; they are meant for other servers.
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    asyncio.run(_run(folder, port, report))


async def _run(folder: Path, port: int | None, report: Report) -> None:
    stop = stop_signal()
    account = postgres_account()
    state = home.read_state(folder)
    if state is None:
        state = home.new_state(choose_folder(folder, account))
        home.write_state(folder, state)
    state = _moved_along(state, folder)
    postgres_folder = Path(state.postgres_folder)
    create_folder(postgres_folder, account)
    installation = ensure_installation(postgres_folder)
    postgres = Postgres(installation, postgres_folder, account)
    postgres.start(state.postgres_password, state.postgres_port)
    try:
        listener = bind_preferred(port or state.port or home.DEFAULT_PORT)
        bound: int = listener.getsockname()[1]
        state = replace(state, port=bound, postgres_port=postgres.port)
        home.write_state(folder, state)
        async with _parts(folder, state, installation) as platform:
            document = await _document(folder, platform, postgres)
            announced = partial(_announce, folder, document, report)
            await listen(platform, listener, stop, announced, _keep(platform, postgres))
    finally:
        postgres.stop()


def _moved_along(state: State, folder: Path) -> State:
    """A home that was moved or renamed takes along the PostgreSQL inside it."""
    inside = folder / "postgres"
    if (inside / "data").is_dir() and not (Path(state.postgres_folder) / "data").is_dir():
        return replace(state, postgres_folder=str(inside))
    return state


def _announce(folder: Path, document: dict[str, Any], report: Report) -> None:
    home.write_settings(folder)
    home.write_platform(folder, document)
    log.info("listening on %s", document["url"])
    report(document)


@asynccontextmanager
async def _parts(folder: Path, state: State, installation: Installation) -> AsyncIterator[Platform]:
    variants, limits = variants_from(), local_limits(os.environ)
    sending = mailer.mailer_from(os.environ.get(mailer.VARIABLE))
    server = Server.embedded(state.postgres_port, state.postgres_password)
    await databases.prepare_server(server, installation)
    await control.migrate(server.conninfo(control.DATABASE))
    async with control.open_pool(server.conninfo(control.DATABASE)) as pool:
        account_id = await ensure_account(pool, state.api_key)
        local_key = LocalKey(folder, state.api_key, account_id)
        await local_key.rotate_if_due(pool)
        platform = Platform(
            state=state,
            hosts=local_hosts(state.port),
            pool=pool,
            server=server,
            sessions=Sessions(server, reuse=variants.reuse),
            store=folder_store(folder / "store"),
            account_id=account_id,
            local_key=local_key,
            variants=variants,
            limits=limits,
            mailer=sending,
        )
        yield platform
        await platform.finish_tasks()
        await platform.sessions.close_idle(older_than=0)


async def _document(folder: Path, platform: Platform, postgres: Postgres) -> dict[str, Any]:
    """What `start` prints and platform.json holds."""
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
        "mails": "local inbox" if platform.mailer is None else platform.mailer.address,
        "version": __version__,
        "versions": {"platform": __version__, "postgres": postgres.version, **extensions},
    }


async def _keep(platform: Platform, postgres: Postgres) -> None:
    await chores.take_up(platform)
    await chores.together(
        chores.do_chores(platform),
        chores.mind_connections(platform),
        keep_rotating(platform),
        _watch(postgres, platform.state),
    )


async def _watch(postgres: Postgres, state: State) -> None:
    """PostgreSQL that has ended is started again, at the same port; clients connect anew by themselves."""
    while True:
        await asyncio.sleep(0.5)
        await _mind_log(postgres)
        if postgres.alive():
            continue
        log.error("PostgreSQL ended; starting it again")
        port = postgres.port
        await asyncio.to_thread(postgres.start, state.postgres_password, port)
        if postgres.port != port:
            raise ProcessFault("postgres_ended", f"PostgreSQL ended, and its port {port} is taken now")
        log.info("PostgreSQL is back")


async def _mind_log(postgres: Postgres) -> None:
    try:
        await asyncio.to_thread(turn_over, postgres.log)
    except OSError as error:
        log.warning("PostgreSQL's log can't be turned over: %s", error)


def configure_logging(folder: Path | None = None) -> None:
    """Into the folder's log, or to stderr for whoever runs it in the foreground."""
    logs.configure(folder)
