"""Live reload: while `mosaic-deploy dev` runs, its project's pages reload after each deploy.

The command opens a session with this machine's API key and keeps it alive with heartbeats. During a session, HTML pages
that a browser loads from the project's own host get one script tag appended; storage files and other responses stay as
they are.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.hosting import sites
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.projects.dev_sessions import SESSION_TTL_SECONDS, DevSession, Message
from mosaic_deploy.platform.projects.projects import find_project
from mosaic_deploy.platform.services import Platform

PATH_PREFIX = "__mosaic_dev/"
_SCRIPT_TAG = b'\n<script src="/__mosaic_dev/client.js"></script>\n'
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
# With these, the response could be a 304, compressed, or a part of the page.
_DROPPED_REQUEST_HEADERS = (b"accept-encoding", b"range", b"if-range", b"if-none-match", b"if-modified-since")
_DROPPED_RESPONSE_HEADERS = (
    "content-length",
    "etag",
    "last-modified",
    "accept-ranges",
    "vary",
    "cache-control",
)
_MAX_EMAILS = 20
_MAX_LINES = 200
_LINK = re.compile(r"(?!(?:javascript|data|vbscript|blob):)[a-z][a-z0-9+.-]*://", re.IGNORECASE)


async def update_session(platform: Platform, request: Request) -> Response:
    """One message of the `dev` command: a heartbeat, a deploy, an error or its end. The response has new emails."""
    if not platform.local:
        raise Fault(404, "not_found", "only the embedded platform has dev sessions")
    document = await request_body.read_json(request)
    project = await find_project(platform, request)
    kind = request_body.required_text(document, "type")
    if kind == "end":
        platform.dev.end(project["id"])
        return JsonResponse({"expires_in": 0, "emails": []})
    _publish(platform.dev.get_or_create(project["id"]), kind, document)
    emails = await _fetch_new_emails(platform, project["id"], document.get("emails_after"))
    return JsonResponse({"expires_in": SESSION_TTL_SECONDS, **emails})


def _publish(session: DevSession, kind: str, document: dict[str, object]) -> None:
    if kind == "deployed":
        session.version += 1
        paths = document.get("paths")
        message: Message = {
            "type": "deployed",
            "paths": _string_list(paths),
            "version": session.hello_message()["version"],
        }
        session.publish(message)
    elif kind == "error":
        session.error = {
            "lines": _string_list(document.get("lines")),
            "links": _links(document.get("links")),
            "draft": document.get("draft") is True,
        }
        session.publish({"type": "error", "error": session.error})
    elif kind == "resolved":
        if session.error is not None:
            session.error = None
            session.publish({"type": "resolved"})
    elif kind != "heartbeat":
        raise Fault(400, "field_invalid", "`type` must be heartbeat, deployed, error, resolved or end")


def _string_list(value: object) -> list[str]:
    return [str(one) for one in value[:_MAX_LINES]] if isinstance(value, list) else []


def _links(value: object) -> dict[str, str]:
    """Texts → the URLs that they link to; never a script."""
    if not isinstance(value, dict):
        return {}
    pairs = ((str(text), str(link)) for text, link in list(value.items())[:_MAX_LINES])
    return {text: link for text, link in pairs if text and _LINK.match(link)}


async def _fetch_new_emails(platform: Platform, project_id: str, after: object) -> dict[str, object]:
    """The emails with an ID above `after`; without `after`, only the newest ID."""
    if not isinstance(after, int) or isinstance(after, bool):
        row = await control_database.fetch_one(
            platform.pool,
            "SELECT coalesce(max(id), 0) AS last FROM mail WHERE project_id = %(project)s",
            {"project": project_id},
        )
        return {"last_email": row["last"] if row else 0, "emails": []}
    rows = await control_database.fetch(
        platform.pool,
        "SELECT id, recipient, subject, link FROM mail WHERE project_id = %(project)s AND id > %(after)s"
        " ORDER BY id LIMIT %(limit)s",
        {"project": project_id, "after": after, "limit": _MAX_EMAILS},
    )
    emails = [{"to": row["recipient"], "subject": row["subject"], "link": row["link"]} for row in rows]
    return {"last_email": rows[-1]["id"] if rows else after, "emails": emails}


async def serve(platform: Platform, project_id: str, path: str, request: Request) -> Response:
    """Serves the project's own host; during a session, HTML pages get the live-reload script."""
    session = platform.dev.find(project_id) if platform.local else None
    if session is None:
        return await sites.serve(platform, project_id, path, "", request)
    if path.startswith(PATH_PREFIX) and request.method == "GET":
        if path == f"{PATH_PREFIX}client.js":
            return Response(_script(), 200, _HEADERS, "text/javascript; charset=utf-8")
        if path == f"{PATH_PREFIX}events":
            return StreamingResponse(_event_stream(session), 200, _HEADERS, "text/event-stream")
    stored = path.startswith(sites.STORAGE_PREFIX)
    if stored or request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
        return await sites.serve(platform, project_id, path, "", request)
    return await _with_reload_script(
        await sites.serve(platform, project_id, path, "", _unconditional_request(request))
    )


def _unconditional_request(request: Request) -> Request:
    headers = [pair for pair in request.scope["headers"] if pair[0] not in _DROPPED_REQUEST_HEADERS]
    return Request({**request.scope, "headers": headers}, request.receive)


async def _with_reload_script(response: Response) -> Response:
    """Appends the script tag to an HTML page, and forbids caching: the page must lose the tag when the session ends."""
    if not response.headers.get("content-type", "").startswith("text/html"):
        return response
    if isinstance(response, StreamingResponse):
        chunks = [bytes(chunk) async for chunk in response.body_iterator if not isinstance(chunk, str)]
        content = b"".join(chunks)
    else:
        content = bytes(response.body)
    headers = {
        name: value for name, value in response.headers.items() if name not in _DROPPED_RESPONSE_HEADERS
    }
    return Response(content + _SCRIPT_TAG, response.status_code, {**headers, "Cache-Control": "no-store"})


async def _event_stream(session: DevSession) -> AsyncIterator[bytes]:
    """The session's messages as server-sent events, until it ends. Comments in between detect closed connections."""
    queue: asyncio.Queue[Message | None] = asyncio.Queue()
    session.listeners.add(queue)
    try:
        yield _sse_event(session.hello_message())
        while session.is_alive:
            try:
                message = await asyncio.wait_for(queue.get(), timeout=SESSION_TTL_SECONDS / 3)
            except TimeoutError:
                yield b": \n\n"
                continue
            if message is None:
                return
            yield _sse_event(message)
    finally:
        session.listeners.discard(queue)


def _sse_event(message: Message) -> bytes:
    return f"data: {json.dumps(message)}\n\n".encode()


@cache
def _script() -> str:
    return files("mosaic_deploy.platform.hosting").joinpath("live_reload.js").read_text("utf-8")
