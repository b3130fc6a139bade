"""HTTP as uvicorn speaks it, except that what isn't HTTP at all is answered as every other error is: as JSON."""

from __future__ import annotations

import json
import logging
import secrets
import sys

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from mosaic_deploy.platform.faults import Fault

HEAD_LIMIT = 64 * 1024
"""Bytes of a request's line and headers together."""

log = logging.getLogger("mosaic_deploy.platform.app")


class HttpProtocol(H11Protocol):
    def send_400_response(self, msg: str) -> None:
        """Called where h11 has raised; nothing of the request has reached the application."""
        error = sys.exc_info()[1]
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        if status == 431:
            fault = Fault(
                431, "head_too_large", f"the request's line and headers are larger than {HEAD_LIMIT} bytes"
            )
        else:
            status = 400
            fault = Fault(400, "http_invalid", f"this is not a valid HTTP request: {error or msg}")
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
