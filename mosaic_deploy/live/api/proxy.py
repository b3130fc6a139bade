"""The proxy for a request, as the environment or the system configures it."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from mosaic_deploy.errors import ProxyInvalid

_SCHEMES = ("http", "https")
_SOCKS_SCHEMES = ("socks5", "socks5h")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A usable proxy. `source` is the variable that sets it. `url` may have a password; show `str(proxy)`."""

    url: str
    source: str

    def __str__(self) -> str:
        return f"{_without_password(self.url)} ({self.source})"


def find_proxy(scheme: str, host: str, port: int | None) -> Proxy | None:
    """The proxy for requests to `host`, None for a direct connection. Raises ProxyInvalid."""
    proxies = getproxies()
    name = scheme if proxies.get(scheme) else "all"
    value = proxies.get(name)
    if not value or proxy_bypass(host if port is None else f"{host}:{port}"):
        return None
    url = value if "://" in value else f"http://{value}"
    _check_proxy(url, source := _source(name))
    return Proxy(url, source)


def _source(name: str) -> str:
    """The environment variable of a proxy; lower case comes first, as for curl."""
    for variable in (f"{name}_proxy", f"{name}_proxy".upper()):
        if os.environ.get(variable):
            return variable
    return "the system's settings"


def _check_proxy(url: str, source: str) -> None:
    """Raises ProxyInvalid if no request could be sent through it."""
    shown = _without_password(url)
    hint = f"set {source} to a URL such as http://proxy.example.com:3128, or unset it"
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and url.isprintable() and " " not in url
    except ValueError as error:
        raise ProxyInvalid(f"{source} isn't a proxy URL: {error}", hint=hint) from None
    scheme = parts.scheme.lower()
    if scheme in _SOCKS_SCHEMES and importlib.util.find_spec("socksio") is None:
        raise ProxyInvalid(
            f"{source} is a SOCKS proxy, which needs the Python package socksio: {shown}",
            hint=f"install it (pip install socksio), set {source} to an HTTP proxy, or exclude the host with NO_PROXY",
        )
    if scheme not in (*_SCHEMES, *_SOCKS_SCHEMES):
        raise ProxyInvalid(f"{source} has an unsupported scheme, {scheme}: {shown}", hint=hint)
    if not usable:
        raise ProxyInvalid(f"{source} isn't a proxy URL: {shown}", hint=hint)


def _without_password(url: str) -> str:
    """The URL without user and password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
