"""Storage endpoints: upload URLs, receiving uploads, listing and deleting files, usage and quota."""

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
from mosaic_deploy.platform.projects.projects import find_project, project_not_found
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.storage import file_records, orphans, uploads
from mosaic_deploy.platform.storage.uploads import UploadPermit

FILES_LIMIT = 100_000
"""Storage files of one project on a served platform: empty ones have no bytes to count."""


async def create_upload(platform: Platform, request: Request) -> Response:
    document = await request_body.read_json(request)
    filename = checked_filename(request_body.required_text(document, "filename"))
    size = request_body.whole_number(document, "size")
    project = await find_project(platform, request)
    url = await issue_upload(platform, project, filename, size, base=platform.url)
    return JsonResponse({"upload_url": url, "filename": filename, "expires_in": uploads.LIFETIME_SECONDS})


async def issue_upload(platform: Platform, project: DictRow, filename: str, size: int, *, base: str) -> str:
    """A new upload URL below `base`. Raises Fault (413) if the file doesn't fit."""
    permit = uploads.issue_permit(project["id"], filename, size)
    async with platform.pool.connection() as connection:
        await _check_quota(platform, connection, permit, storage_limit(platform, project))
    return uploads.upload_url(base, permit, platform.state.signing_key)


async def receive_upload(platform: Platform, request: Request) -> Response:
    """PUT to an upload URL. It needs no API key, because the URL is signed."""
    path, signing_key = request.path_params, platform.state.signing_key
    permit = uploads.verify_permit(path["project_id"], path["filename"], request.query_params, signing_key)
    _check_content_length(request.headers.get("content-length"), permit)
    etag = await uploads.receive(platform, request, permit, lambda key: _reserve(platform, permit, key))
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
        raise Fault(404, "file_not_found", f"storage file {filename!r} not found")
    return JsonResponse({"success": True, "filename": filename})


def storage_limit(platform: Platform, project: DictRow) -> int:
    """Bytes: the project's own limit if it has one, else the limit of its account's tier."""
    project_limit: int | None = project["storage_limit"]
    return platform.limits.storage(project["tier"]) if project_limit is None else project_limit


def usage(used: int, limit: int) -> dict[str, object]:
    return {
        "used": human_size(used),
        "limit": human_size(limit),
        "percent": round(100 * used / limit, 1),
        "used_bytes": used,
        "limit_bytes": limit,
    }


def human_size(size: int) -> str:
    """In decimal units with at most one decimal: `1.2 GB`, `20 GB`, `0 B`."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if round(value, 1) < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"


def _check_content_length(length: str | None, permit: UploadPermit) -> None:
    if length is None:
        return
    content_length = int(length) if length.isdecimal() and len(length) < 20 else -1
    if content_length != permit.size:
        raise uploads.wrong_size(
            permit, too_large=content_length > permit.size, found=f"Content-Length is {length}"
        )


async def _reserve(platform: Platform, permit: UploadPermit, key: str) -> None:
    """Reserve the whole upload's size before its first byte is read.

    The lock on the project's row keeps concurrent uploads from exceeding the quota together; FOR NO KEY UPDATE doesn't
    block writes of static files.
    """
    async with platform.pool.connection() as connection, connection.transaction():
        query = (
            "SELECT project.storage_limit, account.tier FROM project"
            " JOIN account ON account.id = project.account_id"
            " WHERE project.id = %(id)s AND status <> 'deleting' AND suspended_at IS NULL FOR NO KEY UPDATE OF project"
        )
        projects = await control_database.fetch_rows(connection, query, {"id": permit.project_id})
        if not projects:
            raise project_not_found(permit.project_id)
        await _check_quota(platform, connection, permit, storage_limit(platform, projects[0]))
        await orphans.reserve_object(connection, key, permit.project_id, permit.size)


async def _check_quota(platform: Platform, connection: Connection, permit: UploadPermit, limit: int) -> None:
    """Unfinished uploads count against the quota; a file that this upload replaces doesn't."""
    used, files = await file_records.used_space(connection, permit.project_id, excluding=permit.filename)
    if files >= FILES_LIMIT and not platform.local:
        message = (
            f"storage quota exceeded: a project may have {FILES_LIMIT:,} storage files; delete some first"
        )
        raise Fault(413, "storage_quota_exceeded", message)
    if used + permit.size > limit:
        free = human_size(max(0, limit - used))
        message = (
            f"storage quota exceeded: the file has {human_size(permit.size)}, but only {free} of "
            f"{human_size(limit)} are free"
        )
        raise Fault(413, "storage_quota_exceeded", message)
