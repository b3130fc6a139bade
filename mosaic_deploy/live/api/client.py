"""The API client: sends operations, with retries and discovery. Sends the key only to the API's host."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Unpack
from urllib.parse import quote

import httpx

from mosaic_deploy import errors
from mosaic_deploy.live.api import endpoints, responses
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.discovery import Directory
from mosaic_deploy.live.api.endpoints import Operation
from mosaic_deploy.live.api.error_mapping import (
    ObjectHook,
    as_rate_limited,
    blocked_error,
    error_from_response,
    is_failure,
    is_platform_error,
    parse_body,
    without_key,
)
from mosaic_deploy.live.api.rate_limit import RateLimiter
from mosaic_deploy.live.api.retries import (
    MAX_ATTEMPTS,
    MAX_RETRY_AFTER,
    Attempts,
    backoff,
    is_rate_limited,
    with_retry_hint,
)
from mosaic_deploy.live.api.transport import FetchedDigest, Sent, Transport, is_loopback

BASE_DATABASE = "base"
"""The project's real database, even while apps use a draft's clone."""


class Api:
    """The API of one account. Thread-safe; raises only subclasses of errors.ApiError, and what `before_change` raises.

    `timeout` is how many seconds to wait for a response; `sql_timeout` is for SQL, because migrations may take long.
    """

    def __init__(
        self,
        url: str,
        key: ApiKey,
        *,
        timeout: float = 30.0,
        sql_timeout: float = 600.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._database = BASE_DATABASE if is_loopback(url) else ""
        self.url = url.rstrip("/")
        self.key = key
        self._timeout = timeout
        self._sql_timeout = sql_timeout
        self._deadline = float("inf")
        self._sleep = sleep or time.sleep
        self.rate_limiter = RateLimiter(sleep=sleep)
        self._directory = Directory(self.url, self._read_listing)
        self._shares_transport = False
        self._transport = Transport(loopback=is_loopback(self.url), transport=transport)
        self.traffic = self._transport.traffic
        self.before_change: Callable[[], None] = lambda: None
        """Called before each attempt to change files or settings. Raises if the lease is lost, so nothing is sent."""
        self._on_notices: Callable[[responses.Notices], None] = lambda _: None

    def __repr__(self) -> str:
        return f"Api({self.url!r})"

    def close(self) -> None:
        if not self._shares_transport:
            self._transport.close()

    def for_database(self, database: str) -> Api:
        """This API with its SQL sent to another database of the project. Only the embedded platform has several.

        `BASE_DATABASE`: the one that deploys change; `draft NAME`: a clone in preparation; empty: the one that apps use.
        It shares this API's connections.
        """
        other = copy.copy(self)
        other._shares_transport = True
        other._database = database if is_loopback(self.url) else ""
        return other

    def with_timeout(self, timeout: float, *, own_connections: bool = False) -> Api:
        """This API with `timeout` seconds to wait for any response, also of SQL.

        With `own_connections` close it. Only an injected transport is shared then.
        """
        other = copy.copy(self)
        other._timeout = other._sql_timeout = timeout
        other._shares_transport = not own_connections or self._transport.is_injected
        if not other._shares_transport:
            other._transport = Transport(loopback=is_loopback(self.url), traffic=self.traffic)
        return other

    def until(self, deadline: float) -> Api:
        """This API, whose operations fail at `deadline`, a value of `time.monotonic()`. It shares this API's connections."""
        other = self.for_database(self._database)
        other._deadline = deadline
        return other

    def with_notices(self, on_notices: Callable[[responses.Notices], None]) -> Api:
        """This API, which also passes on the notices of each SQL response. It shares this API's connections."""
        other = copy.copy(self)
        other._on_notices = on_notices
        return other

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(
        self,
        operation: Operation,
        *,
        project: str = "",
        filename: str = "",
        body: object = None,
        object_hook: ObjectHook | None = None,
    ) -> Any:
        """The parsed response of an operation. A 404 or 405 on an undocumented path looks the path up, once."""
        path = self._directory.path_of(operation)
        try:
            return self._call(operation, path, project, filename, body, object_hook)
        except (errors.NotFound, errors.RequestRefused) as error:
            if operation.documented or error.status not in (404, 405):
                raise
            listed = self._directory.look_up(operation, path)
            known = self._directory.cached()
            if listed is None and (known is None or not known.paths or operation.name in known.paths):
                raise
            if listed is None:
                raise errors.OperationUnknown(
                    f"this platform has no endpoint for: {operation.name} (it rejects {operation.method} {path})",
                    hint="the platform's list of endpoints is at GET /v1/project",
                ) from error
        return self._call(operation, listed, project, filename, body, object_hook)

    def sql(self, project: str, query: str, *, idempotent: bool = True) -> list[responses.Row]:
        """The rows of `query`. As `run_sql`."""
        return self.run_sql(project, query, idempotent=idempotent).rows

    def run_sql(self, project: str, query: str, *, idempotent: bool = True) -> responses.SqlResult:
        """The result of `query`. Also raises SqlFailed. With `idempotent` it is sent again if the response is lost."""
        operation = endpoints.RUN_SQL if idempotent else endpoints.RUN_SQL_NOT_IDEMPOTENT
        try:
            result = responses.parse_sql_result(self.call(operation, project=project, body={"query": query}))
        except errors.SqlFailed as error:
            self._on_notices(responses.parse_notices({"notices": error.raw_notices}))
            raise
        self._on_notices(result.notices)
        return result

    def supports(self, operation: Operation) -> bool:
        """Whether the platform lists an optional operation. Looked up at most once a day."""
        return operation.name in self._directory.read().paths

    def static_file_limit(self) -> int | None:
        """The largest static file in bytes, if the platform says. Looked up at most once a day."""
        return self._directory.read().static_file_bytes

    def sql_request_limit(self) -> int | None:
        """The largest body of an SQL request in bytes, if the platform says. Looked up at most once a day."""
        return self._directory.read().sql_request_bytes

    def put_bytes(self, url: str, content: bytes | Iterable[bytes], size: int) -> None:
        """PUTs to a presigned URL, without the key and without retries: a retry needs a new URL."""
        with self.rate_limiter.slot() as began:
            self.before_change()
            response = self._transport.request(
                "PUT", url, timeout=self._timeout, headers={"Content-Length": str(size)}, content=content
            )
        self._report_to_rate_limiter(response, began)
        if response.status_code < 400 and responses.is_web_page(response.text):
            raise blocked_error(response, "upload to storage")
        if response.status_code >= 300:
            refused = error_from_response(response, "upload to storage")
            if is_rate_limited(response):
                # Also for 503: a file that has to wait hasn't failed.
                raise as_rate_limited(refused)
            raise without_key(refused)

    def call_embedded(self, name: str, method: str, place: str, body: object = None) -> Any:
        """The response of an operation that only the embedded platform has. Sent once."""
        url, headers = f"{self.url}{place}", {"X-API-Key": self.key.reveal()}
        response = self._transport.request(method, url, timeout=self._sql_timeout, headers=headers, json=body)
        if response.status_code >= 300:
            raise error_from_response(self.key.redact(response), name)
        return parse_body(response)

    def pause(self, seconds: float) -> None:
        self._sleep(seconds)

    def fetch(self, url: str, method: str = "GET", **sent: Unpack[Sent]) -> httpx.Response:
        """Requests a page like a visitor: without the key and redirects. All of it must arrive within the timeout."""
        return self._transport.request(method, url, timeout=self._timeout, bounded=True, **sent)

    def stream(self, url: str, headers: Mapping[str, str]) -> AbstractContextManager[httpx.Response]:
        """The response to a GET, sent once like `fetch`; its body can be read until the context ends."""
        return self._transport.stream(url, timeout=self._timeout, headers=headers)

    def fetch_digest(self, url: str, etag: str = "") -> FetchedDigest:
        """The digest of the content at `url`, fetched like `fetch`, with retries."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                with self.rate_limiter.slot() as began:
                    found = self._transport.fetch_digest(url, timeout=self._timeout, etag=etag)
            except (errors.Unreachable, errors.ResponseLost):
                if attempt == MAX_ATTEMPTS:
                    raise
            else:
                if found.status not in (429, 502, 503, 504) or attempt == MAX_ATTEMPTS:
                    return found
                if found.status == 429:
                    self.rate_limiter.record_rate_limited(began, 0.0)
            self._sleep(backoff(attempt))
        raise AssertionError("the last attempt returns or raises")

    def _read_listing(self) -> object:
        """The platform's list of endpoints; None if it has none: then it has only the documented operations."""
        try:
            return self._call(endpoints.DISCOVER, endpoints.DISCOVER.path, "", "", None)
        except (errors.NotFound, errors.RequestRefused, errors.ResponseInvalid):
            return None

    def _call(
        self,
        operation: Operation,
        path: str,
        project: str,
        filename: str,
        body: object,
        object_hook: ObjectHook | None = None,
    ) -> Any:
        where = path.format(id=quote(project, safe=""), filename=quote(filename, safe="/"), other="")
        url = f"{self.url}/v1/project{where}"
        response, payload = self._send_with_retries(operation, url, body, object_hook)
        if is_failure(response, payload):
            refused = error_from_response(response, operation.name, sql=operation.is_sql)
            raise with_retry_hint(refused, operation, is_platform_error=is_platform_error(payload))
        return payload

    def _send_with_retries(
        self, operation: Operation, url: str, body: object, object_hook: ObjectHook | None
    ) -> tuple[httpx.Response, Any]:
        """The response and its content. Sent again as `Attempts` decides."""
        attempts = Attempts(operation, lambda: self.rate_limiter.cancelled, self._deadline)
        while True:
            try:
                response = self._send_rate_limited(operation, url, body)
                payload = parse_body(response, object_hook)
                if operation.is_sql and not is_failure(response, payload):
                    # An answer in another format is as lost as one without JSON.
                    responses.parse_rows(payload)
            except (errors.Unreachable, errors.ResponseLost, errors.ResponseInvalid) as error:
                pause = attempts.pause_after_error(error)
                if pause is None:
                    raise with_retry_hint(error, operation) from None
            else:
                pause = attempts.pause_after(response, payload)
                if pause is None:
                    return response, payload
            (self.rate_limiter.sleep if operation.rate_limited else self._sleep)(pause)

    def _send_rate_limited(self, operation: Operation, url: str, body: object) -> httpx.Response:
        if not operation.rate_limited:
            return self._send(operation, url, body)
        with self.rate_limiter.slot() as began:
            response = self._send(operation, url, body)
        self._report_to_rate_limiter(response, began)
        return response

    def _report_to_rate_limiter(self, response: httpx.Response, began: float) -> None:
        if not is_rate_limited(response):
            return self.rate_limiter.record_success()
        # A longer wait fails the run, so nothing waits for it.
        wait = responses.retry_after(response.headers)
        return self.rate_limiter.record_rate_limited(began, wait if wait <= MAX_RETRY_AFTER else 0.0)

    def _send(self, operation: Operation, url: str, body: object) -> httpx.Response:
        if operation.fenced:
            self.before_change()
        left = max(0.001, self._deadline - time.monotonic())
        timeout = min(left, self._sql_timeout if operation.is_sql else self._timeout)
        database = {"Mosaic-Database": self._database} if self._database else {}
        headers = {"X-API-Key": self.key.reveal(), **database}
        response = self._transport.request(operation.method, url, timeout=timeout, headers=headers, json=body)
        return self.key.redact(response)
