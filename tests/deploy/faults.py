"""Transports between the client and the real platform that fail like a network."""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx


class LosingAnswers(httpx.BaseTransport):
    """Sends requests, and loses the response of the first one that `lose` selects."""

    def __init__(self, lose: Callable[[httpx.Request], bool]) -> None:
        self._inner = httpx.HTTPTransport()
        self._lose = lose
        self.lost = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        if not self.lost and self._lose(request):
            response.read()
            response.close()
            self.lost += 1
            raise httpx.ReadError("the connection was reset", request=request)
        return response

    def close(self) -> None:
        self._inner.close()


class Dying(httpx.BaseTransport):
    """Simulates a crash: after `count` requests that `counted` selects, no request gets through.

    With `after`, the request that dies still reaches the platform; only its answer is gone.
    """

    def __init__(self, count: int, counted: Callable[[httpx.Request], bool], *, after: bool = False) -> None:
        self._inner = httpx.HTTPTransport()
        self._left = count
        self._counted = counted
        self._after = after
        self.dead = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not self.dead and self._counted(request):
            if self._left == 0:
                self.dead = True
                if self._after:
                    answer = self._inner.handle_request(request)
                    answer.read()
                    answer.close()
            self._left -= 1
        if self.dead:
            raise httpx.ConnectError("the machine is gone", request=request)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


class Repeating(httpx.BaseTransport):
    """Sends again, after each request that `repeated` selects, all earlier ones: their first copies arrive late."""

    def __init__(self, repeated: Callable[[httpx.Request], bool]) -> None:
        self._inner = httpx.HTTPTransport()
        self._repeated = repeated
        self._lock = threading.Lock()
        self.sent: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        if self._repeated(request):
            with self._lock:
                for earlier in self.sent:
                    send_again(earlier)
                self.sent.append(request)
        return response

    def close(self) -> None:
        self._inner.close()


class Finishing(httpx.BaseTransport):
    """An endpoint that finishes a statement whose client has left.

    Requests that `cut` selects, at most `count`, go on in a thread; their response is lost after `patience` seconds, as
    behind a gateway with a time limit.
    """

    def __init__(self, cut: Callable[[httpx.Request], bool], count: int = 1, patience: float = 0.5) -> None:
        self._inner = httpx.HTTPTransport()
        self._cut = cut
        self._count = count
        self._patience = patience
        self.sent: list[httpx.Request] = []
        self.responses: list[httpx.Response] = []
        self._threads: list[threading.Thread] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        if self._count and self._cut(request):
            self._count -= 1
            thread = threading.Thread(target=lambda: self.responses.append(send_again(request)))
            thread.start()
            self._threads.append(thread)
            thread.join(self._patience)
            raise httpx.ReadError("the gateway gave up", request=request)
        return self._inner.handle_request(request)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def close(self) -> None:
        self.join()
        self._inner.close()


def send_again(request: httpx.Request) -> httpx.Response:
    """Sends a copy of `request` on a connection of its own."""
    copy = httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        content=request.content,
        extensions={"timeout": httpx.Timeout(60).as_dict()},
    )
    with httpx.HTTPTransport() as transport:
        response = transport.handle_request(copy)
        response.read()
        return response


def is_sql(request: httpx.Request, containing: str = "") -> bool:
    return request.url.path.endswith("/sql") and containing.encode() in request.content


def is_write(request: httpx.Request) -> bool:
    """Requests of an apply after its plan: all except listings and the reading of the ledger."""
    return request.method != "GET" and not is_sql(request, "AS ledger")
