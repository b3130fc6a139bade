"""The frame of all pages of one project: its name, its site, and the tabs."""

from __future__ import annotations

from typing import Any

from psycopg.rows import DictRow
from starlette.responses import Response

from mosaic_deploy.platform.dashboard.layout import render_page
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.services import Platform

TABS = (
    ("", "Overview"),
    ("tables", "Tables"),
    ("sql", "SQL"),
    ("schema", "Schema"),
    ("site", "Site"),
    ("storage", "Storage"),
    ("emails", "Emails"),
    ("sign-ins", "Sign-ins"),
    ("deploys", "Deploys"),
    ("requests", "Requests"),
    ("connect", "Connect"),
    ("settings", "Settings"),
)
"""The last part of the URL, and the label."""
# What they show is in the project's database, whose content a hostile account could make large, or isn't there.
_LOCAL_TABS = frozenset({"deploys", "emails", "requests", "schema", "site", "sql", "storage", "tables"})


_NAMES = """
SELECT id, name FROM project WHERE account_id = %(account)s AND status <> 'deleting' AND NOT hidden
"""


async def project_names(platform: Platform) -> dict[str, str]:
    """The names of the account's projects by ID."""
    rows = await control_database.fetch(platform.pool, _NAMES, {"account": platform.account_id})
    return {row["id"]: row["name"] for row in rows}


def render_project_page(
    platform: Platform, project: DictRow, tab: str, template: str, **values: Any
) -> Response:
    """`templates/projects/{template}`, which extends `project_page.html`. `tab` is the URL's part of TABS."""
    label = dict(TABS)[tab]
    title = f"{project['name']}" if not tab else f"{label} · {project['name']}"
    return render_page(
        f"projects/{template}",
        title,
        project=project,
        site_url=platform.site_url(project["id"]),
        local=platform.local,
        tabs=[one for one in TABS if platform.local or one[0] not in _LOCAL_TABS],
        tab=tab,
        heading=label,
        **values,
    )
