"""The dashboard's overview and its pages for projects, tickets, requests and the API key."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.auth import inbox
from mosaic_deploy.platform.dashboard import deploys
from mosaic_deploy.platform.dashboard.layout import render_page
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.postgres import control_database, databases
from mosaic_deploy.platform.projects import tickets
from mosaic_deploy.platform.projects.projects import find_project
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.storage.storage import storage_limit

_PROJECTS_QUERY = """
SELECT project.*, account.tier,
       (SELECT coalesce(sum(size), 0)::bigint FROM static_file WHERE project_id = project.id) AS static_bytes,
       (SELECT count(*) FROM static_file WHERE project_id = project.id) AS static_files,
       (SELECT coalesce(sum(size), 0)::bigint FROM stored_file WHERE project_id = project.id) AS storage_bytes
FROM project JOIN account ON account.id = project.account_id
WHERE account_id = %(account)s AND NOT project.hidden ORDER BY project.created_at DESC, project.id
"""
# Reading a project's deploys takes a connection to its database.
_MAX_DEPLOY_PROJECTS = 10


async def show_overview(platform: Platform, _request: Request) -> Response:
    """The overview: the newest projects, emails, tickets, deploys and requests."""
    projects = await control_database.fetch(platform.pool, _PROJECTS_QUERY, {"account": platform.account_id})
    return render_page(
        "overview.html",
        "Overview",
        projects=await _project_rows(platform, projects),
        emails=await inbox.recent(platform, 10),
        smtp_server=platform.mailer.address if platform.mailer else "",
        tickets=await tickets.recent(platform, 10),
        deploys=await deploys.recent(platform, projects[:_MAX_DEPLOY_PROJECTS], 10),
        requests=list(islice(platform.journal.recent, 15)),
    )


async def show_project(platform: Platform, request: Request) -> Response:
    project = await find_project(platform, request)
    database = databases.database_name(project["id"])
    sizes = await _database_sizes(platform, [database])
    return render_page(
        "project.html",
        project["name"],
        project=project,
        site_url=platform.site_url(project["id"]),
        database=database,
        database_bytes=sizes.get(database, 0),
        deploys=await deploys.recent(platform, [project], 50),
    )


async def show_requests(platform: Platform, _request: Request) -> Response:
    journal = platform.journal
    return render_page("requests.html", "Requests", since=journal.started_at, requests=list(journal.recent))


async def show_ticket(platform: Platform, request: Request) -> Response:
    ticket = await tickets.find(platform, request.path_params["ticket_id"])
    return render_page("ticket.html", ticket["subject"], ticket=ticket)


async def change_ticket(platform: Platform, request: Request) -> Response:
    """Sets the status that the form sent, and leads back to the ticket."""
    form = b"".join(await request_body.read_limited(request, request_body.TOKEN_LIMIT))
    status = "open" if form == b"status=open" else "closed"
    ticket_id = request.path_params["ticket_id"]
    await tickets.set_status(platform, ticket_id, status)
    return Response(status_code=303, headers={"Location": f"/tickets/{int(ticket_id)}"})


async def show_key(platform: Platform, _request: Request) -> Response:
    return render_page("key.html", "API key", key=platform.local_key.value if platform.local_key else "")


async def _project_rows(platform: Platform, projects: Sequence[DictRow]) -> list[dict[str, Any]]:
    sizes = await _database_sizes(platform, [databases.database_name(row["id"]) for row in projects])
    return [
        {
            **row,
            "site_url": platform.site_url(row["id"]),
            "database_bytes": sizes.get(databases.database_name(row["id"]), 0),
            "storage_limit": storage_limit(platform, row),
        }
        for row in projects
    ]


async def _database_sizes(platform: Platform, names: list[str]) -> dict[str, int]:
    """Bytes of each database that exists."""
    query = "SELECT datname, pg_database_size(oid) AS size FROM pg_database WHERE datname = ANY(%(names)s)"
    found = await control_database.fetch(platform.pool, query, {"names": names})
    return {row["datname"]: row["size"] for row in found}
