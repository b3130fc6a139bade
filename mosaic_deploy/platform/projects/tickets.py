"""Support tickets."""

from __future__ import annotations

from typing import Any

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.control_database import Connection
from mosaic_deploy.platform.projects.projects import find_account_project
from mosaic_deploy.platform.services import Platform

_MAX_TICKETS = 1000
DAILY_LIMIT = 50
"""Tickets of an account per day on a served platform, which keeps them all."""


async def submit_ticket(platform: Platform, request: Request) -> Response:
    document = await request_body.read_json(request)
    subject = request_body.nonempty_text(document, "subject", limit=300)
    message = request_body.nonempty_text(document, "message", limit=100_000)
    project_id = request_body.optional_text(document, "project_id", limit=100)
    if project_id is not None:
        await find_account_project(platform, project_id)
    async with platform.pool.connection() as connection, connection.transaction():
        if not platform.local:
            await _check_limit(platform, connection)
        (row,) = await control_database.fetch_rows(
            connection,
            "INSERT INTO ticket (account_id, project_id, subject, message)"
            " VALUES (%(account)s, %(project)s, %(subject)s, %(message)s) RETURNING id, status",
            {"account": platform.account_id, "project": project_id, "subject": subject, "message": message},
        )
    document = {"ticket_id": row["id"], "status": row["status"], "message": "Ticket submitted successfully."}
    return JsonResponse(document, 201)


async def _check_limit(platform: Platform, connection: Connection) -> None:
    """Raises Fault (429). Locks the account's row, so two requests can't both take the last one."""
    account = {"account": platform.account_id}
    lock = "SELECT 1 FROM account WHERE id = %(account)s FOR NO KEY UPDATE"
    await control_database.fetch_rows(connection, lock, account)
    query = "SELECT count(*) AS number FROM ticket WHERE account_id = %(account)s AND created_at > now() - interval '1 day'"
    (row,) = await control_database.fetch_rows(connection, query, account)
    if row["number"] >= DAILY_LIMIT:
        message = f"an account may submit {DAILY_LIMIT} tickets a day; try again later"
        raise Fault(429, "ticket_limit_reached", message, headers={"Retry-After": "3600"})


async def list_tickets(platform: Platform, _request: Request) -> Response:
    return JsonResponse({"tickets": [_row_document(row) for row in await recent(platform, _MAX_TICKETS)]})


async def show_ticket(platform: Platform, request: Request) -> Response:
    return JsonResponse(_row_document(await find(platform, request.path_params["ticket_id"])))


async def recent(platform: Platform, limit: int) -> list[DictRow]:
    """The account's tickets, newest first."""
    return await control_database.fetch(
        platform.pool,
        "SELECT * FROM ticket WHERE account_id = %(account)s ORDER BY id DESC LIMIT %(limit)s",
        {"account": platform.account_id, "limit": limit},
    )


async def find(platform: Platform, ticket_id: str) -> DictRow:
    row = await control_database.fetch_one(
        platform.pool,
        "SELECT * FROM ticket WHERE account_id = %(account)s AND id = %(id)s",
        {"account": platform.account_id, "id": _parse_ticket_id(ticket_id)},
    )
    if row is None:
        raise _ticket_not_found(ticket_id)
    return row


async def set_status(platform: Platform, ticket_id: str, status: str) -> None:
    row = await control_database.fetch_one(
        platform.pool,
        "UPDATE ticket SET status = %(status)s WHERE account_id = %(account)s AND id = %(id)s RETURNING id",
        {"account": platform.account_id, "id": _parse_ticket_id(ticket_id), "status": status},
    )
    if row is None:
        raise _ticket_not_found(ticket_id)


def _parse_ticket_id(ticket_id: str) -> int:
    if not (ticket_id.isascii() and ticket_id.isdecimal() and len(ticket_id) < 18):
        raise _ticket_not_found(ticket_id)
    return int(ticket_id)


def _ticket_not_found(ticket_id: str) -> Fault:
    return Fault(404, "ticket_not_found", f"ticket {ticket_id!r} not found")


def _row_document(row: DictRow) -> dict[str, Any]:
    return {
        "ticket_id": row["id"],
        "project_id": row["project_id"],
        "subject": row["subject"],
        "message": row["message"],
        "status": row["status"],
        "created_at": row["created_at"].isoformat(),
    }
