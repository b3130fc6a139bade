"""The seam to httpx: one request, with httpx's errors translated into ours."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

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
    """What was sent so far; safe to add to from several threads."""

    requests: int = 0
    bytes_sent: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, requests: int = 0, bytes_sent: int = 0) -> None:
        with self._lock:
            self.requests += requests
            self.bytes_sent += bytes_sent


class Wire:
    """A pool of connections. Safe to use from several threads; raises errors.ApiError's children only."""

    def __init__(self, *, loopback: bool, transport: httpx.BaseTransport | None = None) -> None:
        self.traffic = Traffic()
        self._http = httpx.Client(
            transport=transport,
            headers={"User-Agent": f"mosaic-deploy/{__version__}"},
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=64),
            trust_env=not loopback,
            follow_redirects=False,
        )

    def close(self) -> None:
        self._http.close()

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
        try:
            target, named = loopback_target(url)
            self.traffic.add(requests=1)
            return self._http.request(
                method,
                target,
                headers={**named, **(headers or {})},
                json=json,
                content=content,
                timeout=httpx.Timeout(timeout, connect=min(timeout, _CONNECT_TIMEOUT)),
            )
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise errors.RequestRefused(
                f"not a URL that can be asked: {url} ({error})", hint="is MOSAIC_API_URL a whole http(s) URL?"
            ) from error
        except httpx.HTTPError as error:
            raise translate(error, method, url) from error


def is_loopback(url: str) -> bool:
    """Whether `url` is on this machine, where no proxy belongs in between."""
    try:
        host = httpx.URL(url).host
    except httpx.InvalidURL:
        return False  # the first request tells
    return host in {"127.0.0.1", "localhost", "::1"} or host.endswith(".localhost")


def loopback_target(url: str) -> tuple[str, dict[str, str]]:
    """`*.localhost` is this machine by RFC 6761, but not every resolver knows: ask 127.0.0.1 by that name."""
    parsed = httpx.URL(url)
    if not parsed.host.endswith(".localhost"):
        return url, {}
    return str(parsed.copy_with(host="127.0.0.1")), {"Host": parsed.netloc.decode()}


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
