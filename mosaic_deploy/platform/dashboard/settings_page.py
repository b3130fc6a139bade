"""The Settings tab: quota and limits, auth settings, the API key, and the project's deletion."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.dashboard.files import tracking
from mosaic_deploy.platform.dashboard.projects.project_page import render_project_page
from mosaic_deploy.platform.dashboard.projects.sizes import database_sizes
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.postgres import control_database, databases
from mosaic_deploy.platform.projects import provisioning
from mosaic_deploy.platform.projects.projects import find_project
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.storage.storage import storage_limit

_FORM_BYTES = 16 * 1024
_USAGE = """
SELECT (SELECT coalesce(sum(size), 0)::bigint FROM stored_file WHERE project_id = %(id)s) AS storage_bytes,
       (SELECT coalesce(sum(size), 0)::bigint FROM static_file WHERE project_id = %(id)s) AS static_bytes,
       (SELECT count(*) FROM mail_count WHERE project_id = %(id)s AND sent_at > now() - interval '1 day') AS emails
"""


async def show_settings(platform: Platform, request: Request) -> Response:
    return await _render(platform, await find_project(platform, request))


async def delete_project(platform: Platform, request: Request) -> Response:
    """Deletes the project if the form has its name or ID, and no recorded policy forbids to destroy its data."""
    project = await find_project(platform, request)
    body = b"".join(await request_body.read_limited(request, _FORM_BYTES))
    typed = parse_qs(body.decode("utf-8", "replace"), max_num_fields=4).get("name", [""])[0].strip()
    if typed not in (project["name"], project["id"]):
        return await _render(
            platform, project, f"Nothing was deleted: {typed!r} isn't this project's name.", 400
        )
    if denial := await _denial(platform, project):
        raise Fault(409, "policy_denied", f"nothing was deleted: {denial}")
    await provisioning.delete(platform, project["id"])
    return Response(status_code=303, headers={"Location": "/"})


async def _denial(platform: Platform, project: DictRow) -> str:
    """Why the recorded policy forbids to delete the database; empty if it doesn't, or if there is none."""
    if project["status"] != "running":
        return ""
    try:
        policy = await tracking.read_policy(platform, project)
    except tracking.TrackingUnreadable:
        return "the policy of the last deploy can't be read now; try again"
    if policy.destructive == "deny":
        return "the policy of the last deploy forbids it: policy.destructive is deny"
    if policy.protected_tables:
        return (
            f"the policy of the last deploy protects tables: {', '.join(sorted(policy.protected_tables)[:5])}"
        )
    return ""


async def _render(platform: Platform, project: DictRow, problem: str = "", status: int = 200) -> Response:
    found = await control_database.fetch_one(platform.pool, _USAGE, {"id": project["id"]})
    assert found is not None
    database, tier = databases.database_name(project["id"]), project["tier"]
    sizes = await database_sizes(platform, [database])
    return render_project_page(
        platform,
        project,
        "settings",
        "settings.html",
        status=status,
        usage=(
            ("Storage", found["storage_bytes"], storage_limit(platform, project)),
            ("Static files", found["static_bytes"], platform.limits.static(tier)),
            ("Database", sizes.get(database, 0), platform.limits.database(tier)),
        ),
        emails=found["emails"],
        email_limit=platform.limits.emails(tier),
        auth=json.dumps(project["auth_settings"], indent=2, ensure_ascii=False)
        if project["auth_settings"]
        else "",
        problem=problem,
    )
