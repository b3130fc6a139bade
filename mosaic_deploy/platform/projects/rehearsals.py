"""Rehearsals: a deployer tries migrations on databases of a hidden project before it applies them to the real one.

Only this process's memory knows which databases are in use, so a restart leaves none behind. Bases outlive it.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.postgres import databases, rehearsal_databases
from mosaic_deploy.platform.projects.projects import ensure_hidden_project
from mosaic_deploy.platform.projects.provisioning import provision_now
from mosaic_deploy.platform.services import Platform

# A rehearsal that was killed leaves its database behind for this long.
_UNUSED_SECONDS = 30 * 60.0
_PAUSE_SECONDS = 0.5
_NAME = re.compile(r"[0-9a-f]{8,32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAX_BASES = 5000
MAX_BYTES = 4 * 1024**3
"""Of a rehearsal's database. Nobody has approved what a plan only tries, so it doesn't fill the disk."""
_GONE = (
    f"this rehearsal has ended: its database wasn't used for {_UNUSED_SECONDS // 60:.0f} minutes, grew beyond "
    f"{MAX_BYTES // 1024**3} GB, or was given up"
)


async def update_rehearsal(platform: Platform, request: Request) -> Response:
    """Run one step: `open` makes a database, `keep` makes it a base of other rehearsals, `drop` ends the rehearsal.

    `open` copies the first of `bases` that exists and returns it. `drop` may name one as `spare`: it is copied in advance, in
    the background. SQL reaches the database as that of the returned project,
    with the header `Mosaic-Database: rehearsal NAME`.
    """
    if not platform.local:
        raise Fault(404, "not_found", "rehearsals are available only on the embedded platform")
    document = await request_body.read_json(request, request_body.JSON_LIMIT)
    step = request_body.required_text(document, "step")
    name = _checked(_NAME, "name", request_body.required_text(document, "name"))
    if step not in ("open", "keep", "drop"):
        raise Fault(400, "field_invalid", "`step` must be one of open, keep, drop")
    project = await ensure_hidden_project(platform)
    if project["status"] != "running":
        await provision_now(platform, project["id"])
    base, version = None, ""
    if step == "open":
        base, version = await _open(platform, project, name, document)
    elif step == "keep":
        digest = _checked(_DIGEST, "base", request_body.required_text(document, "base"))
        await _keep(platform, project, name, digest)
    else:
        await _end(platform, project, name)
        if "spare" in document:
            platform.spares.put_nowait(_checked(_DIGEST, "spare", document["spare"]))
    owner = databases.database_name(project["id"])
    return JsonResponse(
        {"project_id": project["id"], "owner": owner, "base": base, "server_version": version}
    )


def database_in_use(platform: Platform, project_id: str, name: str) -> str:
    """The name of the rehearsal's database. Raises Fault (409) if the rehearsal has ended."""
    if name not in platform.rehearsals:
        raise Fault(409, "rehearsal_gone", _GONE)
    platform.rehearsals[name] = time.monotonic()
    return rehearsal_databases.rehearsal_database(project_id, name)


async def drop_unused(platform: Platform) -> None:
    """Drop the databases of rehearsals that have ended, weren't used for long, or have grown too large."""
    oldest = time.monotonic() - _UNUSED_SECONDS
    for name in [name for name, used in platform.rehearsals.items() if used < oldest]:
        del platform.rehearsals[name]
    if platform.rehearsals:
        project = await ensure_hidden_project(platform)
        names = list(platform.rehearsals)
        for name in await rehearsal_databases.grown_beyond(platform.server, project["id"], names, MAX_BYTES):
            await _end(platform, project, name)
    await rehearsal_databases.drop_all_but(platform.server, platform.rehearsals, platform.pool)


async def prepare_spares(platform: Platform) -> None:
    """Copy the bases that rehearsals which have ended asked for, one after another. Raises psycopg.Error."""
    while True:
        digest = await platform.spares.get()
        await _wait_for_pause(platform)
        project = await ensure_hidden_project(platform)
        async with databases.locked_project(platform.server, project["id"], wait=True):
            await rehearsal_databases.prepare_spare(platform.server, project["id"], digest)


async def _wait_for_pause(platform: Platform) -> None:
    """An apply that follows its rehearsal isn't slowed down by a copy."""
    requests = -1
    while requests != (requests := sum(platform.journal.counts.values())):
        await asyncio.sleep(_PAUSE_SECONDS)


async def _open(
    platform: Platform, project: DictRow, name: str, document: Mapping[str, Any]
) -> tuple[str | None, str]:
    bases = document.get("bases", [])
    if not isinstance(bases, list) or len(bases) > _MAX_BASES:
        raise Fault(400, "field_invalid", f"`bases` must be an array of at most {_MAX_BASES} digests")
    checked = [_checked(_DIGEST, "bases", each) for each in bases]
    # Before the database exists, because an unknown one is dropped.
    platform.rehearsals[name] = time.monotonic()
    async with databases.locked_project(platform.server, project["id"], wait=True):
        return await rehearsal_databases.create(platform.server, project["id"], name, checked)


async def _keep(platform: Platform, project: DictRow, name: str, digest: str) -> None:
    await platform.sessions.close_database(database_in_use(platform, project["id"], name))
    async with databases.locked_project(platform.server, project["id"], wait=True):
        await rehearsal_databases.keep(platform.server, project["id"], name, digest)
    platform.rehearsals.pop(name, None)


async def _end(platform: Platform, project: DictRow, name: str) -> None:
    """The database is dropped later."""
    if platform.rehearsals.pop(name, None) is not None:
        await platform.sessions.close_database(rehearsal_databases.rehearsal_database(project["id"], name))


def _checked(pattern: re.Pattern[str], field: str, value: object) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise Fault(400, "field_invalid", f"`{field}` must be hexadecimal: {pattern.pattern}")
    return value
