"""The dashboard's pages for requests, tickets and the API key."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.dashboard.layout import render_page
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.projects import tickets
from mosaic_deploy.platform.services import Platform


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
