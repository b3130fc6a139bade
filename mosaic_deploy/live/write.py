"""Sending objects: static files as text or base64, assets through presigned URLs, deletions where offered."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mosaic_deploy.errors import (
    ApiError,
    Forbidden,
    RateLimited,
    ResponseInvalid,
    ResponseLost,
    ServerFailed,
    SourceChanged,
    Unreachable,
)
from mosaic_deploy.live import answers, endpoints
from mosaic_deploy.live.client import ATTEMPTS, Api, backoff
from mosaic_deploy.model.snapshot import Object

CHUNK = 256 * 1024
_TEXT = frozenset({".html", ".css", ".js", ".json", ".txt", ".svg"})


def put_static(api: Api, project: str, path: str, content: bytes) -> None:
    """Uploads one static file and checks the size the platform says it stored.

    Raises ResponseInvalid where that size isn't the file's: the platform kept something else.
    """
    body = {"filename": path, **encode(path, content)}
    answer = api.call(endpoints.PUT_FILE, project=project, body=body)
    api.traffic.add(bytes_sent=len(content))
    stored = answers.uploaded_size(answer)
    if stored is not None and stored != len(content):
        raise ResponseInvalid(
            f"{path}: the platform stored {stored} bytes of a file of {len(content)}",
            hint="it may not take binary static files: put this file under storage instead",
            mutation_state="partial",
        )


def encode(path: str, content: bytes) -> dict[str, str]:
    """The body's content fields: text as it is, anything else as base64 and said so."""
    if any(path.lower().endswith(suffix) for suffix in _TEXT):
        try:
            return {"content": content.decode("utf-8")}
        except UnicodeDecodeError:
            pass  # a text file in another encoding travels byte for byte, like a picture
    return {"content": base64.b64encode(content).decode(), "encoding": "base64"}


def put_asset(api: Api, project: str, asset: Object, source: Path, sent: Callable[[int], None]) -> None:
    """Asks for an upload URL and PUTs the file, with a new URL for each attempt. `sent` hears totals.

    Raises SourceChanged where the file is no longer the asset that was planned; its last bytes are then
    withheld, so the platform never gets a whole object of the wrong content.
    """
    for attempt in range(1, ATTEMPTS + 1):
        url = _upload_url(api, project, asset)
        try:
            api.put_bytes(url, _checked_chunks(source, asset, sent), asset.size)
        except (Unreachable, ResponseLost, ServerFailed, RateLimited, Forbidden) as error:
            # 403 is what an expired URL gets; a second one with a fresh URL is a real refusal.
            if attempt == ATTEMPTS or (isinstance(error, Forbidden) and attempt > 1):
                raise
            time.sleep(backoff(attempt))
        else:
            return


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
        raise ResponseInvalid(f"{asset.path}: the answer has no upload_url: {answers.excerpt(answer)}")
    return url


def _checked_chunks(source: Path, asset: Object, sent: Callable[[int], None]) -> Iterator[bytes]:
    """The file in chunks; the last one only once size and digest are known to be the planned ones."""
    digest = hashlib.sha256()
    total = 0
    held = b""
    with source.open("rb") as file:
        while chunk := file.read(CHUNK):
            if held:
                yield held
                sent(total)
            digest.update(chunk)
            total += len(chunk)
            held = chunk
    if total != asset.size or digest.hexdigest() != asset.sha256:
        raise SourceChanged(
            f"{asset.path} changed on disk after the plan was made", hint="run the command again"
        )
    yield held
    sent(total)
