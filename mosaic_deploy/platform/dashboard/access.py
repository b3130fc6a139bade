"""Who may look at the pages: whoever comes through a link that only this machine's user can have had made.

The pages show keys and sign-in links, and every user of a machine reaches 127.0.0.1. So `local open` asks with the
API key for a link; it lets one browser in, once, and that browser gets a cookie. Other sites can't use the cookie
(SameSite), scripts can't read it (HttpOnly), and writing asks for the page's own origin besides.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.accounts.local_key import LocalKey
from mosaic_deploy.platform.dashboard import layout as page
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.services import Platform

LINK_SECONDS = 600
SESSION_SECONDS = 12 * 3600

Endpoint = Callable[[Platform, Request], Awaitable[Response]]


def browser_session_required(endpoint: Endpoint) -> Endpoint:
    """The endpoint as a page: for a browser that was let in, on the local platform only."""

    async def answer(platform: Platform, request: Request) -> Response:
        _require_local(platform)
        if not _has_session(platform, request):
            return page.locked_page()
        _check_origin(request)
        return await endpoint(platform, request)

    return answer


async def create_dashboard_link(platform: Platform, _request: Request) -> Response:
    """A link that lets one browser in. Asked for with the API key of this machine's own account, whose pages they
    are."""
    key = _require_local(platform)
    own = await platform.authenticator.authenticate(platform.pool, key.value)
    if own.account_id != platform.account_id:
        raise Fault(404, "not_found", "the pages are those of this machine's own account")
    token = secrets.token_urlsafe(32)
    await control_database.fetch(
        platform.pool,
        "WITH gone AS (DELETE FROM page_link WHERE expires_at <= now())"
        " INSERT INTO page_link (token_hash, expires_at) VALUES (%(hash)s, now() + make_interval(secs => %(life)s))",
        {"hash": _hash(token), "life": LINK_SECONDS},
    )
    return JsonResponse({"url": f"{platform.url}/open?token={token}", "expires_in": LINK_SECONDS})


async def start_browser_session(platform: Platform, request: Request) -> Response:
    """The link's own page: takes the token, gives the cookie."""
    _require_local(platform)
    if request.method == "HEAD":
        # Previews ask so; they must not use the link up.
        return page.redirect_to_dashboard()
    used = await control_database.fetch_one(
        platform.pool,
        "DELETE FROM page_link WHERE token_hash = %(hash)s RETURNING expires_at > now() AS valid",
        {"hash": _hash(request.query_params.get("token", ""))},
    )
    if used is not None and used["valid"]:
        response = page.redirect_to_dashboard()
        response.set_cookie(
            _cookie_name(platform),
            _session_cookie(platform, int(time.time()) + SESSION_SECONDS),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
        )
        return response
    return page.redirect_to_dashboard() if _has_session(platform, request) else page.locked_page(used_up=True)


async def end_browser_session(platform: Platform, _request: Request) -> Response:
    response = page.locked_page()
    response.delete_cookie(_cookie_name(platform), httponly=True, samesite="strict")
    return response


def _require_local(platform: Platform) -> LocalKey:
    """Where strangers reach the platform there are no such pages."""
    if not platform.local or platform.local_key is None:
        raise Fault(404, "not_found", "there are no pages here")
    return platform.local_key


def _has_session(platform: Platform, request: Request) -> bool:
    given = request.cookies.get(_cookie_name(platform), "")
    expires, _, _ = given.partition(".")
    if not (expires.isascii() and expires.isdecimal() and len(expires) < 12):
        return False
    same = hmac.compare_digest(given.encode(), _session_cookie(platform, int(expires)).encode())
    return same and int(expires) > time.time()


def _check_origin(request: Request) -> None:
    """Another origin may lead here, and do nothing else: not embed, not fetch, not send forms.

    Ports don't separate cookies, so a page of another server on this machine comes with ours.
    """
    if request.method not in ("GET", "HEAD"):
        origin = request.headers.get("origin", "")
        if not origin or urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
            raise Fault(403, "origin_refused", "only the platform's own pages may do this")
    site = request.headers.get("sec-fetch-site", "none")
    if site not in ("none", "same-origin") and request.headers.get("sec-fetch-mode") != "navigate":
        raise Fault(403, "origin_refused", "only the platform's own pages may read this")


def _cookie_name(platform: Platform) -> str:
    """Its own for each platform: two on one machine share the address, and so their cookies."""
    return f"mosaic_{platform.state.home_id}"


def _session_cookie(platform: Platform, expires: int) -> str:
    signed = f"page-session {platform.state.home_id} {expires}"
    signature = hmac.new(platform.state.signing_key.encode(), signed.encode(), hashlib.sha256).hexdigest()
    return f"{expires}.{signature}"


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
