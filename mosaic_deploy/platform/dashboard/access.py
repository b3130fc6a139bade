"""Access to the dashboard: one-time links and browser sessions.

The dashboard shows API keys and magic links, and every user of a machine can reach 127.0.0.1. So `local open` requests
a link with the API key. The link works once and gives that browser a session cookie. Other sites can't use the cookie
(SameSite) and scripts can't read it (HttpOnly); forms also need the dashboard's own Origin.

On a served platform, people sign in with their account's API key, see that account's projects, and change nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.accounts.accounts import key_hash
from mosaic_deploy.platform.accounts.local_key import LocalKey
from mosaic_deploy.platform.dashboard.layout import locked_page, redirect_to_dashboard, sign_in_page
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http import request_body
from mosaic_deploy.platform.http.body_memory import ACCOUNT_SCOPE_KEY
from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.services import Platform

LINK_SECONDS = 600
SESSION_SECONDS = 12 * 3600

Endpoint = Callable[[Platform, Request], Awaitable[Response]]


def local_page(endpoint: Endpoint) -> Endpoint:
    """The endpoint for browsers with a session, on the embedded platform only; others get the locked page."""

    async def respond(platform: Platform, request: Request) -> Response:
        _require_local(platform)
        return await _respond(endpoint, platform, request)

    return respond


def page(endpoint: Endpoint) -> Endpoint:
    """As `local_page`, but also on a served platform, for the account that has signed in. It must only read."""

    async def respond(platform: Platform, request: Request) -> Response:
        return await _respond(endpoint, platform, request)

    return respond


async def _respond(endpoint: Endpoint, platform: Platform, request: Request) -> Response:
    account_id = await _session_account(platform, request)
    if account_id is None:
        return locked_page() if platform.local else sign_in_page()
    _check_origin(request)
    request.scope[ACCOUNT_SCOPE_KEY] = account_id
    return await endpoint(platform.for_account(account_id), request)


async def sign_in(platform: Platform, request: Request) -> Response:
    """Exchanges an account's API key for a session cookie, on a served platform."""
    if platform.local:
        raise Fault(404, "not_found", "this platform's dashboard opens with `mosaic-deploy local open`")
    _check_origin(request)
    body = b"".join(await request_body.read_limited(request, request_body.TOKEN_LIMIT))
    given = parse_qs(body.decode("utf-8", "replace"), max_num_fields=2).get("api_key", [""])[0].strip()
    try:
        await platform.authenticator.authenticate(platform.pool, given, local=False)
    except Fault as fault:
        if fault.status != 401:
            raise
        return sign_in_page(fault.message)
    response = redirect_to_dashboard()
    await _add_session(platform, response, key_hash(given))
    return response


async def create_dashboard_link(platform: Platform, _request: Request) -> Response:
    """A one-time link to the dashboard. Needs the API key of this machine's own account, whose data it shows."""
    key = _require_local(platform)
    own = await platform.authenticator.authenticate(platform.pool, key.value)
    if own.account_id != platform.account_id:
        raise Fault(404, "not_found", "only this machine's own account has a dashboard")
    token = secrets.token_urlsafe(32)
    await control_database.fetch(
        platform.pool,
        "WITH expired AS (DELETE FROM page_link WHERE expires_at <= now())"
        " INSERT INTO page_link (token_hash, expires_at) VALUES (%(hash)s, now() + make_interval(secs => %(life)s))",
        {"hash": _hash(token), "life": LINK_SECONDS},
    )
    return JsonResponse({"url": f"{platform.url}/open?token={token}", "expires_in": LINK_SECONDS})


async def start_browser_session(platform: Platform, request: Request) -> Response:
    """Exchanges the link's token for a session cookie."""
    _require_local(platform)
    if request.method == "HEAD":
        # Link previews send HEAD; they must not use up the link.
        return redirect_to_dashboard()
    used = await control_database.fetch_one(
        platform.pool,
        "DELETE FROM page_link WHERE token_hash = %(hash)s RETURNING expires_at > now() AS valid",
        {"hash": _hash(request.query_params.get("token", ""))},
    )
    if used is not None and used["valid"]:
        response = redirect_to_dashboard()
        await _add_session(platform, response, None)
        return response
    has_session = await _session_account(platform, request) is not None
    return redirect_to_dashboard() if has_session else locked_page(used_up=True)


async def end_browser_session(platform: Platform, request: Request) -> Response:
    """Ends the session itself: a copy of its cookie is worth nothing afterwards."""
    await control_database.fetch(
        platform.pool,
        "DELETE FROM page_session WHERE token_hash = %(hash)s",
        {"hash": _hash(request.cookies.get(_cookie_name(platform), ""))},
    )
    response = locked_page() if platform.local else sign_in_page()
    secure = platform.hosts.scheme == "https"
    response.delete_cookie(_cookie_name(platform), httponly=True, samesite="strict", secure=secure)
    return response


def _require_local(platform: Platform) -> LocalKey:
    """The local key. Raises Fault on a served platform."""
    if not platform.local or platform.local_key is None:
        raise Fault(404, "not_found", "only the embedded platform has this page")
    return platform.local_key


async def _session_account(platform: Platform, request: Request) -> int | None:
    """The account whose pages the browser may see; None without a session, or if its key doesn't work any more."""
    given = request.cookies.get(_cookie_name(platform), "")
    if not given:
        return None
    query = "SELECT key_hash FROM page_session WHERE token_hash = %(hash)s AND expires_at > now()"
    row = await control_database.fetch_one(platform.pool, query, {"hash": _hash(given)})
    if row is None:
        return None
    if platform.local:
        return platform.account_id
    try:
        found = await platform.authenticator.find_by_hash(platform.pool, row["key_hash"] or b"", local=False)
    except Fault:
        return None
    return found.account_id


async def _add_session(platform: Platform, response: Response, key: bytes | None) -> None:
    """A new session, and its cookie. `key` is the hash of the API key on a served platform."""
    token = secrets.token_urlsafe(32)
    await control_database.fetch(
        platform.pool,
        "WITH expired AS (DELETE FROM page_session WHERE expires_at <= now())"
        " INSERT INTO page_session (token_hash, expires_at, key_hash)"
        " VALUES (%(hash)s, now() + make_interval(secs => %(life)s), %(key)s)",
        {"hash": _hash(token), "life": SESSION_SECONDS, "key": key},
    )
    response.set_cookie(
        _cookie_name(platform),
        token,
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=platform.hosts.scheme == "https",
    )


def _check_origin(request: Request) -> None:
    """Other origins may link here, but not embed, fetch or send forms. Raises Fault.

    Cookies ignore ports, so requests from another server's pages on this machine carry the session cookie too.
    """
    if request.method not in ("GET", "HEAD"):
        origin = request.headers.get("origin", "")
        if not origin or urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
            raise Fault(403, "origin_refused", "only the dashboard itself may send this request")
    site = request.headers.get("sec-fetch-site", "none")
    if site not in ("none", "same-origin") and request.headers.get("sec-fetch-mode") != "navigate":
        raise Fault(403, "origin_refused", "only the dashboard itself may read this")


def _cookie_name(platform: Platform) -> str:
    """Differs per platform: two on one machine share the address, and so their cookies.

    With `__Host-`, projects' sites below the same domain can't set it for a browser.
    """
    return f"mosaic_{platform.state.home_id}" if platform.hosts.scheme == "http" else "__Host-mosaic"


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
