"""HTTP checks against a server that answers as told."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mosaic_deploy.deploy.checks import run_checks as running
from mosaic_deploy.deploy.checks.outcome import CheckResult, CheckStatus
from mosaic_deploy.deploy.checks.run_checks import run_checks
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.event import Waiting
from mosaic_deploy.model.manifest import HttpCheck, Manifest, VerifySpec
from mosaic_deploy.model.snapshot import Project


class _Site(ThreadingHTTPServer):
    late = 0
    """Responds 404 so many times first."""
    pause = 0.0

    def __init__(self) -> None:
        self.ended = threading.Event()
        super().__init__(("127.0.0.1", 0), _Page)
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


_DOCUMENT = {"status": "ok", "n": 1, "yes": True, "none": None, "items": [{"name": "Ada"}], "text": "1"}


_BODIES = {
    "/plain": b"plain",
    "/deep": b"[" * 100_000 + b"]" * 100_000,
    "/gzip": gzip.compress(b"packed"),
    "/bomb": gzip.compress(bytes(200_000_000)),
    "/gzip,gzip": gzip.compress(gzip.compress(b"packed")),
}


class _Page(BaseHTTPRequestHandler):
    server: _Site

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.server.requests.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))
        threading.Event().wait(self.server.pause)
        self.server.late -= 1
        status = 404 if self.server.late >= 0 else 308 if self.path == "/moved" else 200
        content = _BODIES.get(self.path, json.dumps(_DOCUMENT).encode())
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        if status == 308:
            self.send_header("Location", "/elsewhere")
        if self.path == "/endless":
            self.end_headers()
            self._write_until_closed()
            return
        if content.startswith(b"\x1f\x8b"):
            self.send_header("Content-Encoding", "gzip" if "," not in self.path else self.path[1:])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _write_until_closed(self) -> None:
        with contextlib.suppress(OSError):
            while not self.server.ended.wait(0.01):
                self.wfile.write(b"tick ")

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 - the names that the server looks for

    def log_message(self, *_: object) -> None:
        """Not on stderr."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Site]:
    monkeypatch.setattr(running, "_POLL_INTERVAL", 0.01)
    with _Site() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.ended.set()
        server.shutdown()
        thread.join()


def run(
    site: _Site, *checks: HttpCheck, wait: float = 0.0, timeout: float = 5.0
) -> list[Waiting | CheckResult]:
    manifest = Manifest(Path("mosaic.yaml"), verify=VerifySpec(http=checks))
    with Api("http://127.0.0.1:1", ApiKey("mk_1"), timeout=timeout) as api:
        return list(run_checks(api, Project("p", "p", site.url), manifest, wait=wait))


def message(site: _Site, **check: Any) -> str:
    [found] = run(site, HttpCheck(**{"path": "/", **check}))
    assert isinstance(found, CheckResult)
    return f"{found.outcome.status}: {found.outcome.message}"


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ({}, "passed: 200"),
        ({"status": 404}, "failed: status 200, expected 404"),
        ({"path": "/moved"}, "failed: status 308, expected 200 (redirects to /elsewhere)"),
        ({"path": "/moved", "status": 308}, "passed: 308"),
        ({"contains": "Ada"}, "passed: 200"),
        ({"contains": "Bob"}, "failed: the page doesn't contain 'Bob'"),
        ({"method": "HEAD", "response_headers": {"content-type": "json"}}, "passed: 200"),
        (
            {"response_headers": {"Content-Type": "html", "X-None": "a"}},
            "failed: header Content-Type is 'application/json; charset=utf-8', which doesn't contain 'html'; "
            "the response has no header X-None",
        ),
        ({"json": {"items[0].name": "Ada", "$.n": 1, "yes": True, "none": None}}, "passed: 200"),
        ({"json": {"items[0].name": "Bob"}}, 'failed: items[0].name is "Ada", expected "Bob"'),
        ({"json": {"n": True}}, "failed: n is 1, expected true"),
        ({"json": {"yes": 1}}, "failed: yes is true, expected 1"),
        ({"json": {"text": 1}}, 'failed: text is "1", expected 1'),
        ({"json": {"items[1].name": "x", "n.x": 1, "none.x": None}}, None),
        ({"path": "/plain", "json": {"n": 1}}, "failed: the body isn't JSON: plain"),
        ({"path": "/deep", "json": {"n": 1}}, f"failed: the body isn't JSON: {'[' * 200}…"),
        ({"contains": "Bob", "json": {"n": 2}}, "failed: the page doesn't contain 'Bob'; n is 1, expected 2"),
    ],
)
def test_what_a_check_says(site: _Site, check: dict[str, Any], expected: str | None) -> None:
    missing = "failed: the JSON has no items[1].name; the JSON has no n.x; the JSON has no none.x"
    assert message(site, **check) == (expected or missing)


