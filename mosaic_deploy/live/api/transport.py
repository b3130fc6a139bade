"""The seam to httpx: one request, with httpx's errors translated into ours."""

from __future__ import annotations

import hashlib
import ssl
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.request import getproxies

import httpx

from mosaic_deploy import errors
from mosaic_deploy.version import __version__

_LOST = (
    httpx.ReadError,
    httpx.WriteError,
    httpx.CloseError,
    httpx.ReadTimeout,
    httpx.WriteTimeout,
    httpx.RemoteProtocolError,
)
_UNREACHED = (httpx.ConnectError, httpx.PoolTimeout, httpx.ConnectTimeout, httpx.ProxyError)
_CONNECT_TIMEOUT = 10.0


@dataclass
class Traffic:
    """What was sent so far: requests, and the bytes of their bodies. Safe to add to from several threads."""

    requests: int = 0
    bytes_sent: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, requests: int = 0, bytes_sent: int = 0) -> None:
        with self._lock:
            self.requests += requests
            self.bytes_sent += bytes_sent


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a URL answered: the digest of its bytes and their number; `etag` and `location` empty where not told."""

    status: int
    sha256: str
    size: int
    etag: str = ""
    location: str = ""


class Wire:
    """Connections, kept for the next request. Safe to use from several threads; raises errors.ApiError's children only.

    A lane is a transport that one request uses at a time. httpx's client with its shared pool looks at every connection for
    every request, under a lock; sending thousands of small files, that took longer than all else.
    """

    def __init__(self, *, loopback: bool, transport: httpx.BaseTransport | None = None) -> None:
        self.traffic = Traffic()
        self._given = transport
        self._tls: ssl.SSLContext | None = None
        self._proxied = None if transport or loopback or not getproxies() else _client()
        self._free: deque[httpx.BaseTransport] = deque()
        self._closed = False

    def close(self) -> None:
        self._closed = True
        if self._proxied:
            self._proxied.close()
        if self._given:
            self._given.close()
        while self._free:
            self._free.pop().close()

    def digest(self, url: str, *, timeout: float, etag: str = "") -> Fetched:
        """GETs `url` and digests its body as it comes, however long it is; with `etag`, only where it is another."""
        headers = {"Accept-Encoding": "identity", **({"If-None-Match": etag} if etag else {})}
        with _ours("GET", url), self._answer("GET", url, timeout, headers) as response:
            digest, size = hashlib.sha256(), 0
            for chunk in response.iter_bytes():
                digest.update(chunk)
                size += len(chunk)
            found = response.headers
            tag, location = found.get("etag", ""), found.get("location", "")
            return Fetched(response.status_code, digest.hexdigest(), size, tag, location)

    def request(
        self,
        method: str,
        url: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        content: bytes | Iterable[bytes] | None = None,
    ) -> httpx.Response:
        """One request, one response whatever its status. `timeout` is seconds without a byte moving."""
        with _ours(method, url), self._answer(method, url, timeout, headers, json, content) as response:
            response.read()
            return response

    @contextmanager
    def _answer(
        self,
        method: str,
        url: str,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        content: bytes | Iterable[bytes] | None = None,
    ) -> Iterator[httpx.Response]:
        target, named = loopback_target(url)
        request = httpx.Request(
            method,
            target,
            headers={**_HEADERS, **named, **(headers or {})},
            json=json,
            content=content,
            extensions={"timeout": _timeouts(timeout)},
        )
        self.traffic.add(requests=1, bytes_sent=int(request.headers.get("Content-Length", 0)))
        if self._proxied:
            response = self._proxied.send(request, stream=True)
            with closing(response):
                yield response
            return
        with self._lane() as lane:
            response = lane.handle_request(request)
            response.request = request
            with closing(response):
                yield response

    @contextmanager
    def _lane(self) -> Iterator[httpx.BaseTransport]:
        """A lane that nobody else uses; one that failed isn't used again."""
        if self._given:
            yield self._given
            return
        try:
            lane = self._free.pop()
        except IndexError:
            lane = self._open()
        try:
            yield lane
        except BaseException:
            lane.close()
            raise
        if self._closed:
            lane.close()
        else:
            self._free.append(lane)

    def _open(self) -> httpx.BaseTransport:
        self._tls = self._tls or httpx.create_ssl_context()
        return httpx.HTTPTransport(verify=self._tls, limits=_PER_LANE)


_PER_LANE = httpx.Limits(max_connections=8, max_keepalive_connections=8)
"""One at a time is used; the others are to other hosts, such as the one of the upload URLs."""
_HEADERS = {"User-Agent": f"mosaic-deploy/{__version__}", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}


def _client() -> httpx.Client:
    """What knows which proxy stands before which host."""
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    return httpx.Client(limits=limits, follow_redirects=False)


@contextmanager
def _ours(method: str, url: str) -> Iterator[None]:
    """httpx's errors as ours."""
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise errors.RequestRefused(
            f"not a URL that can be asked: {url} ({error})", hint="is MOSAIC_API_URL a whole http(s) URL?"
        ) from error
    except httpx.HTTPError as error:
        raise translate(error, method, url) from error


@lru_cache(maxsize=16)
def _timeouts(seconds: float) -> dict[str, float | None]:
    return httpx.Timeout(seconds, connect=min(seconds, _CONNECT_TIMEOUT)).as_dict()


def is_loopback(url: str) -> bool:
    """Whether `url` is on this machine, where no proxy belongs in between."""
    try:
        host = httpx.URL(url).host
    except httpx.InvalidURL:
        return False  # the first request tells
    return host in {"127.0.0.1", "localhost", "::1"} or host.endswith(".localhost")


def loopback_target(url: str) -> tuple[httpx.URL, dict[str, str]]:
    """`*.localhost` is this machine by RFC 6761, but not every resolver knows: ask 127.0.0.1 by that name."""
    parsed = _parsed(url)
    if not parsed.host.endswith(".localhost"):
        return parsed, {}
    return parsed.copy_with(host="127.0.0.1"), {"Host": parsed.netloc.decode()}


@lru_cache(maxsize=64)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


def translate(error: httpx.HTTPError, method: str, url: str) -> errors.ApiError:
    """httpx's error as ours."""
    host = httpx.URL(url).netloc.decode()
    if isinstance(error, httpx.PoolTimeout | httpx.ConnectTimeout):
        return errors.Unreachable(
            f"no connection to {host} in time", hint="is the network up, and the URL right?"
        )
    if isinstance(error, _UNREACHED):
        return errors.Unreachable(
            f"no connection to {host}: {error}", hint="is the network up, and the URL right?"
        )
    if isinstance(error, _LOST):
        return errors.ResponseLost(
            f"no answer from {host} to {method}: {error or type(error).__name__}", mutation_state="unknown"
        )
    return errors.ResponseInvalid(f"{method} {host}: {error or type(error).__name__}")
