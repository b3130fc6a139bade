"""Sites: a project's static files and stored objects as a browser sees them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mosaic_deploy.platform import records
from mosaic_deploy.platform.names import url_path
from mosaic_deploy.platform.parts import Platform
from mosaic_deploy.platform.records import Table

_STORAGE = "storage/"
_NOT_FOUND = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>404 Not Found</title>'
    "<h1>404</h1><p>There is no such page.</p></html>"
)
_HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


async def serve(platform: Platform, project_id: str, path: str, prefix: str, request: Request) -> Response:
    """Answer GET and HEAD for `path` (decoded, without its first slash) of a site that begins at `prefix`."""
    if request.method not in ("GET", "HEAD"):
        return Response("method not allowed\n", 405, {"Allow": "GET, HEAD"}, "text/plain")
    try:
        return await _answer(platform, project_id, path, prefix, request)
    except FileNotFoundError:
        # The file was replaced between reading its record and its bytes; the new record is there now.
        return await _answer(platform, project_id, path, prefix, request)


async def _answer(platform: Platform, project_id: str, path: str, prefix: str, request: Request) -> Response:
    if path.startswith(_STORAGE):
        stored = await _find(platform, "stored_file", project_id, [path.removeprefix(_STORAGE)])
        return (
            await _send(platform, request, stored)
            if stored
            else await _not_found(platform, project_id, request)
        )
    wanted = path + "index.html" if path == "" or path.endswith("/") else path
    as_folder, as_page = f"{wanted}/index.html", f"{wanted}.html"
    rows = await records.found(platform.pool, "static_file", project_id, [wanted, as_folder, as_page])
    if wanted in rows:
        return await _send(platform, request, rows[wanted])
    if as_folder in rows:
        return _redirect(f"{prefix}/{url_path(wanted)}/", request)
    if as_page in rows:
        return await _send(platform, request, rows[as_page])
    return await _not_found(platform, project_id, request)


async def _find(platform: Platform, table: Table, project_id: str, names: list[str]) -> DictRow | None:
    rows = await records.found(platform.pool, table, project_id, names)
    return next((rows[name] for name in names if name in rows), None)


async def _not_found(platform: Platform, project_id: str, request: Request) -> Response:
    """The site's own 404 page where it has one."""
    row = await _find(platform, "static_file", project_id, ["404.html"])
    if row is None:
        return Response(_NOT_FOUND, 404, _HEADERS, "text/html; charset=utf-8")
    return await _send(platform, request, row, status=404)


def _redirect(target: str, request: Request) -> Response:
    query = f"?{request.url.query}" if request.url.query else ""
    return Response(status_code=308, headers={**_HEADERS, "Location": target + query})


async def _send(platform: Platform, request: Request, row: DictRow, status: int = 200) -> Response:
    """The file's bytes: all, one range of them, or none where the reader has them already."""
    etag = f'"{row["etag"]}"'
    headers = {**_HEADERS, "ETag": etag, "Content-Type": row["content_type"], "Accept-Ranges": "bytes"}
    start, end = 0, row["size"]
    if status == 200:
        if _matches(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers={name: headers[name] for name in ("ETag", *_HEADERS)})
        span = _requested_range(request, etag, row["size"])
        if span == "unsatisfiable":
            return Response(status_code=416, headers={**_HEADERS, "Content-Range": f"bytes */{row['size']}"})
        if isinstance(span, tuple):
            start, end = span
            status = 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{row['size']}"
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    chunks = platform.store.stream(row["object"], start, end)
    first = await anext(chunks, b"")
    return StreamingResponse(_joined(first, chunks), status, headers)


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


def _matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    known = [part.strip().removeprefix("W/") for part in header.split(",")]
    return "*" in known or etag in known


_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def _requested_range(request: Request, etag: str, size: int) -> tuple[int, int] | str | None:
    """(start, end) of a single range, `unsatisfiable`, or None where the whole file is to be sent."""
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    if asked is None or asked[0] == "bytes=-" or request.headers.get("if-range", etag) != etag:
        return None
    first, last = asked.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    if last and first and int(last) < int(first):
        return None
    return (start, end) if start < end else "unsatisfiable"
