"""Serves a project's static files and storage files to browsers."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.hosting.compression import accepts_gzip
from mosaic_deploy.platform.hosting.ranges import (
    ByteRange,
    Multipart,
    if_range_matches,
    is_not_modified,
    last_modified,
    parse_range_header,
)
from mosaic_deploy.platform.http.content_types import sandbox_headers
from mosaic_deploy.platform.projects.names import url_path
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.storage import file_records
from mosaic_deploy.platform.storage.file_records import FileTable

log = logging.getLogger(__name__)

STORAGE_PREFIX = "storage/"
_NOT_FOUND_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>404 Not Found</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; --text: #1d2433; --soft: #566074; --back: #f6f7fa; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9f0; --soft: #a3adc0; --back: #14171d; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid; place-items: center;
  color: var(--text); background: var(--back); }
main { padding: 2rem; text-align: center; }
h1 { font-size: 4rem; line-height: 1; margin: 0; }
p { color: var(--soft); }
a { color: inherit; }
</style>
<main><h1>404</h1><p>This page doesn't exist.</p></main>
</html>
"""
_HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


class ObjectMissing(Exception):
    """A record names an object that isn't in the store."""

    def __init__(self, key: str) -> None:
        super().__init__(f"object {key} is missing")
        self.key = key


async def serve(platform: Platform, project_id: str, path: str, prefix: str, request: Request) -> Response:
    """Answers GET and HEAD for `path` (decoded, without its first slash) of a site whose URLs start with `prefix`."""
    if request.method not in ("GET", "HEAD"):
        return Response("method not allowed\n", 405, {"Allow": "GET, HEAD"}, "text/plain")
    missing = ""
    while True:
        try:
            return await _respond(platform, project_id, path, prefix, request)
        except ObjectMissing as error:
            # The file was replaced or deleted after its record was read. Read the new record.
            if error.key == missing:
                log.exception("object %s of project %s is missing in the store", error.key, project_id)
                message = "the content of this file is missing in the platform's store"
                raise Fault(500, "object_missing", message) from error
            missing = error.key


async def _respond(platform: Platform, project_id: str, path: str, prefix: str, request: Request) -> Response:
    if path.startswith(STORAGE_PREFIX):
        stored = await _find(platform, "stored_file", project_id, [path.removeprefix(STORAGE_PREFIX)])
        if stored is None:
            return await _not_found(platform, project_id, request)
        response = await _file_response(platform, request, stored)
        # Visitors' uploads may be in storage. Also on a 304, whose headers replace those that the browser has kept.
        response.headers.update(sandbox_headers(stored["content_type"]))
        return response
    file_name = path + "index.html" if path == "" or path.endswith("/") else path
    as_folder, as_page = f"{file_name}/index.html", f"{file_name}.html"
    rows = await file_records.find_records(
        platform.pool, "static_file", project_id, [file_name, as_folder, as_page]
    )
    if file_name in rows:
        return await _file_response(platform, request, rows[file_name])
    if as_folder in rows:
        return _redirect(f"{prefix}/{url_path(file_name)}/", request)
    if as_page in rows:
        return await _file_response(platform, request, rows[as_page])
    return await _not_found(platform, project_id, request)


async def _find(platform: Platform, table: FileTable, project_id: str, names: list[str]) -> DictRow | None:
    rows = await file_records.find_records(platform.pool, table, project_id, names)
    return next((rows[name] for name in names if name in rows), None)


async def _not_found(platform: Platform, project_id: str, request: Request) -> Response:
    """The site's own 404.html, or a built-in page."""
    row = await _find(platform, "static_file", project_id, ["404.html"])
    if row is None:
        return Response(_NOT_FOUND_PAGE, 404, _HEADERS, "text/html; charset=utf-8")
    page = _Representation.negotiate(row, request)
    headers = {name: value for name, value in page.headers.items() if name not in ("ETag", "Last-Modified")}
    return await _body_response(platform, request, page, 404, headers, [page.whole])


