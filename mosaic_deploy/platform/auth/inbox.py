"""The local inbox: stores emails instead of sending them, for developers and tests to read."""

from __future__ import annotations

from typing import Any

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.auth import messages
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.control_database import Connection
from mosaic_deploy.platform.services import Platform


async def store_email(
    connection: Connection, project_id: str, recipient: str, message: Any, link: str
) -> None:
    text_body, html_body = messages.text_and_html(message)
    await control_database.fetch_rows(
        connection,
        "INSERT INTO mail (project_id, sender, recipient, subject, text_body, html_body, message, link)"
        " VALUES (%(project)s, %(sender)s, %(recipient)s, %(subject)s, %(text)s, %(html)s, %(message)s, %(link)s)",
        {
            "project": project_id,
            "sender": str(message["From"]),
            "recipient": recipient,
            "subject": str(message["Subject"]),
            "text": text_body,
            "html": html_body,
            "message": message.as_bytes(),
            "link": link,
        },
    )


async def list_emails(platform: Platform, _request: Request) -> Response:
    return JsonResponse({"emails": [_row_document(row) for row in await recent(platform, 1000)]})


async def show_email(platform: Platform, request: Request) -> Response:
    row = await find(platform, request.path_params["email_id"])
    message = bytes(row["message"]).decode("utf-8", "replace")
    return JsonResponse(
        {**_row_document(row), "text": row["text_body"], "html": row["html_body"], "message": message}
    )


async def recent(platform: Platform, limit: int, project_id: str | None = None) -> list[DictRow]:
    """Newest first; only one project's, if it is given."""
    return await control_database.fetch(
        platform.pool,
        "SELECT mail.* FROM mail JOIN project ON project.id = mail.project_id"
        " WHERE project.account_id = %(account)s AND (%(project)s::text IS NULL OR project.id = %(project)s)"
        " ORDER BY mail.id DESC LIMIT %(limit)s",
        {"account": platform.account_id, "project": project_id, "limit": limit},
    )


async def find(platform: Platform, email_id: str) -> DictRow:
    usable = email_id.isascii() and email_id.isdecimal() and len(email_id) < 18
    row = usable and await control_database.fetch_one(
        platform.pool,
        "SELECT mail.* FROM mail JOIN project ON project.id = mail.project_id"
        " WHERE mail.id = %(id)s AND project.account_id = %(account)s",
        {"id": int(email_id), "account": platform.account_id},
    )
    if not row:
        raise Fault(404, "email_not_found", f"there is no email {email_id!r}")
    return row


def _row_document(row: DictRow) -> dict[str, Any]:
    return {
        "id": row["id"],
        "project_id": row["project_id"],
        "from": row["sender"],
        "to": row["recipient"],
        "subject": row["subject"],
        "link": row["link"],
        "created_at": row["created_at"].isoformat(),
    }
