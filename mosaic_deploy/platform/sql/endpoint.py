"""Endpoints for a project's database: running SQL, and its credentials."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Coroutine
from typing import Any, TypeVar

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.http.responses import JsonChunksResponse, JsonResponse
from mosaic_deploy.platform.postgres import databases
from mosaic_deploy.platform.projects import drafts
from mosaic_deploy.platform.projects.projects import find_running_project
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.sql import execute
from mosaic_deploy.platform.tenants.suspension import check_not_suspended

Result = TypeVar("Result")


async def run_sql(platform: Platform, request: Request) -> Response:
    document = await request_body.read_json(request, request_body.JSON_LIMIT, long_texts=True)
    query = request_body.required_bytes(document, "query")
    if not query or query.isspace():
        raise Fault(400, "query_empty", "`query` is empty")
    params = _checked_params(document.get("params"))
    project = await find_running_project(platform, request)
    check_not_suspended(project)
    database = await drafts.target_database(platform, project, request)
    work = _run(platform, project, database, query, params)
    result = await (work if platform.sql_modes.finishing else cancel_on_disconnect(request, work))
    rows, notices = result.rows, result.notices
    row_chunks = [
        piece for index, chunk in enumerate(rows.chunks) for piece in ((b",", chunk) if index else (chunk,))
    ]
    # The first edition of the platform's guide has the rows in `data`, the second in `rows`.
    chunks = [
        b'{"success":true,"data":[',
        *row_chunks,
        b'],"rows":[',
        *row_chunks,
        b'],"row_count":%d,"notices":' % rows.count,
        json.dumps(notices.kept).encode(),
        b',"notices_omitted":%d}' % notices.omitted,
    ]
    return JsonChunksResponse(chunks)


async def _run(
    platform: Platform, project: DictRow, name: str, query: bytes, params: list[Any] | None
) -> execute.SqlResult:
    account, password = project["account_id"], project["database_password"]
    async with platform.sessions.session(project["id"], account, password, name) as session:
        return await execute.run(session, query, params, platform.sql_modes)


async def cancel_on_disconnect(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of `work`. If the client disconnects first, `work` and its statement in PostgreSQL are cancelled."""
    running: asyncio.Task[Result] = asyncio.ensure_future(work)
    disconnected = asyncio.ensure_future(_wait_for_disconnect(request))
    try:
        await asyncio.wait({running, disconnected}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            return running.result()
        raise Fault(499, "client_disconnected", "the client disconnected; its statements were cancelled")
    finally:
        disconnected.cancel()
        running.cancel()
        # Not `await running`, which would raise its error again and lose where that came from.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({running})
        if running.done() and not running.cancelled():
            # Otherwise asyncio logs an error that nobody looked at.
            running.exception()
        # The error of a failed task refers to this frame, which refers to the task: the statement and its parameters would
        # stay in memory until Python's next full garbage collection.
        del running


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


def _checked_params(params: Any) -> list[Any] | None:
    """None also for an empty list: such a query may contain several statements."""
    if params is None or params == []:
        return None
    if not isinstance(params, list):
        raise Fault(400, "field_invalid", "`params` must be an array")
    if request_body.has_nul(params):
        raise Fault(400, "field_invalid", "`params` contains a NUL character")
    return params


async def show_credentials(platform: Platform, request: Request) -> Response:
    project = await find_running_project(platform, request)
    role = databases.database_name(project["id"])
    name = await drafts.target_database(platform, project, request)
    host, port, password = platform.server.host, platform.server.port, project["database_password"]
    return JsonResponse(
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
