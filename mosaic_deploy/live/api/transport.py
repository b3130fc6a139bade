"""Sends single requests with httpx, and translates its errors into errors.ApiError."""

from __future__ import annotations

import hashlib
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, TypedDict

import httpx

from mosaic_deploy import errors
from mosaic_deploy.live.api.certificates import trusted_certificates, without_certificates
from mosaic_deploy.live.api.connection_errors import translate_error
from mosaic_deploy.live.api.proxy import Proxy, find_proxy
from mosaic_deploy.model.quantities import size_text
from mosaic_deploy.version import __version__

_CONNECT_TIMEOUT = 10.0
_MAX_BOUNDED_BYTES = 64 * 1024 * 1024


@dataclass
class Traffic:
    """Number of requests sent, and the bytes of their bodies. Thread-safe."""

    requests: int = 0
    bytes_sent: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, requests: int = 0, bytes_sent: int = 0) -> None:
        with self._lock:
            self.requests += requests
            self.bytes_sent += bytes_sent


@dataclass(frozen=True, slots=True)
class FetchedDigest:
    """The response of a URL: digest and size of its body; `etag` and `location` are empty if missing."""

    status: int
    sha256: str
    size: int
    etag: str = ""
    location: str = ""


class Sent(TypedDict, total=False):
    """What a request sends besides its method and URL."""

    headers: Mapping[str, str]
    content: bytes | None


