"""Support tickets."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform import body, control
from mosaic_deploy.platform.answer import Json
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.parts import Platform
from mosaic_deploy.platform.projects import project_by_id


async def submit_ticket(platform: Platform, request: Request) -> Response:
    document = await body.read_json(request)
    subject = body.filled_text(document, "subject", limit=300)
    message = body.filled_text(document, "message", limit=100_000)
    project_id = body.optional_text(document, "project_id", limit=100)
    if project_id is not None:
        project = await project_by_id(platform, project_id)
        if project is None or project["account_id"] != platform.account_id:
            raise Fault(404, "project_not_found", f"there is no project {project_id!r}")
    row = await control.fetch_one(
        platform.pool,
        "INSERT INTO ticket (account_id, project_id, subject, message)"
        " VALUES (%(account)s, %(project)s, %(subject)s, %(message)s) RETURNING id, status",
        {"account": platform.account_id, "project": project_id, "subject": subject, "message": message},
    )
    assert row is not None
    answer = {"ticket_id": row["id"], "status": row["status"], "message": "Ticket submitted successfully."}
    return Json(answer, 201)


async def list_tickets(platform: Platform, _request: Request) -> Response:
    """Newest first."""
    rows = await control.fetch(
        platform.pool,
        "SELECT id AS ticket_id, project_id, subject, message, status, created_at FROM ticket"
        " WHERE account_id = %(account)s ORDER BY id DESC",
        {"account": platform.account_id},
    )
    return Json({"tickets": [{**row, "created_at": row["created_at"].isoformat()} for row in rows]})
