"""The SQL endpoint."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform import body, sql
from mosaic_deploy.platform.answer import Json
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.parts import Platform
from mosaic_deploy.platform.projects import running_project


async def run_sql(platform: Platform, request: Request) -> Response:
    document = await body.read_json(request)
    query = body.text(document, "query")
    if not query.strip():
        raise Fault(400, "query_empty", "`query` is empty")
    params = _checked_params(document.get("params"))
    project = await running_project(platform, request)
    async with platform.sessions.session(project["id"], project["database_password"]) as session:
        result = await sql.run(session, query, params, platform.variants)
    return Json({"success": True, "data": result.rows, "rows": result.rows, "row_count": result.row_count})


def _checked_params(params: Any) -> list[Any] | None:
    """An empty list is no parameters: such a query may still hold several statements."""
    if params is None or params == []:
        return None
    if not isinstance(params, list):
        raise Fault(400, "field_invalid", "`params` must be a list")
    if body.has_nul(params):
        raise Fault(400, "field_invalid", "`params` has a NUL character")
    return params
