"""HTTP connections: malformed requests get JSON errors, and no connection can be held without sending requests."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import sys
from collections.abc import Callable

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from mosaic_deploy.platform.faults import Fault

HEAD_LIMIT = 64 * 1024
"""Largest size in bytes of a request line and its headers together."""
HEAD_SECONDS = 20.0
"""Longest time from a connection's, or a head's, first byte to the end of the head."""
_LINGER_SECONDS = 3.0
"""How long the rest of a request that nobody reads may arrive. Its sender may not get the response to a connection that is
closed with unread data."""
_DISCARD_RATE = 64 * 1024 * 1024
"""Bytes per second that this process reads of bodies that nobody reads. More would take its time from other requests."""

log = logging.getLogger(__name__)


class HttpProtocol(H11Protocol):
    _head_timer: asyncio.TimerHandle | None = None
    _finished = False
    """The last response is sent. What still arrives is discarded, and the sender closes the connection."""
    _discard_due = 0.0
    """Of all connections: when the next bytes may be discarded, on the loop's clock."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._finished:
            self._pause_for(len(data))
            return
        super().data_received(data)
        if self._finished:
            return
        if self._discards_body():
            self._pause_for(len(data))
        else:
            self._watch_head()

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None and self.cycle.transport is self.transport:
            self.cycle.transport = _ResponseTransport(self.transport, self._finish)  # type: ignore[assignment]

    def _finish(self) -> None:
        """Close the connection after a complete response, but not while the rest of its request arrives."""
        if self.conn.their_state is not h11.SEND_BODY or not self.cycle.response_complete:
            self.transport.close()
        elif not self._finished:
            self._finished = True
            self.transport.write_eof()
            # uvicorn stops reading while the application doesn't.
            self.flow.resume_reading()
            self._start_timer(_LINGER_SECONDS)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing() or self._finished:
            return
        if self.conn.their_state is h11.SEND_BODY:
            self._start_timer(_LINGER_SECONDS)
        else:
            self._watch_head()

    def _discards_body(self) -> bool:
        """Whether the rest of a body arrives after its request was answered."""
        return self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY

    def _pause_for(self, size: int) -> None:
        now = self.loop.time()
        HttpProtocol._discard_due = max(now, HttpProtocol._discard_due) + size / _DISCARD_RATE
        self.transport.pause_reading()
        self.loop.call_at(HttpProtocol._discard_due, self.transport.resume_reading)

    def _watch_head(self) -> None:
        """Runs the timer while a head has begun to arrive and isn't complete."""
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            if self._head_timer is None:
                self._start_timer(HEAD_SECONDS)
            return
        self._stop_timer()
        if (
            self.conn.states == {h11.CLIENT: h11.IDLE, h11.SERVER: h11.IDLE}
            and not self.timeout_keep_alive_task
        ):
            # uvicorn has none after a body that nobody read.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _start_timer(self, seconds: float) -> None:
        self._stop_timer()
        self._head_timer = self.loop.call_later(seconds, self._time_out)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _time_out(self) -> None:
        self._head_timer = None
        if not self._finished and self.conn.trailing_data[0] and self.conn.our_state is h11.IDLE:
            message = f"the request's head didn't arrive within {HEAD_SECONDS:.0f} seconds"
            self._refuse(Fault(408, "request_timeout", message))
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Called after h11 raised an error, before the request reaches the application."""
        error = sys.exc_info()[1]
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        if status == 431:
            message = f"the request line and headers are larger than {HEAD_LIMIT // 1024} KiB"
            fault = Fault(431, "head_too_large", message)
        else:
            fault = Fault(400, "http_invalid", f"malformed HTTP request: {error or msg}")
        self._refuse(fault)

    def _refuse(self, fault: Fault) -> None:
        """Answer in the application's place, and close the connection."""
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
                h11.Response(status_code=fault.status, headers=headers),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        if self.cycle is not None:
            # The application may be about to answer a request whose body is malformed.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._finished = True
        self.transport.write_eof()
        self._start_timer(_LINGER_SECONDS)


class _ResponseTransport:
    """A connection's transport for uvicorn's response cycle, which closes it with the last response."""

    def __init__(self, transport: asyncio.Transport, finish: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = finish
