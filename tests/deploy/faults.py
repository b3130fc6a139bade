"""Transports between the client and the real platform that fail like a network."""

from __future__ import annotations

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


def is_sql(request: httpx.Request, containing: str = "") -> bool:
    return request.url.path.endswith("/sql") and containing.encode() in request.content


def is_write(request: httpx.Request) -> bool:
    """Requests of an apply after its plan: all except listings and the reading of the ledger."""
    return request.method != "GET" and not is_sql(request, "AS ledger")
