"""Drafts of migrations: while `dev` runs, a project's apps can use a clone of its database that has the draft.

`dev` clones the database, runs the draft on the clone, then has the clone served. The project's own database stays
unchanged, and deploys still go to it. Only this process's memory knows which clone is served: when the heartbeats or
this process end, apps use the project's own database again, and leftover clones are dropped.
"""

from __future__ import annotations

import time

import psycopg
from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.postgres import clones, databases
from mosaic_deploy.platform.projects import rehearsals
from mosaic_deploy.platform.projects.dev_sessions import SESSION_TTL_SECONDS, DraftSession
from mosaic_deploy.platform.projects.projects import (
    find_project_by_id,
    find_running_project,
    project_not_found,
)
from mosaic_deploy.platform.services import Platform

# Selects the database of a call: `base` is the project's own, `draft NAME` the clone that NAME is preparing,
# `rehearsal NAME` a rehearsal's.
# Without it, a call uses the database that is served.
DATABASE_HEADER = "mosaic-database"


async def update_session(platform: Platform, request: Request) -> Response:
    """Run one step: `clone`, then (after SQL on the clone) `serve`; `keep` is the heartbeat, `drop` ends the draft.

    Every response says whether the caller's draft is served.
    """
    if not platform.local:
        raise Fault(404, "not_found", "drafts are available only on the embedded platform")
    document = await request_body.read_json(request)
    step, name = (
        request_body.required_text(document, "step"),
        request_body.required_text(document, "name", limit=100),
    )
    if step not in _STEP_HANDLERS:
        raise Fault(400, "field_invalid", f"`step` must be one of {', '.join(_STEP_HANDLERS)}")
    project = await find_running_project(platform, request)
    await _STEP_HANDLERS[step](platform, project, name)
    draft = platform.drafts.find(project["id"])
    is_callers = draft is not None and draft.name == name
    return JsonResponse(
        {
            "served": bool(draft and is_callers and draft.served),
            "another": draft is not None and not is_callers,
            "database": clones.served_clone_name(project["id"]),
            "expires_in": SESSION_TTL_SECONDS,
        }
    )


async def target_database(platform: Platform, project: DictRow, request: Request) -> str:
    """The name of the database that a call goes to; raises Fault (409) for a draft that has ended."""
    base = databases.database_name(project["id"])
    requested = request.headers.get(DATABASE_HEADER, "")
    draft = platform.drafts.find(project["id"]) if platform.local else None
    if platform.local and requested.startswith("rehearsal "):
        return rehearsals.database_in_use(platform, project["id"], requested.removeprefix("rehearsal "))
    if requested.startswith("draft "):
        _require_draft(platform, project["id"], requested.removeprefix("draft "))
        return clones.next_clone_name(project["id"])
    if requested == "base" or draft is None:
        return base
    await draft.switch_done.wait()
    return clones.served_clone_name(project["id"]) if draft.served else base


async def drop_expired(platform: Platform) -> None:
    """Drop the clones of expired drafts, which are no longer served."""
    for project_id in platform.drafts.expired_projects():
        if platform.drafts.find(project_id) is None:
            await drop(platform, project_id)


async def drop(platform: Platform, project_id: str) -> None:
    """End the draft: serve the project's own database again and drop the clones."""
    platform.drafts.end(project_id)
    await _close_clone_connections(platform, project_id)
    async with databases.locked_project(platform.server, project_id, wait=True):
        # A new draft may have started while waiting for the lock.
        if platform.drafts.find(project_id) is None:
            await clones.retire_clones(platform.server, project_id)


async def _clone(platform: Platform, project: DictRow, name: str) -> None:
    project_id = project["id"]
    draft = platform.drafts.get_or_create(project_id, name)
    async with draft.lock, databases.locked_project(platform.server, project_id, wait=True):
        if await find_project_by_id(platform, project_id) is None:
            raise project_not_found(project_id)
        await platform.sessions.close_database(databases.database_name(project_id))
        await platform.sessions.close_database(clones.next_clone_name(project_id))
        await clones.create_clone(platform.server, project_id)
    draft.last_seen = time.monotonic()


async def _serve(platform: Platform, project: DictRow, name: str) -> None:
    project_id = project["id"]
    draft = _require_draft(platform, project_id, name)
    async with draft.lock, databases.locked_project(platform.server, project_id, wait=True):
        # Another draft may have started while waiting for the locks.
        _require_draft(platform, project_id, name)
        draft.switch_done.clear()
        try:
            await _close_clone_connections(platform, project_id)
            # From here until the next clone is promoted, no clone is served.
            draft.served = False
            await clones.promote_clone(platform.server, project_id)
            draft.served = True
        except psycopg.errors.InvalidCatalogName as error:
            message = "the draft's copy of the database no longer exists; start the draft again"
            raise Fault(409, "draft_gone", message) from error
        finally:
            draft.switch_done.set()
            draft.last_seen = time.monotonic()


async def _keep_alive(platform: Platform, project: DictRow, name: str) -> None:
    draft = platform.drafts.find(project["id"])
    if draft is not None and draft.name == name:
        draft.last_seen = time.monotonic()


async def _drop_draft(platform: Platform, project: DictRow, name: str) -> None:
    draft = platform.drafts.find(project["id"])
    if draft is not None and draft.name == name:
        await drop(platform, project["id"])


_STEP_HANDLERS = {"clone": _clone, "serve": _serve, "keep": _keep_alive, "drop": _drop_draft}


def _require_draft(platform: Platform, project_id: str, name: str) -> DraftSession:
    draft = platform.drafts.find(project_id)
    if draft is None or draft.name != name:
        raise Fault(409, "draft_gone", "this draft has ended or was replaced by another one; start it again")
    return draft


async def _close_clone_connections(platform: Platform, project_id: str) -> None:
    for name in (clones.served_clone_name(project_id), clones.next_clone_name(project_id)):
        await platform.sessions.close_database(name)
