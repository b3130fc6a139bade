"""A proxy between the deployer and the platform that does one fault to one request."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.faults.fault import Answer, Fault, Forward, Reply, Strike
from tests.faults.requests_named import Request, name_of

_REQUESTS_UNTIL_SOON = 3
_SIGNAL_ARRIVES = 0.1
"""Seconds until a signal has certainly been handled, so the response doesn't overtake it."""
_OWN_HEADERS = {"host", "connection", "content-length", "transfer-encoding", "keep-alive"}


@dataclass(frozen=True)
class Message:
    """A request as it arrived."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    host: str
    body: bytes


@dataclass(frozen=True)
class Response:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class Aim:
    """A fault for one request of one run. `strike` carries out what the fault hits; `seen` are all requests."""

    fault: Fault | None = None
    target: Request | None = None
    strike: Callable[[Strike], None] = lambda _: None
    hold: float = 3.0
    seen: list[Request] = field(default_factory=list)
    fired: bool = False
    late: list[Message] = field(default_factory=list)


class Proxy:
    """Listens on `port` and forwards to the platform's port. URLs in responses lead through the proxy, too."""

    def __init__(self, platform_port: int) -> None:
        self._to = platform_port
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._aim = Aim()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.port: int = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def aim(self, aim: Aim) -> None:
        """From now on requests are counted from 1, and the aim's fault waits for its target."""
        with self._lock:
            self._aim, self._counts = aim, Counter()

    def deliver_late(self) -> list[int]:
        """Sends what was kept back. Returns the statuses."""
        with self._lock:
            messages, self._aim.late = self._aim.late, []
        found = [self._forward(message) for message in messages]
        return [response.status if response else 0 for response in found]

    def answer(self, message: Message) -> Response | Answer:
        """The response to a request, or what to do to the connection instead."""
        with self._lock:
            aim = self._aim
            name = name_of(message.method, message.path, message.body)
            self._counts[name] += 1
            request = Request(name, self._counts[name])
            aim.seen.append(request)
            fires = not aim.fired and aim.fault is not None and request == aim.target
            aim.fired = aim.fired or fires
            since = len(aim.seen) - aim.seen.index(aim.target) if aim.fired and aim.target else 0
        if fires and aim.fault:
            return self._fail(aim, aim.fault, message)
        if since == _REQUESTS_UNTIL_SOON + 1 and aim.fault and aim.fault.forward is Forward.SOON:
            self.deliver_late()
        return self._forward(message) or Answer.DROP

    def _fail(self, aim: Aim, fault: Fault, message: Message) -> Response | Answer:
        if fault.forward not in (Forward.NEVER, Forward.NOW):
            aim.late.append(message)
        if fault.before:
            aim.strike(fault.before)
            time.sleep(_SIGNAL_ARRIVES)
        response = None
        if fault.forward in (Forward.NOW, Forward.TWICE):
            response = self._forward(message)
        for strike in fault.after:
            aim.strike(strike)
            time.sleep(_SIGNAL_ARRIVES)
        if isinstance(fault.answer, Reply):
            headers = [("Content-Type", fault.answer.content_type), *fault.answer.headers.items()]
            return Response(fault.answer.status, headers, fault.answer.body.encode())
        if fault.answer is Answer.HOLD:
            time.sleep(aim.hold)
        if fault.answer is Answer.TRUNCATE and response:
            return _Truncated(response.status, response.headers, response.body)
        return response if fault.answer is Answer.PASS and response else Answer.DROP

    def _forward(self, message: Message) -> Response | None:
        """The platform's response; None if there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self._to, timeout=60)
        host = message.host.replace(f":{self.port}", f":{self._to}")
        try:
            connection.putrequest(message.method, message.path, skip_host=True, skip_accept_encoding=True)
            for name, value in [
                ("Host", host), *message.headers, ("Content-Length", str(len(message.body)))
            ]:  # fmt: skip
                connection.putheader(name, value)
            connection.endheaders(message.body)
            found = connection.getresponse()
            body = found.read().replace(f":{self._to}".encode(), f":{self.port}".encode())
            headers = [
                (name, value) for name, value in found.getheaders() if name.lower() not in _OWN_HEADERS
            ]
            return Response(found.status, headers, body)
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


class _Truncated(Response):
    """Only half of the body is sent."""


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = [
                (name, value) for name, value in self.headers.items() if name.lower() not in _OWN_HEADERS
            ]
            # Compressed bodies would hide URLs.
            headers = [(name, value) for name, value in headers if name.lower() != "accept-encoding"]
            answer = proxy.answer(
                Message(self.command, self.path, headers, self.headers.get("Host", ""), body)
            )
            if isinstance(answer, Answer):
                self._reset()
                return
            self.send_response_only(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if isinstance(answer, _Truncated):
                self.wfile.write(answer.body[: len(answer.body) // 2])
                self.close_connection = True
                return
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve  # noqa: N815 - names of http.server

        def _reset(self) -> None:
            """Ends the connection with a reset, once the handler's files are closed."""
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                return  # the deployer has gone

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                return

        def log_message(self, *_: object) -> None:
            pass

    return Handler
