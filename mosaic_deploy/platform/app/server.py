"""Runs the application on uvicorn: malformed requests get JSON errors too, and shutdown is graceful."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import uvicorn

from mosaic_deploy.platform.app.app import App
from mosaic_deploy.platform.app.http_protocol import HEAD_LIMIT, HttpProtocol
from mosaic_deploy.platform.http import json_process
from mosaic_deploy.platform.services import Platform

# After that, a cancelled request has this long to send its error.
_CANCEL_SECONDS = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ListenOptions:
    """`trusted_proxies` are addresses or networks whose X-Forwarded-For is believed."""

    # Requests in progress at shutdown have this long to finish.
    stop_seconds: int = 10
    trusted_proxies: tuple[str, ...] = ()
    metrics_listener: socket.socket | None = None


async def listen(
    platform: Platform,
    listener: socket.socket,
    stop: asyncio.Event,
    on_ready: Callable[[], None],
    background: Coroutine[Any, Any, None],
    options: ListenOptions = ListenOptions(),
) -> None:
    """Serve until `stop` is set or `background`, which runs alongside, ends. Raises what `background` raises.

    `on_ready` is called once the server accepts requests.
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
        timeout_graceful_shutdown=options.stop_seconds,
        proxy_headers=bool(options.trusted_proxies),
        forwarded_allow_ips=list(options.trusted_proxies),
        timeout_keep_alive=75,
    )
    server = _Server(config, on_ready)
    sockets = [listener, *([options.metrics_listener] if options.metrics_listener else [])]
    serving = asyncio.create_task(server.serve(sockets=sockets))
    background_task = asyncio.create_task(background)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, stopping, background_task], return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping")
    platform.dev.end_all()
    server.should_exit = True
    stopping.cancel()
    await serving
    await json_process.stop()
    background_task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await background_task


def stop_event() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, and with a callback once it listens."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self.server_state.tasks:
            await asyncio.wait(list(self.server_state.tasks), timeout=_CANCEL_SECONDS)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()
