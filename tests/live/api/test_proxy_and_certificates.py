"""Proxies and certificates of the environment: used, or explained by their variable."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mosaic_deploy.errors import ApiError, CertificatesInvalid, ProxyInvalid, Unreachable
from mosaic_deploy.live.api.proxy import find_proxy
from mosaic_deploy.live.api.transport import Transport

_VARIABLES = [f"{name}_proxy" for name in ("http", "https", "all", "no", "ftp")]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def wired(*, loopback: bool = False) -> Iterator[Transport]:
    wire = Transport(loopback=loopback)
    try:
        yield wire
    finally:
        wire.close()


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, "None"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://p:1 (HTTPS_PROXY)"),
        ({"https_proxy": "p:1", "HTTPS_PROXY": "http://q:1"}, "http://p:1 (https_proxy)"),
        ({"HTTP_PROXY": "http://p:1"}, "None"),
        ({"ALL_PROXY": "https://u:secret@p"}, "https://p (ALL_PROXY)"),
        ({"ALL_PROXY": "http://p:1", "HTTPS_PROXY": ""}, "http://p:1 (ALL_PROXY)"),
        ({"FTP_PROXY": "ftp://p:1"}, "None"),
        ({"HTTPS_PROXY": "socks5://p", "NO_PROXY": "x.com,mosaic.site"}, "None"),
        ({"HTTPS_PROXY": "ftp://p", "no_proxy": "*"}, "None"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "saic.site"}, "http://p:1 (HTTPS_PROXY)"),
    ],
)
def test_the_proxy_of_a_request(variables: dict[str, str], found: str, monkeypatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(find_proxy("https", "api.mosaic.site", None)) == found


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "socks5://u:secret@p:1080",
            "is a SOCKS proxy, which needs the Python package socksio: socks5://p:1080",
        ),
        ("socks5h://p", "is a SOCKS proxy, which needs the Python package socksio: socks5h://p"),
        ("socks4://p", "has an unsupported scheme, socks4: socks4://p"),
        ("ftp://u:secret@p", "has an unsupported scheme, ftp: ftp://p"),
        ("http://", "isn't a proxy URL: http://"),
        ("http://p:99999", "isn't a proxy URL: Port out of range 0-65535"),
        ("http://p:port", "isn't a proxy URL: Port could not be cast to integer value as 'port'"),
        ("http://[::1", "isn't a proxy URL: Invalid IPv6 URL"),
        ("http://a proxy:1", "isn't a proxy URL: http://a proxy:1"),
        ("http://p:1\n", "isn't a proxy URL: http://p:1"),
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
def test_an_unusable_proxy_is_named_by_its_variable(
    value: str, message: str, variable: str, monkeypatch
) -> None:
    monkeypatch.setenv(variable, value)
    with wired() as wire, pytest.raises(ProxyInvalid) as caught:
        wire.request("GET", "https://api.mosaic.site/x", timeout=5)
    assert caught.value.message.startswith(f"{variable} {message}")
    assert "secret" not in f"{caught.value.message} {caught.value.hint}"
    assert not caught.value.retryable


@pytest.mark.parametrize("loopback", [True, False])
def test_this_machine_needs_no_proxy_and_no_certificates(loopback: bool, monkeypatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "ftp://p")
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    with Proxy() as server, wired(loopback=loopback) as wire:
        assert wire.request("GET", f"http://127.0.0.1:{server.server_port}/x", timeout=5).text == "/x"
        assert wire.request("GET", f"http://a.localhost:{server.server_port}/y", timeout=5).text == "/y"


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        content = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_CONNECT(self) -> None:
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Not on stderr."""


