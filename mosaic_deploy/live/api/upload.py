"""Uploads static files (as text or base64) and storage files (to presigned URLs), and deletes both."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

from mosaic_deploy.errors import (
    ApiError,
    Forbidden,
    RateLimited,
    RequestRefused,
    ResponseInvalid,
    ResponseLost,
    ServerFailed,
    TransfersFailed,
    Unreachable,
)
from mosaic_deploy.live.api import endpoints, responses
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.retries import MAX_ATTEMPTS, MAX_RATE_LIMIT_WAIT, MAX_RETRY_AFTER, backoff
from mosaic_deploy.model.quantities import size_text
from mosaic_deploy.model.snapshot import Object

CHUNK_SIZE = 256 * 1024
_TEXT_SUFFIXES = frozenset({".html", ".css", ".js", ".json", ".txt", ".svg"})


def upload_static_file(api: Api, project: str, path: str, content: bytes) -> None:
    """Uploads one static file and compares the stored size that the platform reports.

    Raises TransfersFailed if that size differs, RequestRefused for a file that is too large.
    """
    body = {"filename": path, **encode_content(path, content)}
    try:
        payload = api.call(endpoints.UPLOAD_STATIC_FILE, project=project, body=body)
    except RequestRefused as error:
        if not error.too_large:
            raise
        raise _too_large(error, path, len(content)) from error
    stored = responses.parse_uploaded_size(payload)
    if stored is not None and stored != len(content):
        failed = TransfersFailed(
            f"{path}: {len(content)} bytes were sent, but the platform stored {stored}",
            hint="the platform may not accept binary static files; move this file to storage, and correct what "
            "refers to it",
            mutation_state="partial",
        )
        failed.retryable = False
        raise failed


def _too_large(error: RequestRefused, path: str, size: int) -> RequestRefused:
    return RequestRefused(
        f"{path}: too large for a static file ({size_text(size)}): {error.message}",
        hint="move it to the storage folder, which accepts any size, or exclude it with static.exclude; its address changes "
        "then, so correct what refers to it",
        status=error.status,
        request_id=error.request_id,
        operation=error.operation,
    )


def encode_content(path: str, content: bytes) -> dict[str, str]:
    """The content fields of the request body: UTF-8 text as it is, anything else as base64."""
    if any(path.lower().endswith(suffix) for suffix in _TEXT_SUFFIXES):
        try:
            return {"content": content.decode("utf-8")}
        except UnicodeDecodeError:
            pass  # text in another encoding is sent as base64
    return {"content": base64.b64encode(content).decode(), "encoding": "base64"}


def upload_storage_file(
    api: Api,
    project: str,
    storage_file: Object,
    content: Callable[[], Iterator[bytes]],
    on_progress: Callable[[int], None],
) -> None:
    """Requests an upload URL and PUTs the file, with a new URL for each attempt.

    `on_progress` gets the total bytes sent. `content` returns the file's chunks from its beginning. If the file has
    changed, it must raise SourceChanged before its last chunk, so the platform never gets a complete wrong file.
    """
    attempt = rate_limited_attempts = expired = 0
    while True:
        attempt += 1
        url = _request_upload_url(api, project, storage_file)
        try:
            api.put_bytes(url, _report_progress(content(), on_progress), storage_file.size)
        except (Unreachable, ResponseLost, ServerFailed, RateLimited, Forbidden, RequestRefused) as error:
            maybe_expired = isinstance(error, Forbidden | RequestRefused)
            if maybe_expired and error.status not in _EXPIRED_STATUSES:
                raise
            expired += maybe_expired
            if attempt >= MAX_ATTEMPTS or expired > _MAX_URL_RENEWALS or api.rate_limiter.cancelled:
                raise
            if error.retry_after > MAX_RETRY_AFTER:
                raise
            if (
                isinstance(error, RateLimited)
                and rate_limited_attempts < MAX_RATE_LIMIT_WAIT / _LONGEST_BACKOFF
            ):
                attempt, rate_limited_attempts = attempt - 1, rate_limited_attempts + 1
            api.rate_limiter.sleep(0.0 if maybe_expired else backoff(attempt + rate_limited_attempts))
        else:
            return


_EXPIRED_STATUSES = frozenset({400, 401, 403, 410})
"""What object stores answer to an expired URL, or to one whose signing credentials have expired."""
_MAX_URL_RENEWALS = 1
"""If a new URL is refused too, the upload is forbidden."""
_LONGEST_BACKOFF = 8.0
"""Maximum of `backoff` in seconds. The RateLimiter handles `Retry-After`."""


def delete_static_file(api: Api, project: str, path: str) -> None:
    _delete_file(api, endpoints.DELETE_STATIC_FILE, project, path)


def delete_storage_file(api: Api, project: str, path: str) -> None:
    _delete_file(api, endpoints.DELETE_STORAGE_FILE, project, path)


def _delete_file(api: Api, operation: endpoints.Operation, project: str, path: str) -> None:
    """Deletes a file. One that doesn't exist counts as deleted."""
    try:
        api.call(operation, project=project, filename=path)
    except ApiError as error:
        if error.status != 404:
            raise


def _request_upload_url(api: Api, project: str, storage_file: Object) -> str:
    body = {"filename": storage_file.path, "size": storage_file.size}
    payload = api.call(endpoints.CREATE_UPLOAD_URL, project=project, body=body)
    url = payload.get("upload_url") if isinstance(payload, dict) else None
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise ResponseInvalid(
            f"{storage_file.path}: the platform's response has no upload_url: {responses.excerpt(payload)}"
        )
    return url


def _report_progress(chunks: Iterator[bytes], on_progress: Callable[[int], None]) -> Iterator[bytes]:
    """The chunks. A chunk has been sent when the next one is requested."""
    total = 0
    for chunk in chunks:
        yield chunk
        total += len(chunk)
        on_progress(total)
    if not total:
        on_progress(0)
