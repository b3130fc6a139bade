"""`/healthz`: whether this process serves requests."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.version import __version__


async def show_health(platform: Platform, _request: Request) -> Response:
    """200 while this process serves requests.

    On a served platform, also while the database restarts: requests then get a better answer here than from a load
    balancer without servers. After a minute the process itself may be cut off from the database.
    """
    if platform.local:
        await control_database.fetch(platform.pool, "SELECT 1")
        return JsonResponse({"status": "ok", "home_id": platform.state.home_id, "version": __version__})
    document = {
        "status": "unavailable" if platform.health.gave_up else "ok",
        "database": "ok" if platform.health.answers else "unavailable",
        "version": __version__,
    }
    return JsonResponse(document, 503 if platform.health.gave_up else 200)
