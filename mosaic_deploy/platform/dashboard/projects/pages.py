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


async def show_deploy(platform: Platform, request: Request) -> Response:
    """One deploy with all that it changed, what was agreed to, and how to go back."""
    project = await find_project(platform, request)
    deploy = await deploys.find_deploy(platform, project, request.path_params["deploy_id"])
    kinds: dict[str, list[str]] = {}
    for address in deploy.changes:
        kind, _, name = address.partition(":")
        kinds.setdefault(kind, []).append(name)
    return render_project_page(platform, project, "deploys", "deploy.html", deploy=deploy, kinds=kinds)


async def show_requests(platform: Platform, request: Request) -> Response:
    """The latest requests for this project: to the API, uploads, and to its site."""
    project = await find_project(platform, request)
    journal = platform.journal
    return render_project_page(
        platform,
        project,
        "requests",
        "requests.html",
        since=journal.started_at,
        requests=[one for one in journal.recent if one.project_id == project["id"]],
    )
