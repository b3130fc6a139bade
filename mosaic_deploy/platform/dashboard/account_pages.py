"""The dashboard's pages for the whole account: inbox, requests, tickets, API key."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.auth import inbox
from mosaic_deploy.platform.dashboard.layout import HEADERS, render_page
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.projects import tickets
from mosaic_deploy.platform.services import Platform

_MAX_EMAILS = 200
_SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
# The email's own HTML may have styles and inline images, but no scripts, and it loads nothing.
_EMAIL_HTML_HEADERS = {
    **HEADERS,
    "Content-Security-Policy": (
        f"sandbox {_SANDBOX};"
        " default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
    ),
}


async def show_inbox_page(platform: Platform, _request: Request) -> Response:
    emails = await inbox.recent(platform, _MAX_EMAILS)
    smtp_server = platform.mailer.address if platform.mailer else ""
    return render_page("inbox.html", "Inbox", emails=emails, smtp_server=smtp_server)


async def show_email_page(platform: Platform, request: Request) -> Response:
    email = await inbox.find(platform, request.path_params["email_id"])
    before, link, after = email["text_body"].partition(email["link"])
    return render_page(
        "email.html", email["subject"], email=email, before=before, link=link, after=after, sandbox=_SANDBOX
    )


async def show_email_html(platform: Platform, request: Request) -> Response:
    """The HTML part alone, for the frame. Its links open in a new tab."""
    email = await inbox.find(platform, request.path_params["email_id"])
    text = '<base target="_blank">' + email["html_body"]
    return Response(text, 200, _EMAIL_HTML_HEADERS, "text/html; charset=utf-8")


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
