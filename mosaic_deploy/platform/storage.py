"""Storage: upload URLs, the uploads themselves, usage against the quota."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from mosaic_deploy.platform import body, control, presign, records
from mosaic_deploy.platform.answer import Json
from mosaic_deploy.platform.control import Connection
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.names import checked_filename, storage_type, url_path
from mosaic_deploy.platform.parts import Platform
from mosaic_deploy.platform.presign import Permit
from mosaic_deploy.platform.projects import find_project


async def create_upload(platform: Platform, request: Request) -> Response:
    document = await body.read_json(request)
    filename = checked_filename(body.text(document, "filename"))
    size = body.whole_number(document, "size")
    project = await find_project(platform, request)
    async with platform.pool.connection() as connection:
        await _check_quota(connection, project["id"], filename, size, project["storage_limit"])
    permit = presign.issue(project["id"], filename, size)
    url = presign.upload_url(platform.url, permit, platform.state.signing_key)
    return Json({"upload_url": url, "filename": filename, "expires_in": presign.LIFETIME_SECONDS})


async def receive_upload(platform: Platform, request: Request) -> Response:
    """PUT of the bytes. The URL is the permission: no key."""
    path, key = request.path_params, platform.state.signing_key
    permit = presign.read_permit(path["project_id"], path["filename"], request.query_params, key)
    _check_announced(request.headers.get("content-length"), permit)
    object_key = records.new_key(permit.project_id, "stored_file")
    digest = hashlib.sha256()
    try:
        await platform.store.put_stream(object_key, _measured(request, permit, digest))
        old = await _record(platform, permit, object_key, digest.hexdigest()[:32])
    except BaseException:
        await platform.store.delete(object_key)
        raise
    if old is not None:
        await platform.store.delete(old)
    etag = digest.hexdigest()[:32]
    return Json(
        {"success": True, "filename": permit.filename, "size": permit.size}, headers={"ETag": f'"{etag}"'}
    )


async def list_storage(platform: Platform, request: Request) -> Response:
    project = await find_project(platform, request)
    base = platform.site_url(project["id"])
    rows = await records.listed(platform.pool, "stored_file", project["id"])
    files = [
        {
            "filename": row["filename"],
            "size": row["size"],
            "url": f"{base}/storage/{url_path(row['filename'])}",
        }
        for row in rows
    ]
    return Json({"files": files, "usage": usage(sum(row["size"] for row in rows), project["storage_limit"])})


async def delete_object(platform: Platform, request: Request) -> Response:
    project = await find_project(platform, request)
    filename = request.path_params["filename"]
    old = await records.removed(platform.pool, "stored_file", project["id"], filename)
    if old is None:
        raise Fault(404, "file_not_found", f"there is no stored file {filename!r}")
    await platform.store.delete(old)
    return Json({"success": True, "filename": filename})


def usage(used: int, limit: int) -> dict[str, object]:
    return {
        "used": human_size(used),
        "limit": human_size(limit),
        "percent": round(100 * used / limit, 1),
        "used_bytes": used,
        "limit_bytes": limit,
    }


def human_size(size: int) -> str:
    """Decimal units, one decimal where it says something: `1.2 GB`, `20 GB`, `0 B`."""
    value, unit = float(size), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if round(value, 1) < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"


def _check_announced(length: str | None, permit: Permit) -> None:
    if length is None:
        return
    announced = int(length) if length.isdecimal() else -1
    if announced > permit.size:
        raise Fault(413, "upload_too_large", f"the URL is for {permit.size} bytes, not {announced}")
    if announced != permit.size:
        raise Fault(400, "upload_size_wrong", f"the URL is for {permit.size} bytes, not {announced}")


async def _measured(request: Request, permit: Permit, digest: hashlib._Hash) -> AsyncIterator[bytes]:
    """The body's chunks, as long as they are what the permit says."""
    received = 0
    try:
        async for chunk in request.stream():
            received += len(chunk)
            if received > permit.size:
                raise Fault(413, "upload_too_large", f"the URL is for {permit.size} bytes; more were sent")
            digest.update(chunk)
            if chunk:
                yield chunk
    except ClientDisconnect as error:
        raise Fault(
            400, "upload_interrupted", "the connection ended inside the upload; send it again"
        ) from error
    if received != permit.size:
        raise Fault(400, "upload_size_wrong", f"the URL is for {permit.size} bytes; {received} were sent")


async def _record(platform: Platform, permit: Permit, object_key: str, etag: str) -> str | None:
    """Under the project's lock, so that uploads at the same time can't pass the quota together."""
    record = {
        "project_id": permit.project_id,
        "filename": permit.filename,
        "size": permit.size,
        "content_type": storage_type(permit.filename),
        "etag": etag,
        "object": object_key,
    }
    async with platform.pool.connection() as connection, connection.transaction():
        query = "SELECT storage_limit FROM project WHERE id = %(id)s FOR UPDATE"
        projects = await control.rows(connection, query, {"id": permit.project_id})
        if not projects:
            raise Fault(404, "project_not_found", f"there is no project {permit.project_id!r}")
        limit = projects[0]["storage_limit"]
        await _check_quota(connection, permit.project_id, permit.filename, permit.size, limit)
        return await records.put(connection, "stored_file", record)


async def _check_quota(connection: Connection, project_id: str, filename: str, size: int, limit: int) -> None:
    used = await records.total_size(connection, "stored_file", project_id, without=filename)
    if used + size > limit:
        free = human_size(max(0, limit - used))
        message = f"{human_size(size)} don't fit: {free} of {human_size(limit)} are free"
        raise Fault(413, "storage_quota_exceeded", message)
