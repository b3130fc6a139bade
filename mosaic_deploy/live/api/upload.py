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
from mosaic_deploy.live.api.retries import ATTEMPTS, PATIENCE, backoff
from mosaic_deploy.model.quantities import size_text
from mosaic_deploy.model.snapshot import Object

CHUNK = 256 * 1024
_TEXT = frozenset({".html", ".css", ".js", ".json", ".txt", ".svg"})


def put_static(api: Api, project: str, path: str, content: bytes) -> None:
    """Uploads one static file and checks the size the platform says it stored.

    Raises ResponseInvalid where that size isn't the file's: the platform kept something else; RequestRefused, with the
    way round, for a file that is too large for it.
    """
    body = {"filename": path, **encode(path, content)}
    try:
        answer = api.call(endpoints.PUT_FILE, project=project, body=body)
    except RequestRefused as error:
        if error.status != 413:
            raise
        raise _too_large(error, path, len(content)) from error
    stored = responses.uploaded_size(answer)
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


def encode(path: str, content: bytes) -> dict[str, str]:
    """The body's content fields: text as it is, anything else as base64 and said so."""
    if any(path.lower().endswith(suffix) for suffix in _TEXT):
        try:
            return {"content": content.decode("utf-8")}
        except UnicodeDecodeError:
            pass  # a text file in another encoding travels byte for byte, like a picture
    return {"content": base64.b64encode(content).decode(), "encoding": "base64"}


def put_asset(
    api: Api,
    project: str,
    asset: Object,
    content: Callable[[], Iterator[bytes]],
    sent: Callable[[int], None],
) -> None:
    """Asks for an upload URL and PUTs the file, with a new URL for each attempt. `sent` hears totals.

    `content` begins the file anew, in chunks. What it raises (SourceChanged) is raised here; it must do so before
    its last chunk, so that the platform never gets a whole object of the wrong content.
    """
    attempt = told = expired = 0
    while True:
        attempt += 1
        url = _upload_url(api, project, asset)
        try:
            api.put_bytes(url, _told(content(), sent), asset.size)
        except (Unreachable, ResponseLost, ServerFailed, RateLimited, Forbidden, Unauthorized) as error:
            expired += isinstance(error, Forbidden | Unauthorized)
            if attempt >= ATTEMPTS or expired > _RENEWALS or api.pace.given_up:
                raise
            if isinstance(error, RateLimited) and told < PATIENCE / _TOLD_WAIT:
                attempt, told = attempt - 1, told + 1
            api.pace.sleep(0.0 if isinstance(error, Forbidden) else backoff(attempt + told))
        else:
            return


_RENEWALS = 1
"""An expired URL gets 401 or 403, and a new one is asked for; a fresh one that gets it too is a real refusal."""
_TOLD_WAIT = 8.0
"""Seconds that the longest backoff lasts; the platform's own `Retry-After` is the pace's business."""


def delete_static(api: Api, project: str, path: str) -> None:
    _delete(api, endpoints.DELETE_FILE, project, path)


def delete_asset(api: Api, project: str, path: str) -> None:
    _delete(api, endpoints.DELETE_STORED, project, path)


def _delete(api: Api, operation: endpoints.Operation, project: str, path: str) -> None:
    """Deletes; that it was gone already is as good."""
    try:
        api.call(operation, project=project, filename=path)
    except ApiError as error:
        if error.status != 404:
            raise


def _upload_url(api: Api, project: str, asset: Object) -> str:
    body = {"filename": asset.path, "size": asset.size}
    answer = api.call(endpoints.STORAGE_UPLOAD, project=project, body=body)
    url = answer.get("upload_url") if isinstance(answer, dict) else None
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise ResponseInvalid(f"{asset.path}: the answer has no upload_url: {responses.excerpt(answer)}")
    return url


def _told(chunks: Iterator[bytes], sent: Callable[[int], None]) -> Iterator[bytes]:
    """The chunks; what was asked for before the next one has been sent."""
    total = 0
    for chunk in chunks:
        yield chunk
        total += len(chunk)
        sent(total)
    if not total:
        sent(0)
