"""The daemon: PostgreSQL, control database, web server; up in this order, down in the other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn

from mosaic_deploy.platform import control, databases, home, projects
from mosaic_deploy.platform.account import choose_folder, create_folder, postgres_account
from mosaic_deploy.platform.accounts import ensure_account
from mosaic_deploy.platform.app import App
from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.home import State
from mosaic_deploy.platform.installation import Installation, ensure_installation
from mosaic_deploy.platform.parts import Platform
from mosaic_deploy.platform.ports import bind_preferred
from mosaic_deploy.platform.postgres import Postgres
from mosaic_deploy.platform.report import Report
from mosaic_deploy.platform.sessions import Sessions
from mosaic_deploy.platform.store import FolderStore
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
    # The folder we were started in may be unmounted or deleted; nothing here needs it.
    os.chdir(folder)
    # libpq reads PGOPTIONS, PGSERVICE and their like; they are meant for other servers.
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    asyncio.run(_run(folder, port, report))


async def _run(folder: Path, port: int | None, report: Report) -> None:
    stop = _stop_signal()
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
            await _listen(platform, listener, stop, lambda: _announce(folder, document, report), postgres)
    finally:
        postgres.stop()


def _moved_along(state: State, folder: Path) -> State:
    """A home that was moved or renamed takes along the PostgreSQL inside it."""
    inside = folder / "postgres"
    if (inside / "data").is_dir() and not (Path(state.postgres_folder) / "data").is_dir():
        return replace(state, postgres_folder=str(inside))
    return state


def _announce(folder: Path, document: dict[str, Any], report: Report) -> None:
    home.write_platform(folder, document)
    log.info("listening on %s", document["url"])
    report(document)


@asynccontextmanager
async def _parts(folder: Path, state: State, installation: Installation) -> AsyncIterator[Platform]:
    variants = variants_from()
    server = databases.Server(state.postgres_port, state.postgres_password)
    await databases.prepare_server(server, installation)
    await control.migrate(server.conninfo(control.DATABASE))
    async with control.open_pool(server.conninfo(control.DATABASE)) as pool:
        platform = Platform(
            state=state,
            port=state.port,
            pool=pool,
            server=server,
            sessions=Sessions(server, reuse=variants.reuse),
            store=FolderStore(folder / "store"),
            account_id=await ensure_account(pool, state.api_key),
            variants=variants,
        )
        yield platform
        for task in platform.tasks:
            task.cancel()
        await asyncio.gather(*platform.tasks, return_exceptions=True)
        await platform.sessions.close_idle(older_than=0)


async def _document(folder: Path, platform: Platform, postgres: Postgres) -> dict[str, Any]:
    """What `start` prints and platform.json holds."""
    extensions = await databases.extension_versions(platform.server)
    return {
        "status": "running",
        "url": platform.url,
        "api_key": platform.state.api_key,
        "pid": os.getpid(),
        "port": platform.port,
        "postgres_port": postgres.port,
        "home": str(folder),
        "home_id": platform.state.home_id,
        "version": __version__,
        "versions": {"platform": __version__, "postgres": postgres.version, **extensions},
    }


async def _listen(
    platform: Platform,
    listener: socket.socket,
    stop: asyncio.Event,
    announce: Callable[[], None],
    postgres: Postgres,
) -> None:
    """Serve until `stop`; then finish what is under way."""
    config = uvicorn.Config(
        App(platform),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=10,
        timeout_keep_alive=30,
    )
    server = _Server(config, announce)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    keeper = asyncio.create_task(_keep(platform, postgres))
    await projects.resume_provisioning(platform)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, stopping, keeper], return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping")
    server.should_exit = True
    stopping.cancel()
    await serving
    keeper.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeper


class _Server(uvicorn.Server):
    """uvicorn, except that signals are ours and that it tells when it listens."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()


async def _keep(platform: Platform, postgres: Postgres) -> None:
    """Once a second: close idle sessions; end where PostgreSQL has ended, so that the next start is whole."""
    while True:
        await asyncio.sleep(1)
        await platform.sessions.close_idle()
        if not postgres.alive():
            raise ProcessFault("postgres_ended", f"PostgreSQL ended; see {postgres.log}")


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def configure_logging() -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
