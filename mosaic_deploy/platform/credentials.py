"""How a project's own clients reach its database, or the clone of it that is served."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform import databases, drafts
from mosaic_deploy.platform.answer import Json
from mosaic_deploy.platform.parts import Platform
from mosaic_deploy.platform.projects import running_project


async def show(platform: Platform, request: Request) -> Response:
    project = await running_project(platform, request)
    role = databases.database_name(project["id"])
    name = await drafts.database(platform, project, request)
    host, port, password = platform.server.host, platform.server.port, project["database_password"]
    return Json(
        {
            "project_id": project["id"],
            "database_url": platform.server.project_url(role, password, name),
            "host": host,
            "port": port,
            "database": name,
            "user": role,
            "password": password,
        }
    )
