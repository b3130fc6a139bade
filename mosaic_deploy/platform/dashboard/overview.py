"""The dashboard's overview: all projects, and the latest emails, tickets, deploys and requests."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.auth import inbox
from mosaic_deploy.platform.dashboard.layout import render_page
from mosaic_deploy.platform.dashboard.projects import deploys
from mosaic_deploy.platform.dashboard.projects.sizes import database_sizes
from mosaic_deploy.platform.postgres import control_database, databases
from mosaic_deploy.platform.projects import tickets
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
        local=platform.local,
        projects=await _project_rows(platform, projects),
        emails=await inbox.recent(platform, 10),
        smtp_server=platform.mailer.address if platform.mailer else "",
        tickets=await tickets.recent(platform, 10),
        deploys=await deploys.recent(platform, projects[:_MAX_DEPLOY_PROJECTS], 10),
        requests=list(islice(platform.journal.recent, 15)),
    )


async def _project_rows(platform: Platform, projects: Sequence[DictRow]) -> list[dict[str, Any]]:
    sizes = await database_sizes(platform, [databases.database_name(row["id"]) for row in projects])
    return [
        {
            **row,
            "site_url": platform.site_url(row["id"]),
            "database_bytes": sizes.get(databases.database_name(row["id"]), 0),
            "storage_limit": storage_limit(platform, row),
        }
        for row in projects
    ]
