"""Malformed requests get a JSON error with a code and a logged request ID, never a traceback."""

from __future__ import annotations

import json
import re
import socket
import time
from typing import Any

import pytest


def _exchange(platform, raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the response to these raw bytes."""
    with socket.create_connection(("127.0.0.1", platform.port), timeout=30) as connection:
        connection.sendall(raw)
        received = b""
        while chunk := _received(connection):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(re.split(r":\s*", line, maxsplit=1) for line in lines[1:])
    return int(lines[0].split()[1]), {name.lower(): value for name, value in headers.items()}, body


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return b""


HEAD = b"Host: 127.0.0.1\r\nConnection: close\r\n"
MALFORMED = {
    "not HTTP": (b"hello\r\n\r\n", 400, "http_invalid"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "http_invalid"),
    "no host": (b"GET /v1/project HTTP/1.1\r\n\r\n", 400, "http_invalid"),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "http_invalid"),
    "length isn't a number": (b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: ten\r\n\r\n", 400, "http_invalid"),
    "negative length": (b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: -1\r\n\r\n", 400, "http_invalid"),
    "two lengths": (
        b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "http_invalid",
    ),
    "length and chunks": (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET",
        400, "http_invalid",
    ),
    "folded header": (b"GET / HTTP/1.1\r\n" + HEAD + b"X: a\r\n\x00b\r\n\r\n", 400, "http_invalid"),
    "NUL in a header": (b"GET / HTTP/1.1\r\n" + HEAD + b"X: a\x00b\r\n\r\n", 400, "http_invalid"),
    "raw bytes in the path": (b"GET /\xff\xfe HTTP/1.1\r\n" + HEAD + b"\r\n", 400, "http_invalid"),
    "gigantic header": (b"GET / HTTP/1.1\r\n" + HEAD + b"X: " + b"a" * 100_000, 431, "head_too_large"),
    "gigantic path": (b"GET /" + b"a" * 100_000, 431, "head_too_large"),
    "many headers": (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000, 431, "head_too_large"),
    "encoded bytes in the path": (b"GET /%ff%fe%00 HTTP/1.1\r\n" + HEAD + b"\r\n", 404, "not_found"),
    "a long path": (b"GET /" + b"a" * 50_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n", 404, "not_found"),
    "unknown method": (b"BREW /v1/project HTTP/1.1\r\n" + HEAD + b"X-API-Key: KEY\r\n\r\n", 405, "method_not_allowed"),
    "foreign host": (b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 421, "host_not_served"),
    "host isn't ASCII": (b"GET / HTTP/1.1\r\nHost: \xff\r\nConnection: close\r\n\r\n", 421, "host_not_served"),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_requests_get_json_errors(platform, case) -> None:
    raw, expected, code = MALFORMED[case]
    status, headers, body = _exchange(platform, raw.replace(b"KEY", platform.api_key.encode()))
    document = json.loads(body)
    assert (status, document["error"]["code"]) == (expected, code), document
    assert headers["content-type"] == "application/json"
    assert document["success"] is False
    assert document["request_id"] == headers["x-request-id"]
    assert "Traceback" not in body.decode()
    _await_logged(platform, document["request_id"])


@pytest.mark.parametrize(
    ("framing", "sent"),
    [("Content-Length: 100", b'{"query": "SELECT 1'), ("Transfer-Encoding: chunked", b"5\r\n{")],
)
def test_truncated_bodies(api, platform, untouched, framing, sent) -> None:
    head = f"POST /v1/project/{untouched}/sql HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {platform.api_key}\r\n{framing}\r\n\r\n"
    before = len(_requests(platform, untouched))
    with socket.create_connection(("127.0.0.1", platform.port), timeout=30) as connection:
        connection.sendall(head.encode() + sent)
    deadline = time.monotonic() + 10
    while len(_requests(platform, untouched)) == before:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert _requests(platform, untouched)[-1]["status"] in (0, 400)


def test_invalid_chunk(platform, untouched) -> None:
    head = (
        f"POST /v1/project/{untouched}/sql HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {platform.api_key}\r\n"
    )
    status, _, body = _exchange(platform, head.encode() + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert (status, json.loads(body)["error"]["code"]) == (400, "http_invalid")
    text = (platform.home / "platform.log").read_text()
    assert "Traceback" not in text
    assert "exception" not in text.lower()


def _requests(platform, project_id: str) -> list[dict[str, Any]]:
    lines = (platform.home / "platform.log").read_text().splitlines()
    found = [json.loads(line) for line in lines if project_id in line]
    return [line for line in found if line["event"] == "request" and line["path"].endswith("/sql")]


BODIES: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "not JSON": (b"query=SELECT 1", {}, 400, "json_invalid"),
    "a form": (b"query=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "json_expected"),
    "text": (b"{}", {"Content-Type": "text/plain"}, 415, "json_expected"),
    "multipart": (b"--x", {"Content-Type": "multipart/form-data; boundary=x"}, 415, "json_expected"),
    "invalid content type": (b"{}", {"Content-Type": ";;;"}, 415, "json_expected"),
    "101 levels": (b'{"query":' + b"[" * 101 + b"]" * 101 + b"}", {}, 400, "json_invalid"),
    "a million levels": (b"[" * 1_000_000, {}, 400, "json_invalid"),
    "not UTF-8": (b'{"query": "\xff"}', {}, 400, "json_invalid"),
    "UTF-16": ('{"query": "SELECT 1"}'.encode("utf-16-be")[:-1], {}, 400, "json_invalid"),
    "NUL": (b'{"query": "SELECT \\u0000"}', {}, 400, "field_invalid"),
    "nested NUL in params": (
        b'{"query": "SELECT $1", "params": [{"a": ["\\u0000"]}]}',
        {},
        400,
        "field_invalid",
    ),
    "lone surrogate": (b'{"query": "\\ud800"}', {}, 400, "json_invalid"),
    "number beyond a double": (b'{"query": "SELECT $1", "params": [1e400]}', {}, 400, "json_invalid"),
    "too many digits": (b'{"query": "x", "params": [' + b"9" * 5000 + b"]}", {}, 400, "json_invalid"),
    "duplicate key, the last one not a string": (
        b'{"query": "SELECT 1", "query": 2}',
        {},
        400,
        "field_invalid",
    ),
}


@pytest.mark.parametrize("case", BODIES)
def test_invalid_bodies_are_rejected(api, platform, untouched, case) -> None:
    content, headers, status, code = BODIES[case]
    response = api.post(f"/{untouched}/sql", content=content, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text
    _await_logged(platform, response.json()["request_id"])


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/vnd.api+json"]
)
def test_json_content_types_are_accepted(api, untouched, kind) -> None:
    response = api.post(f"/{untouched}/sql", content=b'{"query": "SELECT 1"}', headers={"Content-Type": kind})
    assert response.status_code == 200


def test_too_large_body(api, untouched) -> None:
    response = api.post(f"/{untouched}/sql", content=b" " * (41 * 1024 * 1024))
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")


def test_100_levels_are_allowed(api, untouched) -> None:
    deep: Any = []
    for _ in range(96):
        deep = [deep]
    assert api.sql(untouched, "SELECT $1::json AS v", params=[{"a": deep}])[0]["v"] == {"a": deep}


def test_head_and_options(api) -> None:
    for path in ("", "/projects"):
        response = api.head(path)
        assert (response.status_code, response.content) == (200, b"")
        assert int(response.headers["Content-Length"]) > 2
    response = api.options("/projects")
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD, POST")
    assert response.json()["error"]["code"] == "method_not_allowed"


def test_every_response_has_a_logged_request_id(api, platform) -> None:
    """Except successful health checks, which would fill the log."""
    health = api.plain.get(f"{platform.url}/healthz").headers["X-Request-Id"]
    for response in (api.get("/projects"), api.get("/nothing"), api.plain.get(f"{platform.url}/nothing")):
        _await_logged(platform, response.headers["X-Request-Id"])
    assert health not in (platform.home / "platform.log").read_text()


def _await_logged(platform, request_id: str) -> None:
    deadline = time.monotonic() + 10
    while request_id not in (platform.home / "platform.log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
