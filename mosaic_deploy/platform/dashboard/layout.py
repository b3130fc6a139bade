"""Renders the dashboard's pages from `templates/`, with the headers that all of them have."""

from __future__ import annotations

import secrets
import shlex
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.responses import Response

from mosaic_deploy.platform.dashboard.assets import asset_url
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.storage.storage import human_size
from mosaic_deploy.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_NAVIGATION = (("/", "Projects"), ("/inbox", "Inbox"), ("/requests", "Requests"), ("/key", "API key"))
_STATUSES = frozenset(HTTPStatus)
_AGES = ((60, "second"), (3600, "minute"), (86400, "hour"), (86400 * 30, "day"))


def render_page(
    template: str,
    title: str,
    *,
    status: int = 200,
    local: bool = True,
    frame_sources: str = "",
    **values: object,
) -> Response:
    """The page `templates/{template}`; everything in `values` is escaped. `local`: of the embedded platform.

    `frame_sources`: an origin besides the dashboard's own whose pages it may have in frames.
    """
    nonce = secrets.token_urlsafe(16)
    text = _environment().get_template(template).render(title=title, nonce=nonce, local=local, **values)
    headers = {**HEADERS, "Content-Security-Policy": _content_policy(nonce, frame_sources)}
    return Response(text, status, headers, "text/html; charset=utf-8")


def locked_page(*, used_up: bool = False) -> Response:
    """What a browser without a session gets. `used_up`: it came with an expired link."""
    return render_page("locked.html", "Locked", status=401, used_up=used_up)


def sign_in_page(problem: str = "") -> Response:
    """What a browser without a session gets on a served platform; `problem` says why the last key wasn't accepted."""
    return render_page("sign_in.html", "Sign in", status=401, local=False, problem=problem)


def error_page(fault: Fault, request_id: str, *, local: bool) -> Response:
    """An error for people, who came with a link or a form."""
    title = HTTPStatus(fault.status).phrase if fault.status in _STATUSES else f"Error {fault.status}"
    response = render_page(
        "error.html", title, status=fault.status, local=local, fault=fault, request_id=request_id
    )
    response.headers.update(fault.headers)
    return response


def redirect_to_dashboard() -> Response:
    """Reloads as a new navigation: after an HTTP redirect that began on another site, the browser wouldn't send the
    SameSite cookie."""
    return render_page("welcome.html", "Welcome")


def table_url(project_id: str, schema: str, table: str) -> str:
    """The page of a table's rows."""
    return f"/projects/{project_id}/tables/rows?{urlencode({'schema': schema, 'table': table})}"


def _content_policy(nonce: str, frame_sources: str) -> str:
    """Scripts and styles only of the page's own elements. Not 'self': projects' sites are on this origin too."""
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self';"
        f" img-src 'self' data:; frame-src 'self' {frame_sources}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


@cache
def _environment() -> Environment:
    # Imported with the first page: most platforms never serve one.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("mosaic_deploy.platform.dashboard"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(
        utc_time=_utc_time,
        iso_time=_iso_time,
        age=_age_text,
        file_size=human_size,
        capitalize_first=_capitalize_first,
        shell_word=shlex.quote,
    )
    environment.globals.update(
        navigation=_NAVIGATION, version=__version__, asset_url=asset_url, table_url=table_url
    )
    return environment


def _capitalize_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def _utc_time(at: datetime) -> str:
    return _in_utc(at).strftime("%Y-%m-%d %H:%M:%S")


def _iso_time(at: datetime) -> str:
    return _in_utc(at).isoformat(timespec="seconds")


def _in_utc(at: datetime) -> datetime:
    """As it is near the ends of what Python knows, where UTC would be beyond them."""
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return at


def _age_text(at: datetime) -> str:
    """`3 minutes ago`; the date if it's over a month."""
    seconds = (datetime.now(UTC) - at).total_seconds()
    unit = 1
    for limit, name in _AGES:
        if seconds < limit:
            number = max(0, int(seconds // unit))
            return f"{number} {name}{'' if number == 1 else 's'} ago"
        unit = limit if name != "hour" else 86400
    return at.astimezone(UTC).strftime("%Y-%m-%d")
