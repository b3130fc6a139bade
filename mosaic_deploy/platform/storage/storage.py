"""Storage: upload URLs, the uploads themselves, usage against the quota."""

from __future__ import annotations

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.control_database import Connection
from mosaic_deploy.platform.projects.names import checked_filename, url_path
from mosaic_deploy.platform.projects.projects import find_project
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.storage import file_records, orphans, uploads
from mosaic_deploy.platform.storage import uploads as presign
from mosaic_deploy.platform.storage.uploads import UploadPermit


async def create_upload(platform: Platform, request: Request) -> Response:
    document = await request_body.read_json(request)
    filename = checked_filename(request_body.text(document, "filename"))
    size = request_body.whole_number(document, "size")
    project = await find_project(platform, request)
    permit = presign.issue_permit(project["id"], filename, size)
    async with platform.pool.connection() as connection:
        await _check_quota(connection, permit, storage_limit(platform, project))
    url = presign.upload_url(platform.url, permit, platform.state.signing_key)
    return JsonResponse({"upload_url": url, "filename": filename, "expires_in": presign.LIFETIME_SECONDS})


async def receive_upload(platform: Platform, request: Request) -> Response:
    """PUT of the bytes. The URL is the permission: no key."""
    path, key = request.path_params, platform.state.signing_key
    permit = presign.verify_permit(path["project_id"], path["filename"], request.query_params, key)
    _check_content_length(request.headers.get("content-length"), permit)
    etag = await uploads.receive(platform, request, permit, lambda held: _reserve(platform, permit, held))
    return JsonResponse(
        {"success": True, "filename": permit.filename, "size": permit.size}, headers={"ETag": f'"{etag}"'}
    )


async def list_storage(platform: Platform, request: Request) -> Response:
    project = await find_project(platform, request)
    base = platform.site_url(project["id"])
    rows = await file_records.list_records(platform.pool, "stored_file", project["id"])
    files = [
        {
            "filename": row["filename"],
            "size": row["size"],
            "url": f"{base}/storage/{url_path(row['filename'])}",
        }
        for row in rows
    ]
    return JsonResponse(
        {"files": files, "usage": usage(sum(row["size"] for row in rows), storage_limit(platform, project))}
    )


async def delete_storage_file(platform: Platform, request: Request) -> Response:
    project = await find_project(platform, request)
    filename = request.path_params["filename"]
    if not await file_records.remove(platform.pool, "stored_file", project["id"], filename):
        raise Fault(404, "file_not_found", f"there is no stored file {filename!r}")
    return JsonResponse({"success": True, "filename": filename})


def storage_limit(platform: Platform, project: DictRow) -> int:
    """Bytes: the project's own limit where it has one, else its account's tier's."""
    own: int | None = project["storage_limit"]
    return platform.limits.storage(project["tier"]) if own is None else own


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


def _check_content_length(length: str | None, permit: UploadPermit) -> None:
    if length is None:
        return
    content_length = int(length) if length.isdecimal() and len(length) < 20 else -1
    if content_length > permit.size:
        raise Fault(413, "upload_too_large", f"the URL is for {permit.size} bytes, not {content_length}")
    if content_length != permit.size:
        raise Fault(400, "upload_size_wrong", f"the URL is for {permit.size} bytes, not {content_length}")


async def _reserve(platform: Platform, permit: UploadPermit, key: str) -> None:
    """Room for the whole upload, before its first byte is taken. Under the project's lock, so that uploads at the
    same time can't pass the quota together. The lock is one that writing of static files doesn't wait for."""
    async with platform.pool.connection() as connection, connection.transaction():
        query = (
            "SELECT project.storage_limit, account.tier FROM project"
            " JOIN account ON account.id = project.account_id"
            " WHERE project.id = %(id)s AND status <> 'deleting' FOR NO KEY UPDATE OF project"
        )
        projects = await control_database.rows(connection, query, {"id": permit.project_id})
        if not projects:
            raise Fault(404, "project_not_found", f"there is no project {permit.project_id!r}")
        await _check_quota(connection, permit, storage_limit(platform, projects[0]))
        await orphans.reserve_object(connection, key, permit.project_id, permit.size)


async def _check_quota(connection: Connection, permit: UploadPermit, limit: int) -> None:
    """What is stored, without what this upload replaces, and what is on its way count."""
    used = await file_records.used_bytes(connection, permit.project_id, excluding=permit.filename)
    if used + permit.size > limit:
        free = human_size(max(0, limit - used))
        message = f"{human_size(permit.size)} don't fit: {free} of {human_size(limit)} are free"
        raise Fault(413, "storage_quota_exceeded", message)
