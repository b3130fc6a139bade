"""Downloads that break off, are answered otherwise than asked, or aren't the listed file."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator

import httpx
import pytest

from mosaic_deploy.errors import ApiError, Interrupted
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.download import download

CONTENT = bytes(range(256)) * 40
URL = "https://files.example/a"
Answer = Callable[[httpx.Request], httpx.Response]


class _Broken(httpx.SyncByteStream):
    """The first bytes, and then a connection that breaks."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content
        raise httpx.ReadError("connection reset")


def _broken(first: int, last: int, status: int = 200, **headers: str) -> Answer:
    return lambda _: httpx.Response(status, headers=headers, stream=_Broken(CONTENT[first:last]))


def _whole(content: bytes = CONTENT, status: int = 200, **headers: str) -> Answer:
    return lambda _: httpx.Response(status, headers=headers, content=content)


def _rest(request: httpx.Request) -> httpx.Response:
    first = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
    headers = {
        "content-range": f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}",
        "etag": request.headers["if-range"],
    }
    return httpx.Response(206, headers=headers, content=CONTENT[first:])


def _fetch(answers: list[Answer], size: int | None = len(CONTENT)) -> tuple[bytes, list[httpx.Request]]:
    """What is written, and the requests."""
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return answers[min(len(requests), len(answers)) - 1](request)

    file = io.BytesIO()
    transport = httpx.MockTransport(handle)
    with Api("https://api.example", ApiKey("mk_x"), transport=transport, sleep=lambda _: None) as api:
        found = download(api, "a", URL, size, file, lambda _: None)
    assert (hashlib.sha256(file.getvalue()).hexdigest(), len(file.getvalue())) == (found.sha256, found.size)
    assert not any("x-api-key" in request.headers for request in requests)
    return file.getvalue(), requests


@pytest.mark.parametrize(
    ("answers", "ranges"),
    [
        ([_whole()], [None]),
        ([_broken(0, 1000, etag='"1"'), _rest], [None, "bytes=1000-"]),
        ([_broken(0, 1000, etag='"1"'), _broken(1000, 3000, 206, **{"content-range": "bytes 1000-10239/10240", "etag": '"1"'}), _rest],
         [None, "bytes=1000-", "bytes=3000-"]),
        # Nothing says that the rest would be of the same content.
        ([_broken(0, 1000), _whole()], [None, None]),
        ([_broken(0, 1000, etag='W/"1"'), _whole()], [None, None]),
        # The content was replaced: it comes whole.
        ([_broken(0, 1000, etag='"1"'), _whole(etag='"2"')], [None, "bytes=1000-"]),
        ([_broken(0, 1000, etag='"1"'), _whole(b"", 416), _whole()], [None, "bytes=1000-", None]),
        ([_broken(0, 1000, etag='"1"'), _whole(b"no", 206, **{"content-range": "bytes 5-6/10240"}), _whole()],
         [None, "bytes=1000-", None]),
        ([_whole(b"busy", 503), _whole(b"slow", 429), _whole()], [None, None, None]),
        ([_whole(b"", 302, location="/b"), _whole()], [None, None]),
    ],
)  # fmt: skip
def test_the_file_arrives_whole(answers: list[Answer], ranges: list[str | None]) -> None:
    content, requests = _fetch(answers)
    assert content == CONTENT
    assert [request.headers.get("range") for request in requests] == ranges


@pytest.mark.parametrize(
    ("answers", "code", "message"),
    [
        ([_whole(b"short")], "response_invalid", "storage lists 10240 bytes, but 5 arrived"),
        ([_whole(b"", 404)], "not_found", "HTTP 404"),
        ([_whole(b"", 403)], "forbidden", "HTTP 403"),
        ([_whole(b"", 500)], "server_failed", "HTTP 500"),
        ([_broken(0, 0)], "response_lost", "connection reset"),
        ([_whole(b"", 301, location="http://files.example/a")], "response_invalid", "isn't encrypted"),
        ([_whole(b"", 301, location="/a")], "response_invalid", "redirects too often"),
        ([_whole(b"", 301, location="https://[b")], "response_invalid", "to an address that isn't a URL"),
        ([_whole(b"", 301, location="javascript:x")], "response_invalid", "isn't encrypted"),
        ([_whole(b"", 206, **{"content-range": f"bytes {'9' * 5000}-/1"})], "response_lost", "another part"),
        ([_whole(b"", 429, **{"retry-after": "3600"})], "rate_limited", "HTTP 429"),
    ],
)
def test_what_fails(answers: list[Answer], code: str, message: str) -> None:
    with pytest.raises(ApiError) as raised:
        _fetch(answers)
    assert (raised.value.code, message in raised.value.message) == (code, True), raised.value.message


def test_an_interrupt_stops_it() -> None:
    def handle(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=iter([b"a", b"b"]))

    with (
        Api("https://api.example", ApiKey("mk_x"), transport=httpx.MockTransport(handle)) as api,
        pytest.raises(Interrupted),
    ):
        download(api, "a", URL, None, io.BytesIO(), lambda _: api.rate_limiter.cancel())


def test_a_file_of_unknown_size() -> None:
    assert _fetch([_whole(b"")], None)[0] == b""
