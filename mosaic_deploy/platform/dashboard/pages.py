"""The pages at the platform's own address: projects, storage, inbox, tickets, deploys, requests, the API key."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.auth import inbox
from mosaic_deploy.platform.dashboard import deploys, inbox_pages
from mosaic_deploy.platform.dashboard import layout as page
from mosaic_deploy.platform.dashboard.deploys import Deploy
from mosaic_deploy.platform.dashboard.html import (
    Html,
    definition_list,
    element,
    escape_html,
    join_html,
    link,
    meter,
    section,
    table,
    time_element,
)
from mosaic_deploy.platform.http.request_journal import RequestRecord
from mosaic_deploy.platform.postgres import control_database, databases
from mosaic_deploy.platform.projects import tickets
from mosaic_deploy.platform.projects.projects import find_project
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.storage.storage import human_size, storage_limit

_PROJECTS_QUERY = """
SELECT project.*, account.tier,
       (SELECT coalesce(sum(size), 0)::bigint FROM static_file WHERE project_id = project.id) AS static_bytes,
       (SELECT count(*) FROM static_file WHERE project_id = project.id) AS static_files,
       (SELECT coalesce(sum(size), 0)::bigint FROM stored_file WHERE project_id = project.id) AS stored_bytes
FROM project JOIN account ON account.id = project.account_id
WHERE account_id = %(account)s ORDER BY project.created_at DESC, project.id
"""
# Reading a project's deploys costs a connection to its database.
_MAX_DEPLOY_PROJECTS = 10


async def show(platform: Platform, _request: Request) -> Response:
    """The overview: the newest of everything."""
    projects = await control_database.fetch(platform.pool, _PROJECTS_QUERY, {"account": platform.account_id})
    emails = await inbox.recent(platform, 10)
    recent_tickets = await tickets.recent(platform, 10)
    recent_deploys = await deploys.recent(platform, projects[:_MAX_DEPLOY_PROJECTS], 10)
    return page.dashboard_page(
        "Overview",
        section("projects", "Projects", await _projects_table(platform, projects)),
        section(
            "inbox",
            "Inbox",
            inbox_pages.emails_table(platform, emails),
            element("p", link("/inbox", "All mails")),
        ),
        section("tickets", "Tickets", _tickets_table(recent_tickets)),
        section("deploys", "Deploys", _deploys_table(recent_deploys)),
        section("requests", "Requests", _requests_table(list(islice(platform.journal.recent, 15)))),
    )


async def show_project(platform: Platform, request: Request) -> Response:
    project = await find_project(platform, request)
    name = databases.database_name(project["id"])
    sizes = await _database_sizes(platform, [name])
    recent_deploys = await deploys.recent(platform, [project], 50)
    site = platform.site_url(project["id"])
    about = definition_list(
        [
            ("Id", project["id"]),
            ("Status", project["status"]),
            ("Site", link(site)),
            ("Database", f"{name}, {human_size(sizes.get(name, 0))}"),
            ("Made (UTC)", time_element(project["created_at"])),
        ]
    )
    return page.dashboard_page(
        project["name"],
        section("about", "Project", about),
        section("deploys", "Deploys", _deploys_table(recent_deploys)),
    )


async def show_requests(platform: Platform, _request: Request) -> Response:
    since = element(
        "p", join_html(["Since ", time_element(platform.journal.started_at), " UTC. The log has older ones."])
    )
    return page.dashboard_page(
        "Requests", section("requests", "Newest first", since, _requests_table(list(platform.journal.recent)))
    )


async def show_ticket(platform: Platform, request: Request) -> Response:
    row = await tickets.find(platform, request.path_params["ticket_id"])
    about = definition_list(
        [
            ("Number", str(row["id"])),
            ("Status", row["status"]),
            ("Project", row["project_id"] or "none"),
            ("Submitted (UTC)", time_element(row["created_at"])),
        ]
    )
    other, verb = ("open", "Reopen") if row["status"] == "closed" else ("closed", "Close")
    button = element("button", verb, name="status", value=other)
    form = element("form", button, method="post", action=f"/tickets/{row['id']}")
    return page.dashboard_page(
        row["subject"],
        section("about", "Ticket", about, element("p", form)),
        section("message", "Message", element("pre", row["message"])),
    )


async def change_ticket(platform: Platform, request: Request) -> Response:
    """The form's answer: the ticket with its new status."""
    given = (await request.body())[:100].decode("utf-8", "replace")
    status = "open" if given == "status=open" else "closed"
    ticket_id = request.path_params["ticket_id"]
    await tickets.set_status(platform, ticket_id, status)
    return Response(status_code=303, headers={"Location": f"/tickets/{int(ticket_id)}"})


