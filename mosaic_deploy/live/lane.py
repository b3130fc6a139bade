"""One request at a time over kept connections: httpx's requests, carried by the standard library's HTTP/1.1.

httpx's own transport takes three times as long for a small request, which with thousands of small files is most of what
an apply costs on this side. Errors are httpx's, so that `wire` has one kind to translate.
"""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from typing import Any, cast

import httpx

_KEPT = 5.0
"""Seconds that an idle connection is trusted: beyond that something between here and there may have dropped it."""
_READ = 64 * 1024
_JOINED = 64 * 1024
"""Bytes of a body that travel together with the head."""
_HOSTS = 8
"""Hosts that a lane keeps a connection to: the API's, the one of its upload URLs."""

Origin = tuple[str, str, int]
"""Scheme, host, port."""


class Lane(httpx.BaseTransport):
    """A transport for one request at a time; its answer is read or closed before the next.

    `tls` is asked when the first https connection is made. Raises httpx.TransportError's children.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._tls = tls
        self._kept: dict[Origin, _Connection] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        timeouts = request.extensions["timeout"]
        connection = self._connected(_origin(request.url), timeouts["connect"])
        connection.wire.settimeout(timeouts["read"])
        try:
            whole = _send(connection, request)
            found = _received(connection)
        except BaseException:
            connection.close()
            raise
        if not whole:
            found.will_close = True
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in found.headers.items()]
        return httpx.Response(
            found.status,
            headers=headers,
            stream=_Body(found, connection),
            extensions={"reason_phrase": found.reason.encode("latin-1")},
        )

    def close(self) -> None:
        while self._kept:
            self._kept.popitem()[1].close()

    @property
    def usable(self) -> bool:
        """Whether a connection is kept that the other side hasn't closed."""
        return any(connection.usable for connection in self._kept.values())

    def _connected(self, origin: Origin, timeout: float) -> _Connection:
        kept = self._kept.get(origin)
        if kept is not None:
            if kept.usable:
                return kept
            kept.close()
        elif len(self._kept) >= _HOSTS:
            self.close()
        scheme, host, port = origin
        made: _Connection = (
            _Secure(host, port, timeout=timeout, context=self._tls())
            if scheme == "https"
            else _Connection(host, port, timeout=timeout)
        )
        with _while_connecting():
            made.connect()
        self._kept[origin] = made
        return made


class _Lines:
    """The lines of a head as they are read, and the last of them."""

    def __init__(self, reading: BufferedIOBase) -> None:
        self._reading = reading
        self.last = b""

    def readline(self, limit: int) -> bytes:
        self.last = self._reading.readline(limit)
        return self.last

    def close(self) -> None:
        self._reading.close()


class _Answer(http.client.HTTPResponse):
    """An answer whose head has an end: to the standard library a head that breaks off is a short one."""

    def begin(self) -> None:
        reading = self.fp
        lines = _Lines(reading)
        self.fp = cast("Any", lines)
        try:
            super().begin()
        finally:
            # Where it fails the standard library may have closed and forgotten it.
            self.fp = reading if self.fp is not None else self.fp
        if lines.last not in (b"\r\n", b"\n"):
            raise http.client.IncompleteRead(lines.last)


class _Connection(http.client.HTTPConnection):
    """Holds what it is given to send until `flush`: the head and a small body are one packet."""

    response_class = _Answer

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]
        self._held: list[bytes] = []
        self.since = time.monotonic()

    @property
    def wire(self) -> socket.socket:
        return cast("socket.socket", self.sock)

    @property
    def usable(self) -> bool:
        """Nothing comes unasked over an idle connection but its end."""
        if self.sock is None or time.monotonic() - self.since > _KEPT:
            return False
        return not _readable(self.wire)

    def send(self, data: object) -> None:
        self._held.append(cast("bytes", data))

    def flush(self) -> None:
        """Sends what is held. The timeout is of each step, not of the whole: `sendall` would make it that."""
        left = memoryview(b"".join(self._held))
        self._held.clear()
        while left:
            left = left[self.wire.send(left) :]


class _Secure(_Connection, http.client.HTTPSConnection):
    """The same over TLS."""


class _Body(httpx.SyncByteStream):
    """An answer's body as it comes; a connection whose answer wasn't read to its end isn't used again."""

    def __init__(self, found: http.client.HTTPResponse, connection: _Connection) -> None:
        self._found = found
        self._connection = connection

    def __iter__(self) -> Iterator[bytes]:
        with _while_reading():
            while chunk := self._found.read(_READ):
                yield chunk
            if self._found.length:
                # A body that ends early is no error to the standard library.
                raise httpx.RemoteProtocolError(f"the answer ended {self._found.length} bytes early")

    def close(self) -> None:
        if self._found.will_close or not self._found.isclosed():
            self._found.close()
            self._connection.close()
        self._connection.since = time.monotonic()


def _origin(url: httpx.URL) -> Origin:
    scheme = url.scheme
    if scheme not in ("http", "https"):
        raise httpx.UnsupportedProtocol(f"the scheme {scheme!r} is neither http nor https")
    return scheme, url.raw_host.decode("ascii"), url.port or (443 if scheme == "https" else 80)


def _send(connection: _Connection, request: httpx.Request) -> bool:
    """Sends the request; False where the other side stopped reading it: it may have answered already."""
    try:
        connection.putrequest(
            request.method, request.url.raw_path.decode("ascii"), skip_host=True, skip_accept_encoding=True
        )
        for name, value in request.headers.raw:
            connection.putheader(name, _without_nul(value))
        connection.endheaders()
    except ValueError as error:
        raise httpx.LocalProtocolError(str(error)) from error
    left = int(request.headers.get("content-length", 0))
    # What reading the body raises is not the connection's failure, and passes as it is.
    for chunk in cast("httpx.SyncByteStream", request.stream):
        left -= len(chunk)
        if left < 0:
            break
        if len(chunk) > _JOINED and not _flushed(connection):
            return False
        connection.send(chunk)
        if left and not _flushed(connection):
            return False
    if left:
        raise httpx.LocalProtocolError(f"the body isn't as long as its Content-Length says ({-left:+} bytes)")
    return _flushed(connection)


def _without_nul(value: bytes) -> bytes:
    """What else no header may hold, the standard library refuses itself."""
    if b"\0" in value:
        raise ValueError("a header's value holds a NUL")
    return value


def _flushed(connection: _Connection) -> bool:
    try:
        connection.flush()
    except TimeoutError as error:
        raise httpx.WriteTimeout(str(error)) from error
    except OSError:
        return False
    return True


def _received(connection: _Connection) -> http.client.HTTPResponse:
    with _while_reading():
        found = connection.getresponse()
    if found.status < 200:
        raise httpx.RemoteProtocolError(f"an answer with status {found.status} was not asked for")
    return found


def _readable(wire: socket.socket) -> bool:
    if not hasattr(select, "poll"):
        return bool(select.select([wire], [], [], 0)[0])
    # `select` can't take the numbers that a process with many open files has.
    poll = select.poll()
    poll.register(wire, select.POLLIN)
    return bool(poll.poll(0))


@contextmanager
def _while_connecting() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise httpx.ConnectTimeout(str(error)) from error
    except (OSError, UnicodeError, ValueError) as error:
        raise httpx.ConnectError(str(error)) from error


@contextmanager
def _while_reading() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise httpx.ReadTimeout(str(error)) from error
    except OSError as error:
        raise httpx.ReadError(str(error)) from error
    except http.client.HTTPException as error:
        raise httpx.RemoteProtocolError(str(error) or type(error).__name__) from error
