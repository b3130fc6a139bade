"""The todo app's backend: sign-in by magic link, a session cookie, and everybody's own tasks.

`mosaic-deploy dev` runs it with these variables; where you host it, set them there:
DATABASE_URL, MOSAIC_API_URL, MOSAIC_API_KEY, MOSAIC_PROJECT_ID, MOSAIC_SITE_URL, and PORT (default 3001).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SITE = os.environ["MOSAIC_SITE_URL"]
API = f"{os.environ['MOSAIC_API_URL']}/v1/project/{os.environ['MOSAIC_PROJECT_ID']}"
KEY = {"X-API-Key": os.environ["MOSAIC_API_KEY"]}
COOKIE, DAYS = "session", 30
SECURE = SITE.startswith("https:")

# A connection is checked before use: `mosaic-deploy dev` replaces the database while there is a draft of a migration.
pool = AsyncConnectionPool(
    os.environ["DATABASE_URL"], open=False, max_size=5, check=AsyncConnectionPool.check_connection,
    kwargs={"row_factory": dict_row},
)  # fmt: skip


async def rows(query: str, **values: object) -> list[dict[str, Any]]:
    async with pool.connection() as connection:
        cursor = await connection.execute(query, values)
        return await cursor.fetchall() if cursor.description else []


def refused(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status)


async def body(request: Request) -> dict[str, Any]:
    """The request's JSON object; empty if it is something else."""
    try:
        found = json.loads(await request.body())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


async def call_mosaic(path: str, document: dict[str, object]) -> tuple[int, str, dict[str, Any]]:
    """The status, the error's message and the document of the platform's response."""
    async with httpx.AsyncClient(timeout=30) as client:
        response = await client.post(API + path, headers=KEY, json=document)
    found = response.json()
    return response.status_code, "" if response.is_success else str(found["error"]["message"]), found


async def send_link(request: Request) -> Response:
    email = str((await body(request)).get("email", "")).strip().lower()
    status, message, _ = await call_mosaic("/auth/magic-link", {"email": email, "redirect_url": "/signed-in"})
    return refused(status, message) if message else Response(status_code=204)


async def verify(request: Request) -> Response:
    """Exchanges the token of a magic link for a session. Only the platform knows whether the token is valid."""
    sent = await body(request)
    wanted = {"token": str(sent.get("token", "")), "email": str(sent.get("email", ""))}
    status, message, verified = await call_mosaic("/auth/verify", wanted)
    if message:
        return refused(status, message)
    email, token = str(verified["email"]).lower(), secrets.token_urlsafe(32)
    await rows("DELETE FROM sessions WHERE expires_at < now()")
    await rows(
        "WITH person AS (INSERT INTO people (email) VALUES (%(email)s)"
        " ON CONFLICT (email) DO UPDATE SET email = excluded.email RETURNING id)"
        " INSERT INTO sessions (token_sha256, person_id) SELECT %(token)s, id FROM person",
        email=email, token=sha256(token),
    )  # fmt: skip
    response = JSONResponse({"email": email})
    # A backend under another domain than the site gets its cookie only with SameSite=None, and not in every browser.
    response.set_cookie(
        COOKIE,
        token,
        max_age=DAYS * 86400,
        httponly=True,
        secure=SECURE,
        samesite="none" if SECURE else "lax",
    )
    return response


async def sign_out(request: Request) -> Response:
    await rows("DELETE FROM sessions WHERE token_sha256 = %(token)s", token=session_hash(request))
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, httponly=True, secure=SECURE, samesite="none" if SECURE else "lax")
    return response


def sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def session_hash(request: Request) -> bytes:
    return sha256(request.cookies.get(COOKIE, ""))


Handler = Callable[[Request], Awaitable[Response]]


def signed_in(handler: Handler) -> Handler:
    """Sets `request.state.person`. Every query below names it, so that nobody sees or changes the tasks of others."""

    async def handle(request: Request) -> Response:
        found = await rows(
            "SELECT p.id, p.email FROM sessions s JOIN people p ON p.id = s.person_id"
            " WHERE s.token_sha256 = %(token)s AND s.expires_at > now()",
            token=session_hash(request),
        )
        if not found:
            return refused(401, "sign in first")
        request.state.person = found[0]["id"]
        request.state.email = found[0]["email"]
        return await handler(request)

    return handle


@signed_in
async def list_todos(request: Request) -> Response:
    found = await rows(
        "SELECT id, task, done FROM todos WHERE owner_id = %(owner)s ORDER BY id", owner=request.state.person
    )
    return JSONResponse({"email": request.state.email, "todos": found})


@signed_in
async def add_todo(request: Request) -> Response:
    task = str((await body(request)).get("task", "")).replace("\0", "").strip()
    if not 0 < len(task) <= 200:
        return refused(400, "a task has 1 to 200 characters")
    await rows(
        "INSERT INTO todos (owner_id, task) VALUES (%(owner)s, %(task)s)",
        owner=request.state.person, task=task,
    )  # fmt: skip
    return Response(status_code=201)


@signed_in
async def change_todo(request: Request) -> Response:
    changed = await rows(
        "UPDATE todos SET done = %(done)s WHERE id = %(id)s AND owner_id = %(owner)s RETURNING id",
        done=bool((await body(request)).get("done")), id=request.path_params["id"], owner=request.state.person,
    )  # fmt: skip
    return Response(status_code=204) if changed else refused(404, "there is no such task")


class OnlyFromTheSite:
    """Refuses requests from pages of other sites, which would be sent with the cookie."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        origin = dict(scope.get("headers", ())).get(b"origin", b"").decode()
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD") and origin != SITE:
            await refused(403, f"only pages of {SITE} can do this")(scope, receive, send)
        else:
            await self.app(scope, receive, send)


@asynccontextmanager
async def opened_pool(_: Starlette) -> AsyncIterator[None]:
    await pool.open()
    yield
    await pool.close()


app = Starlette(
    lifespan=opened_pool,
    routes=[
        Route("/auth/link", send_link, methods=["POST"]),
        Route("/auth/verify", verify, methods=["POST"]),
        Route("/auth/sign-out", sign_out, methods=["POST"]),
        Route("/todos", list_todos),
        Route("/todos", add_todo, methods=["POST"]),
        Route("/todos/{id:int}", change_todo, methods=["PATCH"]),
    ],
    middleware=[
        Middleware(
            CORSMiddleware, allow_origins=[SITE], allow_methods=["POST", "PATCH"],
            allow_headers=["Content-Type"], allow_credentials=True,
        ),
        Middleware(OnlyFromTheSite),
    ],
)  # fmt: skip

if __name__ == "__main__":
    uvicorn.run(
        app,
        host=os.environ.get("HOST", "127.0.0.1"),
        port=int(os.environ.get("PORT", "3001")),
        log_level="warning",
    )
