"""The API as operations: retries, discovery, and the key, which goes to the API's host alone."""

from __future__ import annotations

import contextlib
import copy
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

import httpx

from mosaic_deploy import errors
from mosaic_deploy.live.api import discovery, endpoints, responses
from mosaic_deploy.live.api.api_key import ApiKey
from mosaic_deploy.live.api.endpoints import Operation
from mosaic_deploy.live.api.error_mapping import Shorten, parse, refusal, unsuccessful, vouched
from mosaic_deploy.live.api.rate_limit import Pace
from mosaic_deploy.live.api.retries import (
    ATTEMPTS,
    LONGEST_WAIT,
    PATIENCE,
    backoff,
    retry_after,
    told,
    too_fast,
    worth_repeating,
)
from mosaic_deploy.live.api.transport import Fetched, Wire, is_loopback

BASE = "base"
"""A project's own database, whatever clone of it a draft shows to apps."""


class Api:
    """One account's API. Safe to use from several threads; raises errors.ApiError's children only.

    `timeout` is seconds without an answer before a request counts as lost; SQL gets `sql_timeout`, because
    a migration may take long.
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
        self._means = BASE if is_loopback(url) else ""
        self.url = url.rstrip("/")
        self._key = key
        self._timeout = timeout
        self._sql_timeout = sql_timeout
        self._sleep = sleep or time.sleep
        self.pace = Pace(sleep=sleep)
        self._listed: discovery.Listed | None = None
        self._asked = False
        self._discovering = threading.Lock()
        self._wire = Wire(loopback=is_loopback(self.url), transport=transport)
        self.traffic = self._wire.traffic

    def __repr__(self) -> str:
        return f"Api({self.url!r})"

    def close(self) -> None:
        self._wire.close()

    def meaning(self, database: str) -> Api:
        """This API, its SQL meant for another of the databases that the embedded platform keeps of a project.

        `BASE`, where deploys go; `draft NAME`, a clone that is being made; empty for what apps see. It shares this
        one's connections, and isn't closed by itself. No other platform is told, and none keeps more than one.
        """
        other = copy.copy(self)
        other._means = database if is_loopback(self.url) else ""
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
        shorten: Shorten | None = None,
    ) -> Any:
        """The parsed answer of one operation. Undocumented paths are corrected by discovery once."""
        path = self._path(operation)
        try:
            return self._call(operation, path, project, filename, body, shorten)
        except (errors.NotFound, errors.RequestRefused) as error:
            if operation.documented or error.status not in (404, 405):
                raise
            listed = self._rediscover(operation, path)
            known = self._remembered()
            if listed is None and (known is None or not known.paths or operation.name in known.paths):
                raise
            if listed is None:
                raise errors.OperationUnknown(
                    f"the platform refuses {operation.method} {path} and lists no endpoint for: {operation.name}",
                    hint="it may not offer this; its list is GET /v1/project",
                ) from error
        return self._call(operation, listed, project, filename, body, shorten)

    def sql(self, project: str, query: str, *, repeatable: bool = True) -> list[responses.Row]:
        """The rows of `query`. Raises SqlFailed too.

        Nearly every statement this program sends may be sent again when its answer is lost; the few that
        may not say so.
        """
        operation = endpoints.RUN_SQL if repeatable else endpoints.RUN_SQL_ONCE
        return responses.rows(self.call(operation, project=project, body={"query": query}))

    def offers(self, operation: Operation) -> bool:
        """Whether discovery lists an optional operation. Asks the platform at most once a day."""
        return operation.name in self._listing().paths

    def static_file_limit(self) -> int | None:
        """Bytes of the largest static file, where discovery tells. Asks the platform at most once a day."""
        return self._listing().static_file_bytes

    def put_bytes(self, url: str, content: bytes | Iterable[bytes], size: int) -> None:
        """PUTs to a presigned URL, once: the caller repeats, with a new URL. No key is sent."""
        headers = {"Content-Length": str(size)}
        with self.pace.turn() as began:
            response = self._wire.request("PUT", url, timeout=self._timeout, headers=headers, content=content)
        self._tell_pace(response, began)
        if response.status_code >= 300:
            refused = refusal(response, "upload to storage")
            if too_fast(response):
                # Whether it says so with 429 or 503: a file that waits its turn isn't failing.
                raise errors.RateLimited(
                    refused.message,
                    status=refused.status,
                    request_id=refused.request_id,
                    operation=refused.operation,
                )
            raise refused

    def post_beside(self, place: str, body: object) -> Any:
        """The answer of one of the embedded platform's own operations, beside the API. Sent once."""
        headers = {"X-API-Key": self._key.reveal()}
        url = f"{self.url}{place}"
        response = self._wire.request("POST", url, timeout=self._sql_timeout, headers=headers, json=body)
        if response.status_code >= 300:
            raise refusal(self._key.redact(response), "draft")
        return parse(response)

    def pause(self, seconds: float) -> None:
        """Sleeps between two attempts."""
        self._sleep(seconds)

    def fetch(self, url: str) -> httpx.Response:
        """GETs a page of the project's site as a visitor would: no key; redirects are answers."""
        return self._wire.request("GET", url, timeout=self._timeout)

    def fetch_digest(self, url: str, etag: str = "") -> Fetched:
        """The digest of what a visitor gets at `url`: no key is sent. Retries; redirects are answers."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self.pace.turn() as began:
                    found = self._wire.digest(url, timeout=self._timeout, etag=etag)
            except (errors.Unreachable, errors.ResponseLost):
                if attempt == ATTEMPTS:
                    raise
            else:
                if found.status not in (429, 502, 503, 504) or attempt == ATTEMPTS:
                    return found
                if found.status == 429:
                    self.pace.refused(began, 0.0)
            self._sleep(backoff(attempt))
        raise AssertionError("the last attempt returns or raises")

    def _listing(self) -> discovery.Listed:
        with self._discovering:
            return self._remembered() or self._discover()

    def _remembered(self) -> discovery.Listed | None:
        if self._listed is None:
            self._listed = discovery.read_listed(self.url)
        return self._listed

    def _path(self, operation: Operation) -> str:
        listed = None if operation.documented else self._remembered()
        return listed.paths.get(operation.name, operation.path) if listed else operation.path

    def _discover(self) -> discovery.Listed:
        discover = endpoints.DISCOVER
        self._asked = True
        try:
            listing = self._call(discover, discover.path, "", "", None)
        except (errors.NotFound, errors.RequestRefused, errors.ResponseInvalid):
            listing = None  # a platform without a listing offers what its guide says, and no more
        self._listed = discovery.Listed(endpoints.bind(listing), responses.static_file_limit(listing))
        discovery.write_listed(self.url, self._listed)
        return self._listed

    def _rediscover(self, operation: Operation, refused: str) -> str | None:
        """Another path than the `refused` one, asking the platform at most once; None where there is none."""
        with self._discovering:
            if not self._asked:
                with contextlib.suppress(errors.ApiError):  # the refusal that led here says more
                    self._discover()
        found = self._path(operation)
        return found if found != refused else None

    def _call(
        self,
        operation: Operation,
        path: str,
        project: str,
        filename: str,
        body: object,
        shorten: Shorten | None = None,
    ) -> Any:
        where = path.format(id=quote(project, safe=""), filename=quote(filename, safe="/"), other="")
        response = self._attempts(operation, f"{self.url}/v1/project{where}", body)
        answer = parse(response, shorten)
        if unsuccessful(response, answer):
            sql = operation.name == endpoints.RUN_SQL.name
            refused = refusal(response, operation.name, sql=sql)
            raise told(refused, operation, vouched=vouched(answer))
        return answer

    def _attempts(self, operation: Operation, url: str, body: object) -> httpx.Response:
        """Sends until the answer counts. A request whose answer was lost is sent again only if repeatable.

        A file that is told to wait its turn isn't failing: that counts against PATIENCE, not against ATTEMPTS.
        """
        attempt = slowed = 0
        waited = 0.0
        while True:
            attempt += 1
            wait = backoff(attempt + slowed)
            try:
                response = self._once(operation, url, body)
            except (errors.Unreachable, errors.ResponseLost) as error:
                lost = isinstance(error, errors.ResponseLost)
                over = attempt >= ATTEMPTS or (operation.paced and self.pace.given_up)
                if over or (lost and not operation.repeatable):
                    raise told(error, operation) from None
            else:
                asked = retry_after(response)
                wait = max(wait, asked)
                slower = operation.paced and too_fast(response)
                enough = waited + wait > PATIENCE if slower else attempt >= ATTEMPTS
                enough = enough or (operation.paced and self.pace.given_up)
                if enough or asked > LONGEST_WAIT or not worth_repeating(operation, response):
                    return response
                if slower:
                    attempt, slowed, waited = attempt - 1, slowed + 1, waited + wait
            (self.pace.sleep if operation.paced else self._sleep)(wait)

    def _once(self, operation: Operation, url: str, body: object) -> httpx.Response:
        if not operation.paced:
            return self._send(operation, url, body)
        with self.pace.turn() as began:
            response = self._send(operation, url, body)
        self._tell_pace(response, began)
        return response

    def _tell_pace(self, response: httpx.Response, began: float) -> None:
        if too_fast(response):
            self.pace.refused(began, min(LONGEST_WAIT, retry_after(response)))
        else:
            self.pace.went_well()

    def _send(self, operation: Operation, url: str, body: object) -> httpx.Response:
        timeout = self._sql_timeout if operation.name == endpoints.RUN_SQL.name else self._timeout
        headers = {"X-API-Key": self._key.reveal()}
        if self._means:
            headers["Mosaic-Database"] = self._means
        response = self._wire.request(operation.method, url, timeout=timeout, headers=headers, json=body)
        return self._key.redact(response)