async def show_key(platform: Platform, _request: Request) -> Response:
    about = element("p", "Programs send it as X-API-Key. Whoever has it may do anything on this platform.")
    key = element("pre", element("code", platform.local_key.value if platform.local_key else ""))
    return page.dashboard_page("API key", section("key", "The key of this platform", about, key))


async def _projects_table(platform: Platform, projects: Sequence[DictRow]) -> Html:
    sizes = await _database_sizes(platform, [databases.database_name(row["id"]) for row in projects])
    rows = []
    for row in projects:
        limit = storage_limit(platform, row)
        percent = round(100 * row["stored_bytes"] / limit, 1) if limit else 100.0
        used = f"{human_size(row['stored_bytes'])} of {human_size(limit)}, {percent:g} %"
        database = human_size(sizes.get(databases.database_name(row["id"]), 0))
        files = f"{human_size(row['static_bytes'])} in {row['static_files']}"
        rows.append(
            (
                join_html([link(f"/projects/{row['id']}", row["name"]), element("small", row["id"])], " "),
                row["status"],
                link(platform.site_url(row["id"])),
                database,
                files,
                meter(row["stored_bytes"], limit, used),
            )
        )
    headers = ("Project", "Status", "Site", "Database", "Static files", "Storage")
    empty = "No projects yet. `mosaic-deploy apply --local` makes one."
    return table("Projects", headers, rows, empty=empty)


async def _database_sizes(platform: Platform, names: list[str]) -> dict[str, int]:
    query = "SELECT datname, pg_database_size(oid) AS size FROM pg_database WHERE datname = ANY(%(names)s)"
    found = await control_database.fetch(platform.pool, query, {"names": names})
    return {row["datname"]: row["size"] for row in found}


def _tickets_table(rows: Sequence[DictRow]) -> Html:
    lines = [
        (
            str(row["id"]),
            link(f"/tickets/{row['id']}", row["subject"]),
            row["status"],
            row["project_id"] or "",
            time_element(row["created_at"]),
        )
        for row in rows
    ]
    headers = ("Number", "Subject", "Status", "Project", "Submitted (UTC)")
    return table("Tickets", headers, lines, empty="No tickets.")


def _deploys_table(rows: Sequence[Deploy]) -> Html:
    lines = [
        (
            time_element(row.started_at),
            link(f"/projects/{row.project_id}", row.project_id),
            row.status,
            _duration_text(row),
            join_html([row.holder, f" ({row.environment})" if row.environment else ""]),
            _changes_list(row),
        )
        for row in rows
    ]
    headers = ("Began (UTC)", "Project", "Outcome", "Took", "By", "What changed")
    return table("Deploys", headers, lines, empty="No deploys yet.")


def _duration_text(row: Deploy) -> str:
    return f"{(row.finished_at - row.started_at).total_seconds():.1f} s" if row.finished_at else ""


def _changes_list(row: Deploy) -> Html:
    listed = [element("li", element("code", address)) for address in row.changes]
    if row.omitted_changes:
        listed.append(element("li", f"and {row.omitted_changes} more"))
    count = len(row.changes) + row.omitted_changes
    summary = element("summary", "1 change" if count == 1 else f"{count} changes")
    error = element("p", row.error) if row.error else escape_html("")
    return join_html([element("details", join_html([summary, element("ul", join_html(listed))])), error])


def _requests_table(rows: Sequence[RequestRecord]) -> Html:
    lines = [
        (
            time_element(row.at),
            row.method,
            element("code", row.path),
            str(row.status) if row.status else "none",
            f"{row.milliseconds:.1f} ms",
            element("code", row.request_id),
        )
        for row in rows
    ]
    headers = ("Time (UTC)", "Method", "Path", "Status", "Took", "Request id")
    return table("Requests", headers, lines, empty="No requests since the platform began.")