def _redirect(target: str, request: Request) -> Response:
    query = f"?{request.url.query}" if request.url.query else ""
    return Response(status_code=308, headers={**_HEADERS, "Location": target + query})


@dataclass(frozen=True)
class _Representation:
    """A file as sent: unchanged or gzip-compressed. `offset` is where it starts in the stored object."""

    row: DictRow
    etag: str
    offset: int
    size: int
    headers: dict[str, str]

    @property
    def whole(self) -> ByteRange:
        return ByteRange(0, self.size)

    @classmethod
    def negotiate(cls, row: DictRow, request: Request) -> _Representation:
        """Chooses gzip if the client accepts it, except for range requests."""
        headers = {**_HEADERS, "Content-Type": row["content_type"]}
        if row["packed"]:
            headers["Vary"] = "Accept-Encoding"
            ranged = request.method == "GET" and "range" in request.headers
            if not ranged and accepts_gzip(request.headers.get("accept-encoding", "")):
                headers["Content-Encoding"] = "gzip"
                return cls(
                    row, f'"{row["etag"]}-gzip"', row["size"], row["packed"], headers
                ).with_validators()
        headers["Accept-Ranges"] = "bytes"
        return cls(row, f'"{row["etag"]}"', 0, row["size"], headers).with_validators()

    def with_validators(self) -> _Representation:
        self.headers["ETag"] = self.etag
        if modified := last_modified(self.row["updated_at"]):
            self.headers["Last-Modified"] = modified
        return self


async def _file_response(platform: Platform, request: Request, row: DictRow) -> Response:
    """The whole file, the requested ranges of it, or 304 if the client has it already."""
    file = _Representation.negotiate(row, request)
    modified = file.headers.get("Last-Modified")
    if is_not_modified(request.headers, file.etag, modified):
        kept = ("ETag", "Vary", "Last-Modified", *_HEADERS)
        return Response(
            status_code=304, headers={name: file.headers[name] for name in kept if name in file.headers}
        )
    byte_ranges = None
    if request.method == "GET" and if_range_matches(request.headers, file.etag, modified):
        byte_ranges = parse_range_header(request.headers.get("range", ""), file.size)
    if byte_ranges is None:
        return await _body_response(platform, request, file, 200, file.headers, [file.whole])
    if not byte_ranges:
        return Response(status_code=416, headers={**_HEADERS, "Content-Range": f"bytes */{file.size}"})
    return await _body_response(platform, request, file, 206, file.headers, byte_ranges)


async def _body_response(
    platform: Platform,
    request: Request,
    file: _Representation,
    status: int,
    headers: dict[str, str],
    byte_ranges: list[ByteRange],
) -> Response:
    headers = dict(headers)
    multipart = (
        Multipart.create(byte_ranges, file.size, file.row["content_type"]) if len(byte_ranges) > 1 else None
    )
    if multipart is not None:
        headers["Content-Type"] = multipart.content_type
    elif status == 206:
        headers["Content-Range"] = byte_ranges[0].content_range(file.size)
    headers["Content-Length"] = str(
        multipart.length if multipart else byte_ranges[0].end - byte_ranges[0].start
    )
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    chunks = _chunks(platform, file, byte_ranges, multipart)
    # Read the first chunk before sending headers: if the object is missing, another response is still possible.
    first = await anext(chunks, b"")
    if len(first) == int(headers["Content-Length"]):
        await chunks.aclose()
        return Response(first, status, headers)
    return StreamingResponse(_prepend(first, chunks), status, headers)


async def _chunks(
    platform: Platform, file: _Representation, byte_ranges: list[ByteRange], multipart: Multipart | None
) -> AsyncGenerator[bytes, None]:
    for byte_range in byte_ranges:
        first = multipart.part_header(byte_range) if multipart else b""
        start, end = file.offset + byte_range.start, file.offset + byte_range.end
        try:
            async for chunk in platform.store.stream(file.row["object"], start, end):
                yield first + chunk
                first = b""
        except FileNotFoundError as error:
            raise ObjectMissing(file.row["object"]) from error
    if multipart:
        yield multipart.closing_boundary


async def _prepend(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
