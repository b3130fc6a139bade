"""Maps httpx's errors to errors.ApiError."""

from __future__ import annotations

import socket

import httpx

from mosaic_deploy import errors
from mosaic_deploy.live.api.certificates import certificate_error
from mosaic_deploy.live.api.proxy import Proxy

_RESPONSE_LOST_ERRORS = (
    httpx.ReadError,
    httpx.WriteError,
    httpx.CloseError,
    httpx.ReadTimeout,
    httpx.WriteTimeout,
    httpx.RemoteProtocolError,
    httpx.DecodingError,
)
_UNREACHABLE_ERRORS = (httpx.ConnectError, httpx.PoolTimeout, httpx.ConnectTimeout, httpx.ProxyError)


def translate_error(
    error: httpx.HTTPError, method: str, url: str, proxy: Proxy | None = None
) -> errors.ApiError:
    host = httpx.URL(url).netloc.decode()
    if distrusted := certificate_error(error, httpx.URL(url).host):
        return distrusted
    if isinstance(error, _UNREACHABLE_ERRORS):
        return _proxy_failed(error, host, proxy) if proxy else _host_failed(error, url)
    if isinstance(error, _RESPONSE_LOST_ERRORS):
        return errors.ResponseLost(
            f"no complete response from {host} to {method}: {error or type(error).__name__}",
            mutation_state="unknown",
        )
    return errors.ResponseInvalid(f"{method} {host}: {error or type(error).__name__}")


def _host_failed(error: httpx.HTTPError, url: str) -> errors.Unreachable:
    target = httpx.URL(url)
    message = f"can't connect to {target.netloc.decode()}: {_connect_reason(error)}"
    if _is_unknown_host(error):
        message = f"can't find the host {target.host}"
    return errors.Unreachable(message, hint="check the network and MOSAIC_API_URL")


def _proxy_failed(error: httpx.HTTPError, host: str, proxy: Proxy) -> errors.Unreachable:
    message = f"can't connect to the proxy {proxy}: {_connect_reason(error)}"
    if isinstance(error, httpx.ProxyError):
        message = f"the proxy {proxy} didn't connect to {host}: {error}"
    elif _is_unknown_host(error):
        message = f"can't find the host of the proxy {proxy}"
    hint = f"correct or unset {proxy.source}, or exclude the host with NO_PROXY"
    return errors.Unreachable(message, hint=hint)


def _connect_reason(error: httpx.HTTPError) -> str:
    timed_out = isinstance(error, httpx.PoolTimeout | httpx.ConnectTimeout)
    return "timed out" if timed_out else str(error) or type(error).__name__


def _is_unknown_host(error: BaseException) -> bool:
    """Whether a failed name lookup caused the error."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, socket.gaierror):
        cause = cause.__cause__ or cause.__context__
    return isinstance(error, httpx.ConnectError) and cause is not None
