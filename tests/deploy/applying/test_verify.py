"""HTTP checks against a page that is late or missing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mosaic_deploy.deploy.applying import verify
from mosaic_deploy.errors import Location, VerifyFailed
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.event import Verified, Waiting
from mosaic_deploy.model.manifest import HttpCheck

_PLACE = Location("mosaic.yaml", 3, 5)


class _Site(ThreadingHTTPServer):
    late = 0
    """Responds 404 until the page is there."""


class _Page(BaseHTTPRequestHandler):
    server: _Site

    def do_GET(self) -> None:
        there = self.server.late <= 0
        self.server.late -= 1
        self.send_response(200 if there else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Not on stderr."""


@pytest.fixture
def site() -> Iterator[_Site]:
    with _Site(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("late", "waits"), [(0, 0), (3, 1)])
def test_a_late_page_is_awaited_with_one_event(site: _Site, late: int, waits: int, monkeypatch) -> None:
    monkeypatch.setattr(verify, "_POLL_INTERVAL", 0.01)
    site.late = late
    url = f"http://127.0.0.1:{site.server_port}/"
    with Api(url, ApiKey("mk_1")) as api:
        *before, last = verify._await_check(api, url, HttpCheck("/"), _PLACE)
    assert isinstance(last, Verified)
    assert len(before) == waits
    for event in before:
        assert isinstance(event, Waiting)
        assert event.reason == f"for {url}, up to 10 s: status 404, expected 200"


def test_a_missing_page_fails_after_the_timeout(site: _Site, monkeypatch) -> None:
    monkeypatch.setattr(verify, "_POLL_INTERVAL", 0.01)
    monkeypatch.setattr(verify, "_CHECK_TIMEOUT", 0.2)
    site.late = 10**6
    url = f"http://127.0.0.1:{site.server_port}/"
    with Api(url, ApiKey("mk_1")) as api:
        events = verify._await_check(api, url, HttpCheck("/"), _PLACE)
        assert isinstance(next(events), Waiting)
        with pytest.raises(VerifyFailed, match="status 404, expected 200") as caught:
            next(events)
    assert caught.value.location == _PLACE
