"""Pages that follow edits: while `mosaic-deploy dev` runs, those of its project reload by themselves.

The command registers a session with this machine's key. Only while that lives do pages that a browser opens get one
more script, on the project's own host; what is stored, and whatever else is served, is never touched.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

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
# They would bring a page as it was, compressed, or in part.
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


async def update_session(platform: Platform, request: Request) -> Response:
    """What the command has to say: that it is there, what went live, what is broken. The answer has new mails."""
    if not platform.local:
        raise Fault(404, "not_found", "there are dev sessions on this machine's own platform only")
    document = await request_body.read_json(request)
    project = await find_project(platform, request)
    kind = request_body.text(document, "type")
    if kind == "end":
        platform.dev.end(project["id"])
        return JsonResponse({"expires_in": 0, "mails": []})
    _publish(platform.dev.get_or_create(project["id"]), kind, document)
    emails = await _fetch_new_emails(platform, project["id"], document.get("mails_after"))
    return JsonResponse({"expires_in": SESSION_TTL_SECONDS, **emails})


def _publish(session: DevSession, kind: str, document: dict[str, object]) -> None:
    if kind == "live":
        session.version += 1
        paths = document.get("paths")
        message: Message = {
            "type": "live",
            "paths": _string_list(paths),
            "version": session.hello_message()["version"],
        }
        session.publish(message)
    elif kind == "broken":
        session.error = _string_list(document.get("lines"))
        session.publish({"type": "broken", "error": session.error})
    elif kind == "mended":
        if session.error is not None:
            session.error = None
            session.publish({"type": "mended"})
    elif kind != "beat":
        raise Fault(400, "field_invalid", "`type` is beat, live, broken, mended or end")


def _string_list(value: object) -> list[str]:
    return [str(one) for one in value[:_MAX_LINES]] if isinstance(value, list) else []


async def _fetch_new_emails(platform: Platform, project_id: str, after: object) -> dict[str, object]:
    """Those since the mail `after`; the first time only where the newest one stands."""
    if not isinstance(after, int) or isinstance(after, bool):
        row = await control_database.fetch_one(
            platform.pool,
            "SELECT coalesce(max(id), 0) AS last FROM mail WHERE project_id = %(project)s",
            {"project": project_id},
        )
        return {"last_mail": row["last"] if row else 0, "mails": []}
    rows = await control_database.fetch(
        platform.pool,
        "SELECT id, recipient, subject, link FROM mail WHERE project_id = %(project)s AND id > %(after)s"
        " ORDER BY id LIMIT %(limit)s",
        {"project": project_id, "after": after, "limit": _MAX_EMAILS},
    )
    emails = [{"to": row["recipient"], "subject": row["subject"], "link": row["link"]} for row in rows]
    return {"last_mail": rows[-1]["id"] if rows else after, "mails": emails}


async def serve(platform: Platform, project_id: str, path: str, request: Request) -> Response:
    """A request to the project's own host: as without a session, and with the script where a browser opens a page."""
    session = platform.dev.find(project_id) if platform.local else None
    if session is None:
        return await sites.serve(platform, project_id, path, "", request)
    if path.startswith(PATH_PREFIX) and request.method == "GET":
        if path == f"{PATH_PREFIX}client.js":
            return Response(SCRIPT, 200, _HEADERS, "text/javascript; charset=utf-8")
        if path == f"{PATH_PREFIX}events":
            return StreamingResponse(_event_stream(session), 200, _HEADERS, "text/event-stream")
    if request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
        return await sites.serve(platform, project_id, path, "", request)
    return await _with_reload_script(
        await sites.serve(platform, project_id, path, "", _unconditional_request(request))
    )


def _unconditional_request(request: Request) -> Request:
    headers = [pair for pair in request.scope["headers"] if pair[0] not in _DROPPED_REQUEST_HEADERS]
    return Request({**request.scope, "headers": headers}, request.receive)


async def _with_reload_script(response: Response) -> Response:
    """The page with the script behind it, where it is one. No cache keeps it: the session ends."""
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
    """What is told, until the session ends; a comment now and then finds out who has gone."""
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


SCRIPT = r"""
(() => {
  "use strict";
  if (window.__mosaicDev) return;
  window.__mosaicDev = true;
  let version = null, overlay = null;

  const show = (lines) => {
    hide();
    overlay = document.createElement("div");
    overlay.id = "mosaic-dev-overlay";
    const root = overlay.attachShadow({ mode: "open" });
    const frame = document.createElement("div");
    frame.setAttribute("role", "alert");
    frame.style.cssText = "position:fixed;inset:0;z-index:2147483647;overflow:auto;padding:2rem;margin:0;" +
      "background:rgba(20,20,26,.94);color:#f4f4f6;font:14px/1.5 ui-monospace,monospace;text-align:left";
    const text = document.createElement("pre");
    text.style.cssText = "white-space:pre-wrap;overflow-wrap:anywhere;margin:0 0 1rem";
    text.textContent = lines.join("\n");
    const close = document.createElement("button");
    close.textContent = "Hide";
    close.onclick = hide;
    frame.append(text, close);
    root.append(frame);
    document.documentElement.append(overlay);
  };

  const hide = () => {
    if (overlay) overlay.remove();
    overlay = null;
  };

  const swap = (paths) => {
    const sheets = [...document.querySelectorAll('link[rel~="stylesheet"][href]')]
      .filter((link) => new URL(link.href).origin === location.origin);
    const named = sheets.filter((link) => paths.includes(decodeURIComponent(new URL(link.href).pathname).slice(1)));
    // A sheet that another one imports has no link of its own.
    const all = named.length === paths.length ? named : sheets;
    if (all.length === 0) return;
    for (const link of all) {
      const next = link.cloneNode();
      const url = new URL(link.href);
      url.searchParams.set("__mosaic_dev", String(Date.now()));
      next.href = url.href;
      next.onload = next.onerror = () => link.remove();
      link.after(next);
    }
  };

  const heard = (message) => {
    if (message.type === "hello") {
      if (version !== null && version !== message.version) return location.reload();
      version = message.version;
      if (message.error) show(message.error); else hide();
    } else if (message.type === "live") {
      version = message.version;
      const paths = message.paths;
      if (paths.length > 0 && paths.every((path) => path.endsWith(".css"))) swap(paths);
      else location.reload();
    } else if (message.type === "broken") show(message.error);
    else if (message.type === "mended") hide();
  };

  const listen = () => {
    const source = new EventSource("/__mosaic_dev/events");
    source.onmessage = (event) => heard(JSON.parse(event.data));
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return;
      // The session is over, or hasn't begun again.
      setTimeout(listen, 2000);
    };
  };
  listen();
})();
"""
