"""The Storage tab: folders and files of a project's object storage, and a page for each file with a preview."""

from __future__ import annotations

from urllib.parse import urlencode

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.dashboard.files import tracking
from mosaic_deploy.platform.dashboard.files.listing import list_files, read_choice
from mosaic_deploy.platform.dashboard.projects.project_page import render_project_page
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.projects.names import url_path
from mosaic_deploy.platform.projects.projects import find_project
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.storage import file_records
from mosaic_deploy.platform.storage.storage import storage_limit

_MAX_TEXT = 64 * 1024
_MAX_IMAGE = 50 * 1000 * 1000
_TEXT_TYPES = ("text/", "application/json", "application/yaml", "application/xml", "application/geo+json")


async def show_storage(platform: Platform, request: Request) -> Response:
    """The folder that the URL names; with a search, the files of all folders below it."""
    project = await find_project(platform, request)
    choice = read_choice(request)
    listing = await list_files(platform, "stored_file", project["id"], choice, by_folder=True)
    parts = choice.folder.split("/")[:-1]
    return render_project_page(
        platform,
        project,
        "storage",
        "files/storage.html",
        listing=listing,
        parents=[(part, "/".join(parts[: number + 1]) + "/") for number, part in enumerate(parts)],
        limit=storage_limit(platform, project),
        urls={row["filename"]: storage_url(platform, project, row["filename"]) for row in listing.files},
        pages={row["filename"]: file_page_url(project["id"], row["filename"]) for row in listing.files},
    )


async def show_file(platform: Platform, request: Request) -> Response:
    """One file: its preview, its URL, what deployed it, and its deletion."""
    project = await find_project(platform, request)
    row = await find_stored_file(platform, project, request.query_params.get("name", ""))
    name, kind = row["filename"], preview_kind(row)
    site = platform.site_url(project["id"])
    return render_project_page(
        platform,
        project,
        "storage",
        "files/storage_file.html",
        file=row,
        url=storage_url(platform, project, name),
        kind=kind,
        # On the dashboard's own origin, so that its policy needs no exception for images.
        image_url=f"/sites/{project['id']}/storage/{url_path(name)}",
        text=await _read_text(platform, row) if kind == "text" else "",
        truncated=row["size"] > _MAX_TEXT,
        owner=await owner_text(platform, project, name),
        frame_sources=site if kind == "pdf" else "",
    )


async def find_stored_file(platform: Platform, project: DictRow, name: str) -> DictRow:
    """Raises Fault (404)."""
    rows = await file_records.find_records(platform.pool, "stored_file", project["id"], [name])
    if name not in rows:
        raise Fault(404, "file_not_found", f"storage file {name!r} not found")
    return rows[name]


async def owner_text(platform: Platform, project: DictRow, name: str) -> str:
    """What deployed the file, or why that is unknown; empty if no deploy has recorded it."""
    if project["status"] != "running":
        return ""
    try:
        found = (await tracking.read_deployed(platform, project, "storage", [name])).get(name)
    except tracking.TrackingUnreadable:
        return "the tracking tables can't be read now, so it is unknown whether a manifest deploys it"
    if found is None:
        return ""
    manifest = found.manifest.partition("#")[0] or "a manifest"
    if found.state == "kept":
        return f"deployed earlier by {manifest}, which doesn't name it any longer"
    return f"deployed by {manifest}; its next apply uploads it again"


def preview_kind(row: DictRow) -> str:
    """`image`, `pdf`, `text` or nothing."""
    content_type: str = row["content_type"]
    if content_type.startswith("image/") and row["size"] <= _MAX_IMAGE:
        return "image"
    if content_type.startswith("application/pdf"):
        return "pdf"
    return "text" if content_type.startswith(_TEXT_TYPES) or row["size"] == 0 else ""


def storage_url(platform: Platform, project: DictRow, name: str) -> str:
    """The file's public URL."""
    return f"{platform.site_url(project['id'])}/storage/{url_path(name)}"


def file_page_url(project_id: str, name: str) -> str:
    return f"/projects/{project_id}/storage/file?{urlencode({'name': name})}"


async def _read_text(platform: Platform, row: DictRow) -> str:
    """The beginning of the file. Raises Fault if its object is gone."""
    chunks = []
    try:
        async for chunk in platform.store.stream(row["object"], 0, min(row["size"], _MAX_TEXT)):
            chunks.append(bytes(chunk))
    except FileNotFoundError as error:
        raise Fault(
            404, "file_not_found", "the file was just replaced or deleted; reload the page"
        ) from error
    return b"".join(chunks).decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
