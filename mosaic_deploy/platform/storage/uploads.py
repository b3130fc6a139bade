"""Signed upload URLs, and receiving an upload: checked, hashed, and stored completely or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import psycopg
from obstore.exceptions import BaseError
from psycopg import errors
from starlette.requests import ClientDisconnect, Request

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http.pace import LEAST_RATE, paced_chunks
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.control_database import Connection
from mosaic_deploy.platform.projects.names import storage_content_type, url_path
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.storage import file_records, orphans

log = logging.getLogger(__name__)

LONGEST_UPLOAD_SECONDS = 12 * 3600
"""Uploads of more than 350 MB must arrive at the rate that brings them in this time."""
LIFETIME_SECONDS = 300
"""How long an upload URL is valid."""


@dataclass(frozen=True)
class UploadPermit:
    """What one upload URL allows. `expires` is in seconds since the epoch; `nonce` makes each URL another one."""

    project_id: str
    filename: str
    size: int
    expires: int
    nonce: str = ""

    def signature(self, key: str) -> str:
        # JSON keeps the fields unambiguous, whatever characters a name contains.
        text = json.dumps([self.project_id, self.filename, self.size, self.expires, self.nonce])
        return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def issue_permit(project_id: str, filename: str, size: int) -> UploadPermit:
    return UploadPermit(project_id, filename, size, int(time.time()) + LIFETIME_SECONDS, secrets.token_hex(8))


def upload_url(base: str, permit: UploadPermit, key: str) -> str:
    query = urlencode(
        {
            "size": permit.size,
            "expires": permit.expires,
            "nonce": permit.nonce,
            "signature": permit.signature(key),
        }
    )
    return f"{base}/upload/{permit.project_id}/{url_path(permit.filename)}?{query}"


def verify_permit(project_id: str, filename: str, query: Mapping[str, str], key: str) -> UploadPermit:
    """The permit in an upload URL; raises Fault (403) if the URL was modified or has expired."""
    try:
        size, expires = int(query["size"]), int(query["expires"])
        permit = UploadPermit(project_id, filename, size, expires, query.get("nonce", ""))
        signature = query["signature"].encode()
    except (KeyError, ValueError) as error:
        message = "invalid upload URL: size, expires or signature is missing or malformed"
        raise Fault(403, "signature_invalid", message) from error
    if not hmac.compare_digest(permit.signature(key).encode(), signature):
        raise Fault(403, "signature_invalid", "invalid upload URL: the signature doesn't match")
    if permit.expires < time.time():
        raise Fault(403, "upload_expired", "the upload URL has expired; request a new one")
    return permit


def wrong_size(permit: UploadPermit, *, too_large: bool, found: str) -> Fault:
    """For an upload of another size than its URL allows; `found` says what was sent."""
    message = f"the upload URL is for exactly {permit.size} bytes, but {found}"
    return Fault(413, "upload_too_large", message) if too_large else Fault(400, "upload_size_wrong", message)


async def receive(
    platform: Platform, request: Request, permit: UploadPermit, reserve: Callable[[str], Awaitable[None]]
) -> str:
    """Store the request's body as the permitted file; returns its ETag.

    `reserve` is called with the object's key before the first byte is read. Raises Fault if the body isn't what the
    permit allows, or if it stored another body before; then an existing file stays unchanged. Sending the same body again
    is no error: its sender may not have got the response.
    """
    key = file_records.new_object_key(permit.project_id, "stored_file")
    digest = hashlib.sha256()
    await reserve(key)
    try:
        await platform.store.put_stream(
            key, _checked_chunks(platform, request, permit, key, digest), permit.size
        )
        etag = digest.hexdigest()[:32]
        await _write_record(platform, permit, key, etag)
    except _SameUpload:
        await abort_upload(platform, key)
    except BaseException as error:
        await abort_upload(platform, key)
        if isinstance(error, errors.ForeignKeyViolation):
            raise Fault(404, "project_not_found", f"the project {permit.project_id} was deleted") from error
        raise
    return etag


async def abort_upload(platform: Platform, key: str) -> None:
    """Completes even if the request is being cancelled. If it fails, the object is left to the sweep."""
    task = asyncio.ensure_future(_abort_upload(platform, key))
    platform.tasks.add(task)
    task.add_done_callback(platform.tasks.discard)
    await asyncio.shield(task)


async def _abort_upload(platform: Platform, key: str) -> None:
    try:
        await orphans.abort_upload(platform.pool, platform.store, key)
    except (psycopg.Error, BaseError) as error:
        log.warning("can't delete the object %s of a failed upload yet: %s", key, error)


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
    async with platform.pool.connection() as connection, connection.transaction():
        await _use_up(connection, permit, platform.state.signing_key, etag)
        await file_records.put(connection, "stored_file", record)


class _SameUpload(Exception):
    """The URL has stored this very body before."""


async def _use_up(connection: Connection, permit: UploadPermit, signing_key: str, etag: str) -> None:
    """An upload URL stores one body: a URL that leaked can't replace the file."""
    query = (
        # Other uploads to this URL may still be arriving until then.
        "WITH old AS (DELETE FROM used_upload WHERE expires_at < now() - make_interval(secs => %(longest)s))"
        " INSERT INTO used_upload AS used (signature, etag, expires_at)"
        " VALUES (%(signature)s, %(etag)s, to_timestamp(%(expires)s))"
        # Nothing changes; but the row is locked and returned.
        " ON CONFLICT (signature) DO UPDATE SET etag = used.etag RETURNING etag, xmax <> 0 AS used"
    )
    signature = bytes.fromhex(permit.signature(signing_key))
    values = {
        "signature": signature, "etag": etag, "expires": permit.expires, "longest": LONGEST_UPLOAD_SECONDS + 3600,
    }  # fmt: skip
    (row,) = await control_database.fetch_rows(connection, query, values)
    if row["used"] and row["etag"] == etag:
        raise _SameUpload
    if row["used"]:
        raise Fault(403, "upload_used", "the upload URL was already used; request a new one")


async def _checked_chunks(
    platform: Platform, request: Request, permit: UploadPermit, key: str, digest: hashlib._Hash
) -> AsyncIterator[bytes]:
    """The body's chunks; raises Fault if their total size differs from the permit's."""
    received = 0
    last_heartbeat = time.monotonic()
    async for chunk in _request_chunks(request, permit.size):
        received += len(chunk)
        if received > permit.size:
            raise wrong_size(permit, too_large=True, found="more were sent")
        digest.update(chunk)
        if chunk:
            yield chunk
        if time.monotonic() - last_heartbeat > orphans.HEARTBEAT_SECONDS:
            last_heartbeat = time.monotonic()
            if not await orphans.send_heartbeat(platform.pool, key):
                raise file_records.upload_lost()
    if received != permit.size:
        raise wrong_size(permit, too_large=False, found=f"{received} were sent")


async def _request_chunks(request: Request, size: int) -> AsyncIterator[bytes]:
    """The body's chunks. An upload holds its size of the quota, so its size decides how long it may take."""
    rate = max(LEAST_RATE, size / LONGEST_UPLOAD_SECONDS)
    try:
        async for chunk in paced_chunks(request, too_slow=_stalled, least_rate=rate):
            yield chunk
    except ClientDisconnect as error:
        message = "the connection closed before the upload was complete; send the file again"
        raise Fault(400, "upload_interrupted", message) from error


def _stalled(fact: str) -> Fault:
    return Fault(408, "upload_stalled", f"{fact}; send the file again", headers={"Connection": "close"})
