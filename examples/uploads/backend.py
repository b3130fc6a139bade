"""Pictures that visitors upload: checked here, sent to storage through an upload URL, and listed from the database.

`mosaic-deploy dev` runs it with these variables; where you host it, set them there:
DATABASE_URL, MOSAIC_API_URL, MOSAIC_API_KEY, MOSAIC_PROJECT_ID, MOSAIC_SITE_URL, and PORT (default 3001).
Everybody can upload here, up to MAX_PICTURES in all. For sign-in, see the todo example.
"""

from __future__ import annotations

import os
import uuid
from typing import Any

import httpx
import psycopg
import uvicorn
from psycopg.rows import dict_row
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SITE = os.environ["MOSAIC_SITE_URL"]
API = f"{os.environ['MOSAIC_API_URL']}/v1/project/{os.environ['MOSAIC_PROJECT_ID']}"
KEY = {"X-API-Key": os.environ["MOSAIC_API_KEY"]}
MAX_BYTES, MAX_PICTURES = 5_000_000, 200
SIGNATURES = {b"\x89PNG\r\n\x1a\n": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif"}


async def rows(query: str, **values: object) -> list[dict[str, Any]]:
    async with await psycopg.AsyncConnection.connect(
        os.environ["DATABASE_URL"], row_factory=dict_row
    ) as connection:
        cursor = await connection.execute(query, values)
        return await cursor.fetchall() if cursor.description else []


def refused(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status)


async def received(request: Request) -> bytes | None:
    """The request's body; None if it is too long. Reads no more than it may keep."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BYTES:
            return None
    return bytes(content)


async def upload(request: Request) -> Response:
    title = request.query_params.get("title", "").replace("\0", "").strip()
    if request.headers.get("origin") != SITE:
        return refused(403, f"only pages of {SITE} can upload")
    if not 0 < len(title) <= 100:
        return refused(400, "a title has 1 to 100 characters")
    content = await received(request)
    if content is None:
        return refused(413, f"a picture has up to {MAX_BYTES // 1_000_000} MB")
    # By the content: the visitor's name and type of the file can be anything.
    suffix = next((each for start, each in SIGNATURES.items() if content.startswith(start)), None)
    if suffix is None:
        return refused(415, "only PNG, JPEG and GIF pictures")
    return await keep(title, content, suffix)


async def keep(title: str, content: bytes, suffix: str) -> Response:
    if (await rows("SELECT count(*) AS number FROM pictures"))[0]["number"] >= MAX_PICTURES:
        return refused(409, "there is no room for more pictures")
    filename = f"visitors/{uuid.uuid4()}{suffix}"
    if problem := await store(filename, content):
        return problem
    await rows(
        "INSERT INTO pictures (filename, title, size) VALUES (%(filename)s, %(title)s, %(size)s)",
        filename=filename, title=title, size=len(content),
    )  # fmt: skip
    return Response(status_code=201)


async def store(filename: str, content: bytes) -> Response | None:
    """Asks the platform for an upload URL, which is for this name and size only, and sends the bytes to it."""
    async with httpx.AsyncClient(timeout=60) as client:
        wanted = {"filename": filename, "size": len(content)}
        granted = await client.post(f"{API}/storage/upload", headers=KEY, json=wanted)
        if not granted.is_success:
            return refused(granted.status_code, granted.json()["error"]["message"])
        sent = await client.put(granted.json()["upload_url"], content=content)
        return None if sent.is_success else refused(502, "the storage didn't accept the picture")


async def list_pictures(_: Request) -> Response:
    return JSONResponse(await rows("SELECT filename, title FROM pictures ORDER BY id DESC LIMIT 50"))


app = Starlette(
    routes=[Route("/pictures", list_pictures), Route("/pictures", upload, methods=["POST"])],
    middleware=[
        Middleware(
            CORSMiddleware, allow_origins=[SITE], allow_methods=["POST"], allow_headers=["Content-Type"]
        )
    ],
)

if __name__ == "__main__":
    uvicorn.run(
        app,
        host=os.environ.get("HOST", "127.0.0.1"),
        port=int(os.environ.get("PORT", "3001")),
        log_level="warning",
    )
