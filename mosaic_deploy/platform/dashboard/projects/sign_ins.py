"""A project's emails, and its sign-ins by magic link."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.auth import inbox
from mosaic_deploy.platform.dashboard.projects.project_page import render_project_page
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.projects.projects import find_project
from mosaic_deploy.platform.services import Platform

_MAX_EMAILS = 200
_MAX_TOKENS = 500
# Expired tokens are deleted after a while, so these are recent ones.
_TOKENS = """
SELECT email, created_at, used_at, expires_at,
       CASE WHEN used_at IS NOT NULL THEN 'used' WHEN expires_at <= now() THEN 'expired' ELSE 'waiting' END AS status
FROM sign_in_token WHERE project_id = %(project)s ORDER BY created_at DESC LIMIT %(limit)s
"""
_PEOPLE = """
SELECT email, count(*) AS links, count(used_at) AS sign_ins, max(used_at) AS last_sign_in
FROM sign_in_token WHERE project_id = %(project)s GROUP BY email ORDER BY max(created_at) DESC LIMIT %(limit)s
"""


async def show_emails(platform: Platform, request: Request) -> Response:
    project = await find_project(platform, request)
    return render_project_page(
        platform,
        project,
        "emails",
        "emails.html",
        emails=await inbox.recent(platform, _MAX_EMAILS, project["id"]),
        smtp_server=platform.mailer.address if platform.mailer else "",
    )


async def show_sign_ins(platform: Platform, request: Request) -> Response:
    """Who asked for links, and what became of them. The tokens themselves aren't stored."""
    project = await find_project(platform, request)
    chosen = {"project": project["id"], "limit": _MAX_TOKENS}
    return render_project_page(
        platform,
        project,
        "sign-ins",
        "sign_ins.html",
        people=await control_database.fetch(platform.pool, _PEOPLE, chosen),
        links=await control_database.fetch(platform.pool, _TOKENS, chosen),
    )
