"""The dashboard's overview: all projects, and the latest emails, tickets, deploys and requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.auth import inbox
from mosaic_deploy.platform.dashboard.layout import render_page
from mosaic_deploy.platform.dashboard.projects import deploys
from mosaic_deploy.platform.dashboard.projects.deploys import Deploy
from mosaic_deploy.platform.dashboard.projects.sizes import database_sizes
from mosaic_deploy.platform.postgres import control_database, databases
from mosaic_deploy.platform.projects import tickets
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.storage.storage import human_size, storage_limit

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
_LATEST = 10
_NEARLY_FULL = 0.9


async def show_overview(platform: Platform, _request: Request) -> Response:
    """The overview: the newest projects, emails, tickets, deploys and requests."""
    projects = await control_database.fetch(platform.pool, _PROJECTS_QUERY, {"account": platform.account_id})
    histories = await deploys.recent_by_project(platform, projects[:_MAX_DEPLOY_PROJECTS], _LATEST)
    return render_page(
        "overview.html",
        "Overview",
        local=platform.local,
        projects=await _project_rows(platform, projects, histories),
        names={row["id"]: row["name"] for row in projects if row["status"] != "deleting"},
        emails=await inbox.recent(platform, _LATEST),
        smtp_server=platform.mailer.address if platform.mailer else "",
        tickets=await tickets.recent(platform, _LATEST),
        deploys=deploys.newest(histories.values(), _LATEST),
        requests=list(islice(platform.journal.recent, 15)),
    )


async def _project_rows(
    platform: Platform, projects: Sequence[DictRow], histories: Mapping[str, list[Deploy]]
) -> list[dict[str, Any]]:
    sizes = await database_sizes(platform, [databases.database_name(row["id"]) for row in projects])
    rows = []
    for project in projects:
        row = {
            **project,
            "site_url": platform.site_url(project["id"]),
            "database_bytes": sizes.get(databases.database_name(project["id"]), 0),
            "storage_limit": storage_limit(platform, project),
            "last_deploy": next(iter(histories.get(project["id"], ())), None),
        }
        rows.append({**row, "warnings": list(_warnings(platform, row))})
    return rows


def _warnings(platform: Platform, row: Mapping[str, Any]) -> Iterator[str]:
    until: datetime | None = row["suspended_until"]
    if until is not None and until > datetime.now(UTC):
        yield f"database suspended: {row['suspended_for']}"
    limits = platform.limits
    for name, used, limit in (
        ("storage", row["storage_bytes"], row["storage_limit"]),
        ("database", row["database_bytes"], limits.database(row["tier"])),
        ("static files", row["static_bytes"], limits.static(row["tier"])),
    ):
        if limit is not None and used >= _NEARLY_FULL * limit:
            yield f"{name}: {human_size(used)} of {human_size(limit)} used"
    last = row["last_deploy"]
    if last is not None and last.status in ("failed", "interrupted"):
        yield f"last deploy {last.status}"
