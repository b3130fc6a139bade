"""The Site tab: the static files of a project, and who deployed which."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.dashboard.files import tracking
from mosaic_deploy.platform.dashboard.files.listing import list_files, read_choice
from mosaic_deploy.platform.dashboard.projects.project_page import render_project_page
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.projects.names import url_path
from mosaic_deploy.platform.projects.projects import find_project
from mosaic_deploy.platform.services import Platform

_TYPES = """
SELECT split_part(content_type, ';', 1) AS type, count(*) AS files, sum(size)::bigint AS size
FROM static_file WHERE project_id = %(project)s GROUP BY 1 ORDER BY 3 DESC, 1
"""


async def show_site(platform: Platform, request: Request) -> Response:
    """A page of the files, searched by name."""
    project = await find_project(platform, request)
    choice = read_choice(request)
    listing = await list_files(platform, "static_file", project["id"], choice, by_folder=False)
    deployed: dict[str, tracking.DeployedFile] = {}
    unreadable = False
    if project["status"] == "running" and listing.files:
        names = [row["filename"] for row in listing.files]
        try:
            deployed = await tracking.read_deployed(platform, project, "static", names)
        except tracking.TrackingUnreadable:
            unreadable = True
    base = platform.site_url(project["id"])
    return render_project_page(
        platform,
        project,
        "site",
        "files/site.html",
        listing=listing,
        deployed=deployed,
        unreadable=unreadable,
        types=await control_database.fetch(platform.pool, _TYPES, {"project": project["id"]}),
        urls={row["filename"]: f"{base}/{url_path(row['filename'])}" for row in listing.files},
    )
