"""A project's overview and its deploys."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.dashboard.projects import deploys
from mosaic_deploy.platform.dashboard.projects.project_page import render_project_page
from mosaic_deploy.platform.dashboard.projects.sizes import database_sizes
from mosaic_deploy.platform.postgres import databases
from mosaic_deploy.platform.projects.projects import find_project
from mosaic_deploy.platform.services import Platform

_MAX_DEPLOYS = 50
_LATEST_DEPLOYS = 5


async def show_about(platform: Platform, request: Request) -> Response:
    project = await find_project(platform, request)
    database = databases.database_name(project["id"])
    sizes = await database_sizes(platform, [database])
    return render_project_page(
        platform,
        project,
        "",
        "about.html",
        database=database,
        database_bytes=sizes.get(database, 0),
        deploys=await deploys.recent(platform, [project], _LATEST_DEPLOYS),
    )


async def show_deploys(platform: Platform, request: Request) -> Response:
    project = await find_project(platform, request)
    found = await deploys.recent(platform, [project], _MAX_DEPLOYS)
    return render_project_page(platform, project, "deploys", "deploys.html", deploys=found)
