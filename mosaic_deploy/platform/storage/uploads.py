"""One upload on its way into the store: measured, hashed, whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import psycopg
from obstore.exceptions import BaseError
from psycopg import errors
from psycopg_pool import PoolTimeout
from starlette.requests import ClientDisconnect, Request

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.projects.names import storage_content_type, url_path
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.storage import file_records, orphans

log = logging.getLogger(__name__)

# A sender that is silent for longer has gone; what it holds is given back.
IDLE_TIMEOUT_SECONDS = 60.0


async def receive(
    platform: Platform, request: Request, permit: UploadPermit, reserve: Callable[[str], Awaitable[None]]
) -> str:
    """Take the body into the store and make it the file; returns its etag. Raises Fault where it isn't what the
    permit says; then nothing is left of it and what was there before stays."""
    key = file_records.new_object_key(permit.project_id, "stored_file")
    digest = hashlib.sha256()
    await reserve(key)
    try:
        await platform.store.put_stream(
            key, _checked_chunks(platform, request, permit, key, digest), permit.size
        )
        etag = digest.hexdigest()[:32]
        await _write_record(platform, permit, key, etag)
    except BaseException as error:
        await abort_upload(platform, key)
        if isinstance(error, errors.ForeignKeyViolation):
            raise Fault(404, "project_not_found", f"the project {permit.project_id} was deleted") from error
        raise
    return etag


async def abort_upload(platform: Platform, key: str) -> None:
    """Also where the request is being cancelled. What fails here is left to the sweep."""
    task = asyncio.ensure_future(_abort_upload(platform, key))
    platform.tasks.add(task)
    task.add_done_callback(platform.tasks.discard)
    await asyncio.shield(task)


async def _abort_upload(platform: Platform, key: str) -> None:
    try:
        await orphans.abort_upload(platform.pool, platform.store, key)
    except (psycopg.Error, PoolTimeout, BaseError) as error:
        log.warning("%s is left to be swept away: %s", key, error)


async def _write_record(platform: Platform, permit: UploadPermit, key: str, etag: str) -> None:
    record = {
        "project_id": permit.project_id,
        "filename": permit.filename,
        "size": permit.size,
        "content_type": storage_content_type(permit.filename),
        "etag": etag,
        "object": key,
        "packed": 0,
    }
    async with platform.pool.connection() as connection:
        await file_records.put(connection, "stored_file", record)


async def _checked_chunks(
    platform: Platform, request: Request, permit: UploadPermit, key: str, digest: hashlib._Hash
) -> AsyncIterator[bytes]:
    """The body's chunks, as long as they are what the permit says."""
    received = 0
    last_heartbeat = time.monotonic()
    async for chunk in _request_chunks(request):
        received += len(chunk)
        if received > permit.size:
            raise Fault(413, "upload_too_large", f"the URL is for {permit.size} bytes; more were sent")
        digest.update(chunk)
        if chunk:
            yield chunk
        if time.monotonic() - last_heartbeat > orphans.HEARTBEAT_SECONDS:
            last_heartbeat = time.monotonic()
            if not await orphans.send_heartbeat(platform.pool, key):
                raise Fault(503, "upload_lost", "the upload stood still for too long; send it again")
    if received != permit.size:
        raise Fault(400, "upload_size_wrong", f"the URL is for {permit.size} bytes; {received} were sent")


async def _request_chunks(request: Request) -> AsyncIterator[bytes]:
    chunks = request.stream()
    while True:
        try:
            async with asyncio.timeout(IDLE_TIMEOUT_SECONDS):
                chunk = await anext(chunks, None)
        except TimeoutError as error:
            message = f"nothing came for {IDLE_TIMEOUT_SECONDS:.0f} seconds; send it again"
            raise Fault(408, "upload_stalled", message, headers={"Connection": "close"}) from error
        except ClientDisconnect as error:
            message = "the connection ended inside the upload; send it again"
            raise Fault(400, "upload_interrupted", message) from error
        if chunk is None:
            return
        yield chunk


LIFETIME_SECONDS = 300


@dataclass(frozen=True)
class UploadPermit:
    """What one upload URL allows. `expires` is in seconds of the epoch."""

    project_id: str
    filename: str
    size: int
    expires: int

    def signature(self, key: str) -> str:
        # JSON keeps the fields apart, whatever characters a name has.
        text = json.dumps([self.project_id, self.filename, self.size, self.expires])
        return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def issue_permit(project_id: str, filename: str, size: int) -> UploadPermit:
    return UploadPermit(project_id, filename, size, int(time.time()) + LIFETIME_SECONDS)


def upload_url(base: str, permit: UploadPermit, key: str) -> str:
    query = urlencode({"size": permit.size, "expires": permit.expires, "signature": permit.signature(key)})
    return f"{base}/upload/{permit.project_id}/{url_path(permit.filename)}?{query}"


def verify_permit(project_id: str, filename: str, query: Mapping[str, str], key: str) -> UploadPermit:
    """The permit of a request; a Fault with 403 where it was altered or is too old."""
    try:
        permit = UploadPermit(project_id, filename, int(query["size"]), int(query["expires"]))
        signature = query["signature"].encode()
    except (KeyError, ValueError) as error:
        raise Fault(403, "signature_invalid", "this is not an upload URL the platform has made") from error
    if not hmac.compare_digest(permit.signature(key).encode(), signature):
        raise Fault(403, "signature_invalid", "the upload URL was altered")
    if permit.expires < time.time():
        raise Fault(403, "upload_expired", "the upload URL has expired; ask for another one")
    return permit
