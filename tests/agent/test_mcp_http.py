"""`mosaic-deploy mcp --http`: no request without the token is answered."""

from __future__ import annotations

import anyio
import httpx
import pytest

from mosaic_deploy.agent import http
from mosaic_deploy.errors import UsageInvalid

TOKEN = "a-token-of-some-length"


async def reached(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"reached"})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 401),
        ([("authorization", "Bearer ")], 401),
        ([("authorization", TOKEN)], 401),
        ([("authorization", f"Bearer {TOKEN}x")], 401),
        ([("authorization", f"bearer {TOKEN}")], 401),
        ([("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer x")], 401),
        ([("authorization", f"Bearer {TOKEN}")], 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/mcp", "/", "/other"])
def test_the_token_is_required(headers, status: int, method: str, path: str) -> None:
    async def ask() -> int:
        transport = httpx.ASGITransport(app=http.RequireToken(reached, TOKEN))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return (await client.request(method, path, headers=headers)).status_code

    assert anyio.run(ask) == status


def test_a_websocket_is_refused_too() -> None:
    sent: list[str] = []

    async def send(message) -> None:
        sent.append(message["type"])

    anyio.run(http.RequireToken(reached, TOKEN), {"type": "websocket", "headers": []}, None, send)
    assert sent == ["websocket.close"]


def test_the_server_needs_the_token(http_server) -> None:
    port, printed = http_server
    url = f"http://127.0.0.1:{port}/mcp"
    hello = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accept = {"accept": "application/json, text/event-stream"}
    assert httpx.post(url, json=hello, headers=accept).status_code == 401
    token = printed.rpartition("Bearer ")[2].strip()
    authorized = {**accept, "authorization": f"Bearer {token}"}
    assert httpx.post(url, json=hello, headers=authorized).status_code not in (401, 403, 404)
    for foreign in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
        assert httpx.post(url, json=hello, headers={**authorized, **foreign}).status_code in (403, 421)


def test_a_short_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(http.TOKEN_VARIABLE, "short")
    with pytest.raises(UsageInvalid, match="at least 16"):
        http.serve_http(None, 1)