def test_method_headers_and_body_are_sent(site: _Site) -> None:
    check = {"method": "PUT", "path": "/x?y=1", "headers": {"X-Mine": "a"}, "body": "ä"}
    assert message(site, **check) == "passed: 200"
    [(method, path, headers, body)] = site.requests
    assert (method, path, headers["X-Mine"], body.decode()) == ("PUT", "/x?y=1", "a", "ä")
    assert "X-API-Key" not in headers


def test_a_slow_response_fails(site: _Site) -> None:
    site.pause = 0.05
    assert "ms, more than the 5 ms of max_ms" in message(site, max_ms=5)
    assert message(site, max_ms=60_000).startswith("passed: 200, ")


def test_a_late_page_is_awaited_with_one_event(site: _Site) -> None:
    site.late = 3
    waiting, last = run(site, HttpCheck("/"), wait=10)
    assert isinstance(last, CheckResult)
    assert last.outcome.status is CheckStatus.PASSED
    assert isinstance(waiting, Waiting)
    assert waiting.reason == f"for {site.url}/, up to 10 s: status 404, expected 200"


def test_failing_checks_share_the_wait(site: _Site) -> None:
    site.late = 4
    checks = (HttpCheck("/"), HttpCheck("/x", status=404), HttpCheck("/y"), HttpCheck("/", status=500))
    *before, last = run(site, *checks, wait=0.2)
    shown = [(each.check.name, each.outcome.status) for each in before if isinstance(each, CheckResult)]
    assert shown == [(f"{site.url}/x", "passed"), (f"{site.url}/", "passed"), (f"{site.url}/y", "passed")]
    assert isinstance(last, CheckResult)
    assert last.outcome.message == "status 200, expected 500"


def test_what_is_sent_once_waits_for_the_checks_before_it(site: _Site) -> None:
    site.late = 3
    run(site, HttpCheck("/a"), HttpCheck("/b", method="POST"), HttpCheck("/c"), wait=10)
    sent = [f"{method} {path}" for method, path, *_ in site.requests]
    assert sent == ["GET /a"] * 4 + ["POST /b", "GET /c"]


def test_what_may_change_something_is_sent_once(site: _Site) -> None:
    site.late = 10
    [found] = run(site, HttpCheck("/", method="POST"), wait=10)
    assert isinstance(found, CheckResult)
    assert found.outcome.message == "status 404, expected 200"
    assert len(site.requests) == 1


def test_all_checks_run_and_a_dead_site_is_a_failure(site: _Site) -> None:
    found = run(site, HttpCheck("/", status=500), HttpCheck("/"))
    assert [each.outcome.status for each in found if isinstance(each, CheckResult)] == ["failed", "passed"]
    with Api("http://127.0.0.1:1", ApiKey("mk_1"), timeout=5) as api:
        manifest = Manifest(Path("mosaic.yaml"), verify=VerifySpec(http=(HttpCheck("/"),)))
        [dead] = run_checks(api, Project("p", "p", "http://127.0.0.1:1"), manifest, wait=0)
    assert isinstance(dead, CheckResult)
    assert dead.outcome.message.startswith("can't connect to 127.0.0.1:1")


def test_a_page_that_never_ends_fails(site: _Site) -> None:
    """Such as a stream of events: each of its chunks arrives in time."""
    [found] = run(site, HttpCheck("/endless", contains="tick"), timeout=0.3)
    assert isinstance(found, CheckResult)
    assert found.outcome.status is CheckStatus.FAILED
    assert "the response didn't end; " in found.outcome.message


def test_packed_pages(site: _Site) -> None:
    """What is counted is what takes memory."""
    packed = {"contains": "packed", "response_headers": {"Content-Encoding": "gzip"}}
    assert message(site, path="/gzip", **packed) == "passed: 200"
    assert message(site, path="/bomb") == "failed: the response is larger than 67.1 MB"
    twice = "failed: the response is packed more than once (Content-Encoding: gzip,gzip)"
    assert message(site, path="/gzip,gzip") == twice
