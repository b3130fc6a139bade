"""Sending objects: static files as text or base64, assets through presigned URLs, deletions where offered."""

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
    Unauthorized,
    Unreachable,
)
from mosaic_deploy.live.api import endpoints, responses
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.retries import MAX_ATTEMPTS, MAX_RATE_LIMIT_WAIT, backoff
from mosaic_deploy.model.quantities import size_text
from mosaic_deploy.model.snapshot import Object

CHUNK_SIZE = 256 * 1024
_TEXT_SUFFIXES = frozenset({".html", ".css", ".js", ".json", ".txt", ".svg"})


def upload_static_file(api: Api, project: str, path: str, content: bytes) -> None:
    """Uploads one static file and checks the size the platform says it stored.

    Raises ResponseInvalid where that size isn't the file's: the platform kept something else; RequestRefused, with the
    way round, for a file that is too large for it.
    """
    body = {"filename": path, **encode_content(path, content)}
    try:
        payload = api.call(endpoints.UPLOAD_STATIC_FILE, project=project, body=body)
    except RequestRefused as error:
        if error.status != 413:
            raise
        raise _too_large(error, path, len(content)) from error
    stored = responses.parse_uploaded_size(payload)
    if stored is not None and stored != len(content):
        raise ResponseInvalid(
            f"{path}: the platform stored {stored} bytes of a file of {len(content)}",
            hint="it may not take binary static files: put this file under storage instead",
            mutation_state="partial",
        )


def _too_large(error: RequestRefused, path: str, size: int) -> RequestRefused:
    return RequestRefused(
        f"{path}: the platform doesn't take a static file of {size_text(size)}: {error.message}",
        hint="move it to the storage folder, which takes any size, or leave it out with static.exclude",
        status=error.status,
        request_id=error.request_id,
        operation=error.operation,
    )


def encode_content(path: str, content: bytes) -> dict[str, str]:
    """The body's content fields: text as it is, anything else as base64 and said so."""
    if any(path.lower().endswith(suffix) for suffix in _TEXT_SUFFIXES):
        try:
            return {"content": content.decode("utf-8")}
        except UnicodeDecodeError:
            pass  # a text file in another encoding travels byte for byte, like a picture
    return {"content": base64.b64encode(content).decode(), "encoding": "base64"}


def upload_storage_file(
    api: Api,
    project: str,
    storage_file: Object,
    content: Callable[[], Iterator[bytes]],
    on_progress: Callable[[int], None],
) -> None:
    """Asks for an upload URL and PUTs the file, with a new URL for each attempt. `on_progress` hears totals.

    `content` begins the file anew, in chunks. What it raises (SourceChanged) is raised here; it must do so before
    its last chunk, so that the platform never gets a whole object of the wrong content.
    """
    attempt = rate_limited_attempts = expired = 0
    while True:
        attempt += 1
        url = _request_upload_url(api, project, storage_file)
        try:
            api.put_bytes(url, _report_progress(content(), on_progress), storage_file.size)
        except (Unreachable, ResponseLost, ServerFailed, RateLimited, Forbidden, Unauthorized) as error:
            expired += isinstance(error, Forbidden | Unauthorized)
            if attempt >= MAX_ATTEMPTS or expired > _MAX_URL_RENEWALS or api.rate_limiter.cancelled:
                raise
            if (
                isinstance(error, RateLimited)
                and rate_limited_attempts < MAX_RATE_LIMIT_WAIT / _LONGEST_BACKOFF
            ):
                attempt, rate_limited_attempts = attempt - 1, rate_limited_attempts + 1
            api.rate_limiter.sleep(
                0.0 if isinstance(error, Forbidden) else backoff(attempt + rate_limited_attempts)
            )
        else:
            return


_MAX_URL_RENEWALS = 1
"""An expired URL gets 401 or 403, and a new one is asked for; a fresh one that gets it too is a real refusal."""
_LONGEST_BACKOFF = 8.0
"""Seconds that the longest backoff lasts; the platform's own `Retry-After` is the pace's business."""


def delete_static_file(api: Api, project: str, path: str) -> None:
    _delete_file(api, endpoints.DELETE_STATIC_FILE, project, path)


def delete_storage_file(api: Api, project: str, path: str) -> None:
    _delete_file(api, endpoints.DELETE_STORAGE_FILE, project, path)


def _delete_file(api: Api, operation: endpoints.Operation, project: str, path: str) -> None:
    """Deletes; that it was gone already is as good."""
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
            f"{storage_file.path}: the answer has no upload_url: {responses.excerpt(payload)}"
        )
    return url


def _report_progress(chunks: Iterator[bytes], on_progress: Callable[[int], None]) -> Iterator[bytes]:
    """The chunks; what was asked for before the next one has been sent."""
    total = 0
    for chunk in chunks:
        yield chunk
        total += len(chunk)
        on_progress(total)
    if not total:
        on_progress(0)