class Proxy(ThreadingHTTPServer):
    """Forwards nothing: answers GET with the URL, and CONNECT with `status`."""

    def __init__(self, status: int = 403, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = status
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """A client that doesn't trust the certificate hangs up."""


def failure(wire: Transport, url: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        wire.request("GET", url, timeout=5)
    return caught.value


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_proxy_that_refuses_is_named(status: int, monkeypatch) -> None:
    with Proxy(status) as server, wired() as wire:
        monkeypatch.setenv("HTTPS_PROXY", f"http://u:secret@127.0.0.1:{server.server_port}")
        error = failure(wire, "https://api.mosaic.site/x")
    assert isinstance(error, Unreachable)
    shown = f"http://127.0.0.1:{server.server_port} (HTTPS_PROXY)"
    assert error.message.startswith(f"the proxy {shown} didn't connect to api.mosaic.site: {status}")


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("http://127.0.0.1:1", "can't connect to the proxy http://127.0.0.1:1 (ALL_PROXY): [Errno"),
        ("http://nowhere.invalid:1", "can't find the host of the proxy http://nowhere.invalid:1 (ALL_PROXY)"),
    ],
)
def test_an_unreachable_proxy_is_named(proxy: str, words: str, monkeypatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with wired() as wire:
        error = failure(wire, "https://api.mosaic.site/x")
    assert isinstance(error, Unreachable)
    assert error.message.startswith(words)
    assert error.hint == "correct or unset ALL_PROXY, or exclude the host with NO_PROXY"


def test_requests_go_through_the_proxy(monkeypatch) -> None:
    with Proxy() as server, wired() as wire:
        monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{server.server_port}")
        assert wire.request("GET", "http://nowhere.invalid/x", timeout=5).text == "http://nowhere.invalid/x"
        assert wire.request("GET", "http://nowhere.invalid/y", timeout=5).status_code == 200


# --- certificates ---

URL = "https://api.mosaic.site/x"


@pytest.mark.parametrize(
    ("variable", "content", "reason"),
    [
        ("SSL_CERT_FILE", None, "No such file or directory"),
        ("SSL_CERT_FILE", "", "no certificates in it (NO_CERTIFICATE_OR_CRL_FOUND)"),
        ("SSL_CERT_FILE", "text", "no certificates in it (NO_CERTIFICATE_OR_CRL_FOUND)"),
        ("SSL_CERT_FILE", "folder", "Is a directory"),
        ("SSL_CERT_DIR", None, "No such file or directory"),
        ("SSL_CERT_DIR", "folder", "the folder is empty"),
        ("SSL_CERT_DIR", "text", "Not a directory"),
    ],
)
def test_unusable_certificates_are_named_by_their_variable(
    variable: str, content: str | None, reason: str, tmp_path: Path, monkeypatch
) -> None:
    place = tmp_path / "ca"
    if content == "folder":
        place.mkdir()
    elif content is not None:
        place.write_text(content)
    monkeypatch.setenv(variable, str(place))
    with wired() as wire:
        error = failure(wire, URL)
    assert isinstance(error, CertificatesInvalid)
    assert error.message == f"{variable} can't be used: {place}: {reason}"


def test_an_untrusted_certificate_is_explained(certificate, tmp_path: Path, monkeypatch) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    with Proxy(context=context) as server:
        url, address = (f"https://{host}:{server.server_port}/x" for host in ("localhost", "127.0.0.1"))
        with wired() as wire:
            error = failure(wire, url)
            assert isinstance(error, CertificatesInvalid)
            assert error.message == "the certificate of localhost isn't trusted: self-signed certificate"
            assert error.hint
            assert "set SSL_CERT_FILE to a file with its CA certificate" in error.hint
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate[0])
            assert (
                failure(wire, url).hint == "REQUESTS_CA_BUNDLE isn't read; set SSL_CERT_FILE to the same file"
            )
        monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
        with wired() as wire:
            assert wire.request("GET", url, timeout=5).text == "/x"
            mismatch = failure(wire, address)
            assert "127.0.0.1 isn't trusted: IP address mismatch" in mismatch.message
            assert mismatch.hint == "check MOSAIC_API_URL, and whether a proxy answers instead of that host"
