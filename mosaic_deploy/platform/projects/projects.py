"""Creates, lists, finds and deletes projects. Their databases are provisioned in the background."""

from __future__ import annotations

import secrets
from typing import Any

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.control_database import Connection
from mosaic_deploy.platform.projects import provisioning
from mosaic_deploy.platform.projects.names import checked_project_name
from mosaic_deploy.platform.services import Platform

_WORDS = """
    arc bay bolt brook cedar cliff cloud comet coral cove dawn delta dune echo ember fern field fjord flint
    frost glade grove harbor haze iris isle jade lake lark leaf lily lumen maple marsh meadow mesa mist moon
    moss north oak opal orbit peak pebble pine pixel pod pond quartz rain reef ridge river sage shore sky
    snow spark spring star stone storm sun surf tide trail vale wave willow wind
""".split()  # noqa: SIM905 (a list would have one word per line)
_LETTERS = "abcdefghijkmnopqrstuvwxyz0123456789"


async def list_projects(platform: Platform, _request: Request) -> Response:
    rows = await control_database.fetch(
        platform.pool,
        "SELECT * FROM project WHERE account_id = %(account)s AND status <> 'deleting' AND NOT hidden"
        " ORDER BY created_at, id",
        {"account": platform.account_id},
    )
    return JsonResponse({"projects": [_row_document(platform, row) for row in rows]})


async def create_project(platform: Platform, request: Request) -> Response:
    document = await request_body.read_json(request)
    row = await _insert(platform, checked_project_name(request_body.required_text(document, "name")))
    provisioning.provision_in_background(platform, row["id"])
    return JsonResponse(_row_document(platform, row), 201)


async def delete_project(platform: Platform, request: Request) -> Response:
    project_id = (await find_project(platform, request))["id"]
    await provisioning.delete(platform, project_id)
    return JsonResponse({"success": True, "project_id": project_id})


async def find_project(platform: Platform, request: Request) -> DictRow:
    """The account's project in the request's path, in any status. Raises Fault (404) if it has no such project."""
    return await find_account_project(platform, request.path_params["project_id"])


async def find_account_project(platform: Platform, project_id: str) -> DictRow:
    """The account's project, in any status. Raises Fault (404) if it has no such project."""
    row = await find_project_by_id(platform, project_id)
    if row is None or row["account_id"] != platform.account_id:
        raise project_not_found(project_id)
    return row


def project_not_found(project_id: str) -> Fault:
    return Fault(404, "project_not_found", f"project {project_id!r} not found")


async def find_running_project(platform: Platform, request: Request) -> DictRow:
    """As `find_project`; raises Fault (409) while the project is being provisioned."""
    project = await find_project(platform, request)
    if project["status"] != "running":
        message = f"project {project['id']!r} is still being provisioned; try again in a moment"
        raise Fault(409, "project_provisioning", message, headers={"Retry-After": "1"})
    return project


async def find_project_by_id(platform: Platform, project_id: str) -> DictRow | None:
    """A project of any account that isn't suspended, with its account's `tier`."""
    if "\x00" in project_id:
        return None
    query = (
        "SELECT project.*, account.tier FROM project JOIN account ON account.id = project.account_id"
        " WHERE project.id = %(id)s AND status <> 'deleting' AND suspended_at IS NULL"
    )
    return await control_database.fetch_one(platform.pool, query, {"id": project_id})


async def _insert(platform: Platform, name: str) -> DictRow:
    """The new project's row. Raises Fault: 403 if the account has as many as it may, 401 if it was just deleted."""
    async with platform.pool.connection() as connection, connection.transaction():
        # Two requests can't both take the last one.
        parameters = {"id": platform.account_id}
        query = "SELECT tier FROM account WHERE id = %(id)s AND deleted_at IS NULL FOR NO KEY UPDATE"
        accounts = await control_database.fetch_rows(connection, query, parameters)
        if not accounts:
            raise Fault(401, "api_key_invalid", "the account of this API key was deleted")
        query = (
            "SELECT count(*) AS number, count(*) FILTER (WHERE status = 'deleting') AS deleting"
            " FROM project WHERE account_id = %(id)s AND NOT hidden"
        )
        (projects,) = await control_database.fetch_rows(connection, query, parameters)
        limit = platform.limits.projects(accounts[0]["tier"])
        if limit is not None and projects["number"] >= limit:
            raise _limit_fault(limit, projects["deleting"])
        return await _insert_row(platform, connection, name)


def _limit_fault(limit: int, deleting: int) -> Fault:
    """For an account at its limit, with the number of its projects that are still being deleted."""
    advice = f"wait until {deleting} deleted ones are removed" if deleting else "delete one first"
    message = f"the account has {limit} projects, as many as it may have; {advice}"
    return Fault(403, "project_limit_reached", message)


async def ensure_hidden_project(platform: Platform) -> DictRow:
    """The row of the account's hidden project, which is made if it doesn't exist; it may still have to be provisioned."""
    query = "SELECT * FROM project WHERE account_id = %(account)s AND hidden"
    parameters = {"account": platform.account_id}
    if found := await control_database.fetch_one(platform.pool, query, parameters):
        return found
    async with platform.pool.connection() as connection, connection.transaction():
        # Of two first ones at once, the second waits here and finds the project of the first.
        account = "SELECT FROM account WHERE id = %(account)s FOR NO KEY UPDATE"
        await control_database.fetch_rows(connection, account, parameters)
        rows = await control_database.fetch_rows(connection, query, parameters)
        return rows[0] if rows else await _insert_row(platform, connection, "Rehearsals", hidden=True)


async def _insert_row(
    platform: Platform, connection: Connection, name: str, *, hidden: bool = False
) -> DictRow:
    for _ in range(50):
        rows = await control_database.fetch_rows(
            connection,
            "INSERT INTO project (id, account_id, name, status, database_password, hidden)"
            " VALUES (%(id)s, %(account)s, %(name)s, 'provisioning', %(password)s, %(hidden)s)"
            " ON CONFLICT DO NOTHING RETURNING *",
            {
                "id": _new_id(),
                "account": platform.account_id,
                "name": name,
                "password": secrets.token_hex(16),
                "hidden": hidden,
            },
        )
        if rows:
            return rows[0]
    raise Fault(503, "no_project_id", "couldn't find a free project ID; try again")


def _new_id() -> str:
    return secrets.choice(_WORDS) + "-" + "".join(secrets.choice(_LETTERS) for _ in range(3))


def _row_document(platform: Platform, row: DictRow) -> dict[str, Any]:
    url = platform.site_url(row["id"])
    return {"project_id": row["id"], "name": row["name"], "status": row["status"], "url": url}
