"""The web server of one process: serving until told to stop, then finishing what is under way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import uvicorn

from mosaic_deploy.platform.app import App
from mosaic_deploy.platform.parts import Platform
from mosaic_deploy.platform.protocol import HEAD_LIMIT, HttpProtocol

# Requests under way at a stop have this long; a deployer sends again what was cut off.
FINISH_SECONDS = 10

log = logging.getLogger("mosaic_deploy.platform")


async def listen(
    platform: Platform,
    listener: socket.socket,
    stop: asyncio.Event,
    announce: Callable[[], None],
    keep: Coroutine[Any, Any, None],
) -> None:
    """Serve until `stop`, or until `keep`, which runs beside, ends; what it raises is raised.

    `announce` is called once requests are answered.
    """
    config = uvicorn.Config(
        App(platform),
        http=HttpProtocol,
        ws="none",
        h11_max_incomplete_event_size=HEAD_LIMIT,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=FINISH_SECONDS,
        timeout_keep_alive=75,
    )
    server = _Server(config, announce)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    keeping = asyncio.create_task(keep)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, stopping, keeping], return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping")
    platform.dev.end_all()
    server.should_exit = True
    stopping.cancel()
    await serving
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping


def stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


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
