"""Drafts of migrations: while somebody drafts, what a project's apps see is a clone of its database.

The command clones the database, runs the draft on the clone, and has the clone served. The project's own database
stays as it is; deploys go there. Which clone is served is known in this process's memory alone: whenever the command
falls silent, or this process ends, the own database is served again, and clones that are left are dropped.
"""

from __future__ import annotations

import time

import psycopg
from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.http.responses import Json
from mosaic_deploy.platform.postgres import clones, databases
from mosaic_deploy.platform.projects.dev_sessions import LIFE, Draft
from mosaic_deploy.platform.projects.projects import project_by_id, running_project
from mosaic_deploy.platform.services import Platform

# Which database a call means: `base` is the project's own, `draft NAME` the clone that NAME is making. Without it a
# call means what is served.
HEADER = "mosaic-database"


async def report(platform: Platform, request: Request) -> Response:
    """`clone`, then SQL to the clone, then `serve`; `keep` says that somebody is there; `drop` ends it.

    Every answer says whether the caller's draft is served.
    """
    if not platform.local:
        raise Fault(404, "not_found", "drafts are tried on this machine's own platform only")
    document = await request_body.read_json(request)
    step, name = request_body.text(document, "step"), request_body.text(document, "name", limit=100)
    if step not in _STEPS:
        raise Fault(400, "field_invalid", f"`step` is one of {', '.join(_STEPS)}")
    project = await running_project(platform, request)
    await _STEPS[step](platform, project, name)
    draft = platform.drafts.find(project["id"])
    mine = draft is not None and draft.name == name
    return Json(
        {
            "served": bool(draft and mine and draft.served),
            "another": draft is not None and not mine,
            "database": clones.served_name(project["id"]),
            "expires_in": LIFE,
        }
    )


async def database(platform: Platform, project: DictRow, request: Request) -> str:
    """The name of the database that a call means."""
    own = databases.database_name(project["id"])
    meant = request.headers.get(HEADER, "")
    draft = platform.drafts.find(project["id"]) if platform.local else None
    if meant.startswith("draft "):
        _own(platform, project["id"], meant.removeprefix("draft "))
        return clones.next_name(project["id"])
    if meant == "base" or draft is None:
        return own
    await draft.in_place.wait()
    return clones.served_name(project["id"]) if draft.served else own


async def end_silent(platform: Platform) -> None:
    """Drop the clones of those who haven't been heard of; their projects' own databases are served already."""
    for project_id in platform.drafts.silent():
        if platform.drafts.find(project_id) is None:
            await drop(platform, project_id)


async def drop(platform: Platform, project_id: str) -> None:
    """The own database is served, and the clones are gone."""
    platform.drafts.end(project_id)
    await _forget(platform, project_id)
    async with databases.locked_project(platform.server, project_id, wait=True):
        # Somebody may have begun anew while the lock was waited for.
        if platform.drafts.find(project_id) is None:
            await clones.put_away(platform.server, project_id)


async def _clone(platform: Platform, project: DictRow, name: str) -> None:
    project_id = project["id"]
    draft = platform.drafts.begin(project_id, name)
    async with draft.lock, databases.locked_project(platform.server, project_id, wait=True):
        if await project_by_id(platform, project_id) is None:
            raise Fault(404, "project_not_found", f"there is no project {project_id!r} any more")
        await platform.sessions.close_database(databases.database_name(project_id))
        await platform.sessions.close_database(clones.next_name(project_id))
        await clones.make(platform.server, project_id)
    draft.heard = time.monotonic()


async def _serve(platform: Platform, project: DictRow, name: str) -> None:
    project_id = project["id"]
    draft = _own(platform, project_id, name)
    async with draft.lock, databases.locked_project(platform.server, project_id, wait=True):
        # Another one may have begun while the locks were waited for.
        _own(platform, project_id, name)
        draft.in_place.clear()
        try:
            await _forget(platform, project_id)
            # What is served is gone from here on, until the next one has its place.
            draft.served = False
            await clones.put_in_place(platform.server, project_id)
            draft.served = True
        except psycopg.errors.InvalidCatalogName as error:
            raise Fault(409, "draft_gone", "the clone is gone; begin the draft again") from error
        finally:
            draft.in_place.set()
            draft.heard = time.monotonic()


async def _keep(platform: Platform, project: DictRow, name: str) -> None:
    draft = platform.drafts.find(project["id"])
    if draft is not None and draft.name == name:
        draft.heard = time.monotonic()


async def _end(platform: Platform, project: DictRow, name: str) -> None:
    draft = platform.drafts.find(project["id"])
    if draft is not None and draft.name == name:
        await drop(platform, project["id"])


_STEPS = {"clone": _clone, "serve": _serve, "keep": _keep, "drop": _end}


def _own(platform: Platform, project_id: str, name: str) -> Draft:
    draft = platform.drafts.find(project_id)
    if draft is None or draft.name != name:
        raise Fault(
            409, "draft_gone", "this draft is over, or another one has taken its place; begin it again"
        )
    return draft


async def _forget(platform: Platform, project_id: str) -> None:
    for name in (clones.served_name(project_id), clones.next_name(project_id)):
        await platform.sessions.close_database(name)
