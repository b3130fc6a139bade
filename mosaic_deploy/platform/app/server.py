"""Runs the application on uvicorn: malformed requests get JSON errors too, and shutdown is graceful."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from mosaic_deploy.platform.app.app import App
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.services import Platform

HEAD_LIMIT = 64 * 1024
"""Largest size in bytes of a request line and its headers together."""
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


class HttpProtocol(H11Protocol):
    def send_400_response(self, msg: str) -> None:
        """Called after h11 raised an error, before the request reaches the application."""
        error = sys.exc_info()[1]
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        if status == 431:
            message = f"the request line and headers are larger than {HEAD_LIMIT // 1024} KiB"
            fault = Fault(431, "head_too_large", message)
        else:
            status = 400
            fault = Fault(400, "http_invalid", f"malformed HTTP request: {error or msg}")
        request_id = secrets.token_hex(8)
        log.warning("refused", extra={"fields": {"request_id": request_id, "message": fault.message}})
        body = json.dumps(fault.document(request_id)).encode()
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Request-Id", request_id),
            ("Connection", "close"),
        ]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            for event in (
                h11.Response(status_code=status, headers=headers),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


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
