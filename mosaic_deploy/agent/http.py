"""Serves the MCP server over HTTP on this machine, to clients that have the token."""

from __future__ import annotations

import hmac
import os
import secrets
import sys
from typing import TYPE_CHECKING, Any

import anyio
import uvicorn
from mcp.server import MCPServer

from mosaic_deploy.errors import UsageInvalid

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_HOST = "127.0.0.1"
TOKEN_VARIABLE = "MOSAIC_MCP_TOKEN"  # noqa: S105 (its name)
"""Sets the token, so that an agent's configuration may keep it."""
_SHORTEST = 16


def serve_http(server: MCPServer[Any], port: int) -> None:
    """Serves http://127.0.0.1:`port`/mcp until interrupted, and prints the token to stderr. Raises UsageInvalid."""
    token, is_new = _token()
    app = RequireToken(server.streamable_http_app(host=_HOST), token)
    if is_new:
        sys.stderr.write(f"Clients need this header: Authorization: Bearer {token}\n")
    config = uvicorn.Config(app, host=_HOST, port=port, log_level="warning")
    anyio.run(uvicorn.Server(config).serve)


def _token() -> tuple[str, bool]:
    """The token, and whether it was made for this run."""
    given = os.environ.get(TOKEN_VARIABLE, "")
    if not given:
        return secrets.token_urlsafe(32), True
    if len(given) < _SHORTEST or not given.isascii() or not given.isprintable():
        raise UsageInvalid(
            f"{TOKEN_VARIABLE} must have at least {_SHORTEST} ASCII characters",
            hint="unset it: then a random token is made and printed",
        )
    return given, False


class RequireToken:
    """Answers 401 to every request without the token, whatever its path: other users of the machine can connect too."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._is_authorized(scope):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        body = b'{"error": "the header Authorization: Bearer TOKEN is missing or wrong"}'
        headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _is_authorized(self, scope: Scope) -> bool:
        given = [value for name, value in scope.get("headers", ()) if name == b"authorization"]
        return scope["type"] == "http" and len(given) == 1 and hmac.compare_digest(given[0], self._expected)
