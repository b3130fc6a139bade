"""The API for static files: upload, list, delete. `sites` serves them to browsers."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib

from psycopg import errors
from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.hosting import static_quota
from mosaic_deploy.platform.hosting.compression import gzip_copy
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.projects.names import checked_filename, static_content_type, url_path
from mosaic_deploy.platform.projects.projects import find_project, project_not_found
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.storage import file_records, orphans, uploads

_INLINE_COMPRESSION_BYTES = 64 * 1024
SIZE_LIMIT = 25 * 1024 * 1024


async def put_file(platform: Platform, request: Request) -> Response:
    """Stores one file. `content` is text, or base64 with `"encoding": "base64"`."""
    document = await request_body.read_json(request, request_body.JSON_LIMIT)
    filename = checked_filename(request_body.required_text(document, "filename"))
    content_type = static_content_type(filename)
    content = _decoded_content(document)
    project_id: str = request.path_params["project_id"]
    async with static_quota.reserved(platform, project_id, len(content)):
        await _store(platform, project_id, filename, content, content_type)
    url = f"{platform.site_url(project_id)}/{url_path(filename)}"
    return JsonResponse({"filename": filename, "url": url, "size": len(content)}, 201)


async def _store(
    platform: Platform, project_id: str, filename: str, content: bytes, content_type: str
) -> None:
    key = file_records.new_object_key(project_id, "static_file")
    # Compressing a large file in the event loop would delay other requests.
    copy = (
        await asyncio.to_thread(gzip_copy, content, content_type)
        if len(content) > _INLINE_COMPRESSION_BYTES
        else gzip_copy(content, content_type)
    )
    record = {
        "project_id": project_id,
        "filename": filename,
        "size": len(content),
        "content_type": content_type,
        "etag": hashlib.sha256(content).hexdigest()[:32],
        "object": key,
        "packed": len(copy),
    }
    if "\x00" in project_id or not await orphans.reserve_static_object(
        platform.pool, key, project_id, platform.account_id
    ):
        raise project_not_found(project_id)
    try:
        await platform.store.put(key, content + copy)
        async with platform.pool.connection() as connection:
            await file_records.put(connection, "static_file", record)
    except BaseException as error:
        await uploads.abort_upload(platform, key)
        if isinstance(error, errors.ForeignKeyViolation):
            raise Fault(404, "project_not_found", f"project {project_id} was deleted") from error
        raise


async def list_files(platform: Platform, request: Request) -> Response:
    project = await find_project(platform, request)
    base = platform.site_url(project["id"])
    rows = await file_records.list_records(platform.pool, "static_file", project["id"])
    return JsonResponse({"files": [_row_document(row, base) for row in rows]})


async def delete_file(platform: Platform, request: Request) -> Response:
    project = await find_project(platform, request)
    filename = request.path_params["filename"]
    if not await file_records.remove(platform.pool, "static_file", project["id"], filename):
        raise Fault(404, "file_not_found", f"static file {filename!r} doesn't exist")
    return JsonResponse({"success": True, "filename": filename})


def _decoded_content(document: dict[str, object]) -> bytes:
    content = document.get("content")
    if not isinstance(content, str):
        raise Fault(400, "field_invalid", "`content` must be a string")
    encoding = document.get("encoding")
    if encoding in (None, "utf-8", "utf8", "text"):
        decoded = content.encode("utf-8")
    elif encoding == "base64":
        try:
            decoded = base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Fault(400, "content_invalid", "`content` is not valid base64") from error
    else:
        raise Fault(400, "field_invalid", "`encoding` must be `base64` or omitted")
    if len(decoded) > SIZE_LIMIT:
        raise Fault(
            413,
            "file_too_large",
            f"static files are limited to {SIZE_LIMIT // 1024**2} MiB; use storage for larger files",
        )
    return decoded


def _row_document(row: DictRow, base: str) -> dict[str, object]:
    return {
        "filename": row["filename"],
        "size": row["size"],
        "url": f"{base}/{url_path(row['filename'])}",
        "updated_at": row["updated_at"].isoformat(),
    }