class Transport:
    """Sends requests over reused connections. Thread-safe; raises only subclasses of errors.ApiError.

    Each connection serves one request at a time. httpx.Client isn't used because its pool checks every connection for
    every request under a lock, which dominated the time of sending thousands of small files.
    """

    def __init__(
        self,
        *,
        loopback: bool,
        transport: httpx.BaseTransport | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        self.traffic = traffic or Traffic()
        self._injected_transport = transport
        self._loopback = loopback
        self._tls: ssl.SSLContext | None = None
        self._routes: dict[tuple[str, str, int | None], _Route] = {}
        self._idle_connections: defaultdict[_Route, deque[httpx.BaseTransport]] = defaultdict(deque)
        self._closed = False

    @property
    def is_injected(self) -> bool:
        return self._injected_transport is not None

    def close(self) -> None:
        self._closed = True
        if self._injected_transport:
            self._injected_transport.close()
        for idle in list(self._idle_connections.values()):
            while idle:
                idle.pop().close()

    def fetch_digest(self, url: str, *, timeout: float, etag: str = "") -> FetchedDigest:
        """GETs `url` and digests the body while reading it. With `etag`, asks only for other content (304)."""
        headers = {"If-None-Match": etag} if etag else {}
        with self.stream(url, timeout=timeout, headers=headers) as response:
            digest, size = hashlib.sha256(), 0
            for chunk in response.iter_bytes():
                digest.update(chunk)
                size += len(chunk)
            found = response.headers
            tag, location = found.get("etag", ""), found.get("location", "")
            return FetchedDigest(response.status_code, digest.hexdigest(), size, tag, location)

    @contextmanager
    def stream(self, url: str, *, timeout: float, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """The response to a GET, whatever its status. Its body can be read until the context ends, not compressed."""
        sent = {"Accept-Encoding": "identity", **headers}
        with self._translated_errors("GET", url), self._stream("GET", url, timeout, sent) as response:
            yield response

    def request(
        self,
        method: str,
        url: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        content: bytes | Iterable[bytes] | None = None,
        bounded: bool = False,
    ) -> httpx.Response:
        """Sends one request and returns the response, whatever its status. `timeout` is seconds without progress.

        With `bounded`, the whole body must arrive in that time, and may have 64 MiB unpacked: a page may never end.
        """
        with (
            self._translated_errors(method, url),
            self._stream(method, url, timeout, headers, json, content) as response,
        ):
            if bounded:
                return _read_bounded(response, timeout)
            response.read()
            return response

    @contextmanager
    def _stream(
        self,
        method: str,
        url: str,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        content: bytes | Iterable[bytes] | None = None,
    ) -> Iterator[httpx.Response]:
        target, host_header = loopback_target(url)
        request = httpx.Request(
            method,
            target,
            headers={**_HEADERS, **host_header, **(headers or {})},
            json=json,
            content=content,
            extensions={"timeout": _timeouts(timeout)},
        )
        self.traffic.add(requests=1, bytes_sent=int(request.headers.get("Content-Length", 0)))
        with self._connection(target) as connection:
            response = connection.handle_request(request)
            response.request = request
            with closing(response):
                yield response

    @contextmanager
    def _connection(self, url: httpx.URL) -> Iterator[httpx.BaseTransport]:
        """A connection for one request. It is reused unless the request failed."""
        if self._injected_transport:
            yield self._injected_transport
            return
        route = self._route(url)
        try:
            connection = self._idle_connections[route].pop()
        except IndexError:
            connection = self._open_connection(route)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if self._closed:
            connection.close()
        else:
            self._idle_connections[route].append(connection)

    def _route(self, url: httpx.URL) -> _Route:
        """How to reach the host of `url`. Raises ProxyInvalid."""
        key = (url.scheme, url.host, url.port)
        if key not in self._routes:
            direct = self._loopback or is_loopback(str(url))
            self._routes[key] = _Route(url.scheme == "https", None if direct else find_proxy(*key))
        return self._routes[key]

    def _open_connection(self, route: _Route) -> httpx.BaseTransport:
        """Raises CertificatesInvalid. Without TLS, certificates don't matter, so they aren't read."""
        proxy_tls = route.proxy is not None and route.proxy.url.startswith("https:")
        if route.tls or proxy_tls:
            self._tls = self._tls or trusted_certificates()
        proxy = (
            httpx.Proxy(route.proxy.url, ssl_context=self._tls if proxy_tls else None)
            if route.proxy
            else None
        )
        context = self._tls if route.tls and self._tls else without_certificates()
        return httpx.HTTPTransport(verify=context, limits=_CONNECTION_LIMITS, proxy=proxy)

    @contextmanager
    def _translated_errors(self, method: str, url: str) -> Iterator[None]:
        try:
            yield
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise errors.ApiUrlInvalid(
                f"invalid URL: {url} ({str(error) or type(error).__name__})",
                hint="check that MOSAIC_API_URL is a complete http(s) URL",
            ) from error
        except UnicodeEncodeError as error:
            raise errors.RequestRefused(
                f"{method} wasn't sent: its text has characters that aren't valid Unicode, such as {error.object[error.start]!r}"
            ) from error
        except httpx.HTTPError as error:
            target, _ = loopback_target(url)
            proxy = None if self._injected_transport else self._route(target).proxy
            raise translate_error(error, method, url, proxy) from error


def _read_bounded(response: httpx.Response, seconds: float) -> httpx.Response:
    """The response with its body, which must end within `seconds` and, unpacked, _MAX_BOUNDED_BYTES.

    Raises ResponseInvalid.
    """
    coding = response.headers.get("Content-Encoding", "")
    if "," in coding:
        # Each one multiplies by up to a thousand, before any of it can be counted.
        raise errors.ResponseInvalid(f"the response is packed more than once (Content-Encoding: {coding})")
    chunks, size, until = [], 0, time.monotonic() + seconds
    for chunk in response.iter_bytes():
        chunks.append(chunk)
        size += len(chunk)
        if size > _MAX_BOUNDED_BYTES:
            raise errors.ResponseInvalid(f"the response is larger than {size_text(_MAX_BOUNDED_BYTES)}")
        if time.monotonic() > until:
            raise errors.ResponseInvalid(f"the response didn't end; {size_text(size)} of it were read")
    read = httpx.Response(response.status_code, content=b"".join(chunks), request=response.request)
    # Only now: with Content-Encoding it would unpack the body again.
    read.headers = response.headers
    return read


class _Route(NamedTuple):
    """Connections are shared by requests with the same route."""

    tls: bool
    proxy: Proxy | None


_CONNECTION_LIMITS = httpx.Limits(max_connections=8, max_keepalive_connections=8)
"""One is used at a time; the others are to other hosts, such as that of upload URLs."""
_HEADERS = {"User-Agent": f"mosaic-deploy/{__version__}", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}


@lru_cache(maxsize=16)
def _timeouts(seconds: float) -> dict[str, float | None]:
    return httpx.Timeout(seconds, connect=min(seconds, _CONNECT_TIMEOUT)).as_dict()


def is_loopback(url: str) -> bool:
    """Whether `url` is on this machine, so it is requested without a proxy."""
    try:
        host = httpx.URL(url).host
    except httpx.InvalidURL:
        return False  # the first request reports it
    return host in {"127.0.0.1", "localhost", "::1"} or host.endswith(".localhost")


def loopback_target(url: str) -> tuple[httpx.URL, dict[str, str]]:
    """The URL to connect to, and headers. `*.localhost` is 127.0.0.1 by RFC 6761, but not every resolver knows that."""
    parsed = _parse_url(url)
    if not parsed.host.endswith(".localhost"):
        return parsed, {}
    return parsed.copy_with(host="127.0.0.1"), {"Host": parsed.netloc.decode()}


@lru_cache(maxsize=64)
def _parse_url(url: str) -> httpx.URL:
    return httpx.URL(url)
