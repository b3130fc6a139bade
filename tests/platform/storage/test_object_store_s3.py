"""Reading from an S3 service that is slow, stalls, or closes connections."""

from __future__ import annotations

import asyncio
import re
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from obstore.exceptions import BaseError

from mosaic_deploy.platform.storage import object_store

CONTENT = bytes(range(256)) * 40_000


class Service:
    """`sends` says for each GET how many bytes are sent before the connection closes or, if negative, stalls."""

    def __init__(self) -> None:
        self.sends: list[int] = []
        self.ranges: list[tuple[int, int]] = []
        self.release = threading.Event()


@pytest.fixture
def service(monkeypatch) -> Iterator[Service]:
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"])
            assert found is not None
            start, end = int(found[1]), int(found[2]) + 1
            service.ranges.append((start, end))
            sends = service.sends.pop(0) if service.sends else end - start
            if "missing" in self.path:
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(CONTENT)}")
            self.send_header("Content-Length", str(end - start))
            self.send_header("ETag", '"one"')
            self.send_header("Last-Modified", "Sun, 29 Nov 2026 06:00:00 GMT")
            self.end_headers()
            self.wfile.write(CONTENT[start : start + abs(sends)])
            self.wfile.flush()
            if sends < 0:
                service.release.wait(30)
            if sends != end - start:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    socketserver.TCPServer.allow_reuse_address = True
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, value in (
            ("ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}"),
            ("REGION", "us-east-1"),
            ("ACCESS_KEY_ID", "a"),
            ("SECRET_ACCESS_KEY", "b"),
        ):
            monkeypatch.setenv(f"AWS_{name}", value)
        yield service
        service.release.set()
        server.shutdown()


def _read(start: int = 0, end: int = len(CONTENT), key: str = "key") -> bytes:
    async def read() -> bytes:
        store = object_store.open_store("s3://bucket")
        return b"".join([chunk async for chunk in store.stream(key, start, end)])

    return asyncio.run(read())


def test_a_read_that_breaks_off_continues_where_it_ended(service) -> None:
    service.sends = [3_000_000, 2_500_000]
    assert _read(100) == CONTENT[100:]
    assert len(service.ranges) >= 3
    assert {end for _, end in service.ranges} == {len(CONTENT)}
    starts = [start for start, _ in service.ranges]
    assert starts == sorted(starts)
    assert starts[0] == 100


def test_a_read_that_stalls_continues_in_another(service, monkeypatch) -> None:
    monkeypatch.setattr(object_store, "_READ_TIMEOUT_SECONDS", 0.5)
    service.sends = [-3_000_000]
    assert _read() == CONTENT
    assert len(service.ranges) == 2
    assert service.ranges[1][0] >= 2 << 20


def test_a_store_that_sends_nothing_is_an_error(service, monkeypatch) -> None:
    monkeypatch.setattr(object_store, "_READ_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(object_store, "_READ_ATTEMPTS", 2)
    service.sends = [-1] * 5
    with pytest.raises((BaseError, TimeoutError)):
        _read()


def test_a_missing_object_is_reported_at_once(service) -> None:
    with pytest.raises(FileNotFoundError):
        _read(key="missing")
    assert len(service.ranges) == 1


def test_a_whole_download_has_no_time_limit(service, monkeypatch) -> None:
    """Only waiting for the store has: obstore's own limit of 30 seconds is for a request with its whole body."""
    seen: dict[str, object] = {}
    original = object_store.S3Store

    def spy(*arguments: object, **options: object) -> object:
        seen.update(options)
        return original(*arguments, **options)

    monkeypatch.setattr(object_store, "S3Store", spy)
    object_store.open_store("s3://bucket")
    client = seen["client_options"]
    assert client["timeout"].days > 1
    assert client["read_timeout"].total_seconds() <= 600
