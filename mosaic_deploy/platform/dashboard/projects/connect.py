"""The Connect tab: how programs reach a project's database."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.dashboard.projects.project_page import render_project_page
from mosaic_deploy.platform.postgres import databases
from mosaic_deploy.platform.projects import drafts
from mosaic_deploy.platform.projects.projects import find_running_project
from mosaic_deploy.platform.services import Platform

MASK = "********"


@dataclass(frozen=True, slots=True)
class Snippet:
    """Text to copy, which has the password or its mask."""

    id: str
    title: str
    text: str


async def show_connect(platform: Platform, request: Request) -> Response:
    """With `?reveal=1` the password is shown, on the embedded platform only."""
    project = await find_running_project(platform, request)
    role = databases.database_name(project["id"])
    database = await drafts.target_database(platform, project, request)
    revealed = platform.local and request.query_params.get("reveal") == "1"
    password = project["database_password"] if revealed else MASK
    url = platform.server.project_url(role, password, database)
    return render_project_page(
        platform,
        project,
        "connect",
        "connect.html",
        snippets=snippets(url, platform.site_url(project["id"])),
        facts=(
            ("Host", platform.server.host),
            ("Port", platform.server.port),
            ("Database", database),
            ("User", role),
        ),
        password=password,
        revealed=revealed,
        is_draft=database != role,
    )


def snippets(url: str, site_url: str) -> list[Snippet]:
    """For the database's `url`, which has the password or its mask."""
    found = urlsplit(url)
    place = found.netloc.rpartition("@")[2]
    user, password = found.username or "", found.password or ""
    query = f"?{found.query}" if found.query else ""
    without_password = f"postgresql://{user}@{place}{found.path}{query}"
    return [
        Snippet("url", "URL", url),
        Snippet("env", ".env", f"DATABASE_URL={url}\nSITE_URL={site_url}"),
        Snippet("psql", "psql", f"PGPASSWORD={password} psql '{without_password}'"),
        Snippet("jdbc", "JDBC", _jdbc_url(place, found.path, user, password, found.query)),
    ]


def _jdbc_url(place: str, path: str, user: str, password: str, query: str) -> str:
    """JDBC has the user among the parameters, and another name for the kind of server."""
    options = {"user": user, "password": password}
    for name, value in parse_qsl(query):
        if name == "target_session_attrs":
            options["targetServerType"] = "primary" if value in ("read-write", "primary") else value
        else:
            options[name] = value
    return f"jdbc:postgresql://{place}{path}?{urlencode(options, quote_via=quote, safe='*')}"
