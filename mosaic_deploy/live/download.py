"""Downloads a storage file: continues where a connection broke, and compares the size with the listed one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import BinaryIO
from urllib.parse import urlsplit

import httpx

from mosaic_deploy.errors import (
    ApiError,
    Forbidden,
    Interrupted,
    NotFound,
    RateLimited,
    ResponseInvalid,
    ResponseLost,
    ServerFailed,
    Unreachable,
)
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.responses import redirect_target, retry_after
from mosaic_deploy.live.api.retries import MAX_ATTEMPTS, MAX_RETRY_AFTER, backoff
from mosaic_deploy.live.api.transport import FetchedDigest

_MAX_REDIRECTS = 5
_POSITION = re.compile(r"[0-9]{1,18}")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RETRIED = (Unreachable, ResponseLost, ServerFailed, RateLimited)


def download(
    api: Api, name: str, url: str, size: int | None, file: BinaryIO, on_progress: Callable[[int], None]
) -> FetchedDigest:
    """Writes the content at `url` into the empty `file`. Returns its digest, and its entity tag unless that is a weak one.

    `on_progress` gets the bytes written so far, which can become fewer. Raises subclasses of ApiError, ResponseInvalid if the
    content hasn't the listed `size`, and Interrupted after Ctrl-C.
    """
    partial = _Partial(name, file, lambda: api.rate_limiter.cancelled, on_progress)
    attempt = furthest = 0
    while True:
        attempt += 1
        try:
            with api.rate_limiter.slot():
                _fetch(api, url, partial)
        except _RETRIED as error:
            if partial.size > furthest:
                attempt, furthest = 0, partial.size
            waits_too_long = getattr(error, "retry_after", 0.0) > MAX_RETRY_AFTER
            if attempt >= MAX_ATTEMPTS or waits_too_long or api.rate_limiter.cancelled:
                raise
            api.rate_limiter.sleep(max(backoff(attempt + 1), getattr(error, "retry_after", 0.0)))
        else:
            break
    if size is not None and partial.size != size:
        raise ResponseInvalid(
            f"{name}: storage lists {size} bytes, but {partial.size} arrived; nothing was written",
            hint="it was replaced meanwhile, or what its URL returns isn't the file; run the command again",
        )
    return partial.fetched


class _Partial:
    """What has arrived of a file, over all attempts."""

    def __init__(
        self, name: str, file: BinaryIO, cancelled: Callable[[], bool], on_progress: Callable[[int], None]
    ) -> None:
        self.name = name
        self.size = 0
        self._etag = ""
        self._file = file
        self._digest = hashlib.sha256()
        self._cancelled = cancelled
        self._on_progress = on_progress

    @property
    def fetched(self) -> FetchedDigest:
        return FetchedDigest(200, self._digest.hexdigest(), self.size, self._etag)

    @property
    def headers(self) -> dict[str, str]:
        """Ask for the rest, if the server can tell that it is of the same content."""
        if not self.size or not self._etag:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self._etag}

    def read(self, response: httpx.Response) -> None:
        """Appends the response's body, or starts again with it."""
        if not self._continues(response):
            self.restart()
        if response.status_code == 206 and not self.size and _first_byte(response) != 0:
            raise ResponseLost(f"{self.name}: the server sent another part of the file than asked for")
        tag = response.headers.get("etag", "")
        # A weak tag doesn't promise the same bytes, and positions in a compressed body are others.
        usable = not tag.startswith("W/") and "content-encoding" not in response.headers
        self._etag = tag if usable else ""
        for chunk in response.iter_bytes():
            if self._cancelled():
                raise Interrupted(f"{self.name} was not downloaded completely")
            self._file.write(chunk)
            self._digest.update(chunk)
            self.size += len(chunk)
            self._on_progress(self.size)

    def _continues(self, response: httpx.Response) -> bool:
        return response.status_code == 206 and self.size > 0 and _first_byte(response) == self.size

    def restart(self) -> None:
        """Forgets what has arrived."""
        self._file.seek(0)
        self._file.truncate()
        self._digest = hashlib.sha256()
        self.size = 0


def _first_byte(response: httpx.Response) -> int | None:
    """Where the part that the response has begins in the file."""
    unit, _, rest = response.headers.get("content-range", "").partition(" ")
    first = rest.partition("-")[0]
    return int(first) if unit == "bytes" and _POSITION.fullmatch(first) else None


def _fetch(api: Api, url: str, partial: _Partial) -> None:
    """One attempt. Redirects are followed, but not from https to http."""
    for _ in range(_MAX_REDIRECTS + 1):
        with api.stream(url, partial.headers) as response:
            if response.status_code in (200, 206):
                partial.read(response)
                return
            if response.status_code == 416 and partial.headers:
                partial.restart()
                raise ResponseLost(f"{partial.name}: the content changed during the download")
            if response.status_code not in _REDIRECTS:
                raise _error(partial.name, url, response)
            target = redirect_target(url, response.headers.get("location", ""))
        if not target:
            raise ResponseInvalid(f"{partial.name}: {url} redirects to an address that isn't a URL")
        if urlsplit(target).scheme not in ("https", urlsplit(url).scheme):
            raise ResponseInvalid(f"{partial.name}: {url} redirects to {target}, which isn't encrypted")
        url = target
    raise ResponseInvalid(f"{partial.name}: {url} redirects too often")


def _error(name: str, url: str, response: httpx.Response) -> ApiError:
    status = response.status_code
    message = f"{name}: {url} returns HTTP {status}"
    kinds: dict[int, type[ApiError]] = {
        401: Forbidden, 403: Forbidden, 404: NotFound, 410: NotFound, 429: RateLimited,
    }  # fmt: skip
    kind = kinds.get(status, ServerFailed if status >= 500 else ResponseInvalid)
    error = kind(message, status=status, operation="download from storage")
    error.retry_after = retry_after(response.headers)
    return error
