"""Renders the dashboard's pages from `templates/`, with the headers that all of them have."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.storage.storage import human_size
from mosaic_deploy.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

_STYLE = files("mosaic_deploy.platform.dashboard").joinpath("templates/style.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS = {
    "Cache-Control": "no-store",
    # No scripts, this one style sheet, frames from this origin, forms to this origin.
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-src 'self'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_NAVIGATION = (
    ("/#projects", "Projects"),
    ("/inbox", "Inbox"),
    ("/#tickets", "Tickets"),
    ("/#deploys", "Deploys"),
    ("/requests", "Requests"),
    ("/key", "API key"),
)


async def health(platform: Platform, _request: Request) -> Response:
    """200 while this process serves requests.

    On a served platform, also while the database restarts: requests then get a better answer here than from a load
    balancer without servers. After a minute the process itself may be cut off from the database.
    """
    if platform.local:
        await control_database.fetch(platform.pool, "SELECT 1")
        return JsonResponse({"status": "ok", "home_id": platform.state.home_id, "version": __version__})
    document = {
        "status": "unavailable" if platform.health.gave_up else "ok",
        "database": "ok" if platform.health.answers else "unavailable",
        "version": __version__,
    }
    return JsonResponse(document, 503 if platform.health.gave_up else 200)


def render_page(template: str, title: str, *, status: int = 200, **values: object) -> Response:
    """The page `templates/{template}`; everything in `values` is escaped."""
    text = _environment().get_template(template).render(title=title, **values)
    return Response(text, status, HEADERS, "text/html; charset=utf-8")


def locked_page(*, used_up: bool = False) -> Response:
    """What a browser without a session gets. `used_up`: it came with an expired link."""
    return render_page("locked.html", "Locked", status=401, used_up=used_up)


def redirect_to_dashboard() -> Response:
    """Reloads as a new navigation: after an HTTP redirect that began on another site, the browser wouldn't send the
    SameSite cookie."""
    return render_page("welcome.html", "Welcome")


@cache
def _environment() -> Environment:
    # Imported with the first page: most platforms never serve one.
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("mosaic_deploy.platform.dashboard"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(utc_time=_utc_time, iso_time=_iso_time, file_size=human_size)
    # The hash in HEADERS is of exactly this text.
    environment.globals.update(style=Markup(_STYLE), navigation=_NAVIGATION, version=__version__)  # noqa: S704
    return environment


def _utc_time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _iso_time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
