"""Sign-in by magic link: requested with the API key, sent by email, verified exactly once."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

from psycopg.types.json import Jsonb
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.auth import email_limits, inbox, messages, redirects, verifications
from mosaic_deploy.platform.auth.smtp import EmailNotSent, Mailer
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.postgres.control_database import Connection
from mosaic_deploy.platform.projects.names import checked_email
from mosaic_deploy.platform.projects.projects import find_project, find_project_by_id
from mosaic_deploy.platform.services import Platform

TOKEN_MINUTES = 15


async def send_magic_link(platform: Platform, request: Request) -> Response:
    document = await request_body.read_json(request)
    email = checked_email(request_body.required_text(document, "email").strip())
    requested = request_body.optional_text(document, "redirect_url")
    project = await find_project(platform, request)
    settings, site_url = project["auth_settings"], platform.site_url(project["id"])
    if requested is None:
        requested = redirects.default_redirect(settings, site_url)
    redirect = redirects.checked_redirect(requested, site_url, settings)
    token = secrets.token_urlsafe(32)
    link = redirects.build_magic_link(site_url, redirect, token, email)
    sender = messages.DEFAULT_SENDER if platform.mailer is None else platform.mailer.sender
    message = messages.magic_link_email(project["name"], sender, email, link, TOKEN_MINUTES)
    async with platform.pool.connection() as connection, connection.transaction():
        count = await email_limits.count_email(platform, connection, project, email)
        await _insert_token(connection, project["id"], email, token)
        if platform.mailer is None:
            await inbox.store_email(connection, project["id"], email, message, link)
    if platform.mailer is not None:
        await _send_email(platform, platform.mailer, message, token, count)
    return JsonResponse({"success": True, "message": "Magic link sent! Check your email."})


async def _send_email(
    platform: Platform, mailer: Mailer, message: EmailMessage, token: str, count: int
) -> None:
    """Runs outside the transaction, so a slow mail server holds no lock. An email that wasn't sent isn't counted."""
    try:
        await mailer.send(message)
    except EmailNotSent as error:
        if error.maybe_sent:
            text = f"the connection to the mail server was lost; the email may or may not arrive: {error}"
            raise Fault(502, "email_unconfirmed", text) from error
        await control_database.fetch(
            platform.pool,
            "WITH token AS (DELETE FROM sign_in_token WHERE token_hash = %(hash)s)"
            " DELETE FROM mail_count WHERE id = %(count)s",
            {"hash": _hash(token), "count": count},
        )
        raise Fault(502, "email_not_sent", f"the email couldn't be sent: {error}") from error


async def verify_token(platform: Platform, request: Request) -> Response:
    project = await find_project(platform, request)
    # Not the site's own rate, which anybody without a key can use up, nor that of projects of other accounts.
    await verifications.check("key", project["id"])
    return await _verify(platform, request, project["id"])


async def verify_on_site(platform: Platform, request: Request, project_id: str) -> Response:
    """`verify_token` for a page of the site, without an API key: the token is the secret."""
    # JSON from another origin needs a CORS preflight, which fails here; a plain form wouldn't need one.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Fault(415, "json_expected", "send the token as application/json")
    await verifications.check("site", project_id)
    if await find_project_by_id(platform, project_id) is None:
        raise Fault(404, "project_not_found", f"there is no project {project_id!r}")
    return await _verify(platform, request, project_id)


async def read_settings(platform: Platform, request: Request) -> Response:
    project = await find_project(platform, request)
    return JsonResponse(project["auth_settings"])


async def write_settings(platform: Platform, request: Request) -> Response:
    """Replaces the settings; the response has what is stored now."""
    document = await request_body.read_json(request)
    project = await find_project(platform, request)
    redirects.check_settings(document, platform.site_url(project["id"]))
    if request_body.has_nul(document):
        raise Fault(400, "settings_invalid", "the settings contain a NUL character")
    query = "UPDATE project SET auth_settings = %(settings)s WHERE id = %(id)s RETURNING auth_settings"
    row = await control_database.fetch_one(
        platform.pool, query, {"settings": Jsonb(document), "id": project["id"]}
    )
    return JsonResponse(row["auth_settings"] if row else {})


async def _verify(platform: Platform, request: Request, project_id: str) -> Response:
    """One UPDATE decides, so only one of several concurrent requests finds the token unused."""
    document = await request_body.read_json(request, request_body.TOKEN_LIMIT)
    token, email = (
        request_body.required_text(document, "token", limit=500),
        request_body.required_text(document, "email", limit=500),
    )
    parameters = {"hash": _hash(token), "project": project_id, "email": email.strip()}
    used = await control_database.fetch_one(
        platform.pool,
        "UPDATE sign_in_token SET used_at = now() WHERE token_hash = %(hash)s AND project_id = %(project)s"
        " AND lower(email) = lower(%(email)s) AND used_at IS NULL AND expires_at > now() RETURNING email",
        parameters,
    )
    if used is None:
        raise await _token_fault(platform, parameters)
    return JsonResponse({"success": True, "email": used["email"]})


async def _token_fault(platform: Platform, parameters: dict[str, Any]) -> Fault:
    row = await control_database.fetch_one(
        platform.pool,
        "SELECT used_at FROM sign_in_token WHERE token_hash = %(hash)s AND project_id = %(project)s"
        " AND lower(email) = lower(%(email)s)",
        parameters,
    )
    if row is None:
        return Fault(401, "token_invalid", "this magic link is not valid")
    if row["used_at"] is not None:
        return Fault(401, "token_used", "this magic link was already used; request a new one")
    return Fault(401, "token_expired", "this magic link has expired; request a new one")


async def _insert_token(connection: Connection, project_id: str, email: str, token: str) -> None:
    await control_database.fetch_rows(
        connection,
        # Expired tokens are kept for a day to answer `token_expired` instead of `token_invalid`.
        "WITH old AS (DELETE FROM sign_in_token"
        " WHERE project_id = %(project)s AND expires_at < now() - interval '1 day')"
        " INSERT INTO sign_in_token (token_hash, project_id, email, expires_at)"
        " VALUES (%(hash)s, %(project)s, %(email)s, now() + %(life)s)",
        {
            "hash": _hash(token),
            "project": project_id,
            "email": email,
            "life": timedelta(minutes=TOKEN_MINUTES),
        },
    )


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
