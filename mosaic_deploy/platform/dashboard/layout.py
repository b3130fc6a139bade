"""The frame of every page a browser sees at the platform's own address, and the two pages at its door."""

from __future__ import annotations

import base64
import hashlib

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.dashboard.html import Html, element, escape_html, join_html, link
from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.version import __version__

_STYLE = """
:root{color-scheme:light dark;--text:#1d2433;--soft:#5a6478;--line:#d8dde6;--back:#f6f7fa;--card:#fff;--link:#1a4fd0}
@media(prefers-color-scheme:dark){
:root{--text:#e6e9f0;--soft:#a3adc0;--line:#353c4a;--back:#14171d;--card:#1c2028;--link:#8fb4ff}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;margin:0;color:var(--text);background:var(--back)}
header,main,footer{max-width:72rem;margin:0 auto;padding:0 1rem}
header{padding-top:1rem;display:flex;flex-wrap:wrap;gap:.4rem 1.4rem;align-items:baseline}
header strong{font-size:1.15rem}nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem}
footer{color:var(--soft);padding-bottom:2rem;font-size:.875rem}
h1{font-size:1.5rem;margin:1.2rem 0 .4rem}h2{font-size:1.15rem;margin:0 0 .6rem}
section{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:1rem 1.2rem;margin:1rem 0}
a{color:var(--link)}a:focus-visible,button:focus-visible,summary:focus-visible,.wide:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-99rem}.skip:focus{position:static}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}caption{position:absolute;left:-99rem}
th,td{text-align:left;vertical-align:top;padding:.35rem .9rem .35rem 0;border-bottom:1px solid var(--line);font-weight:400}
thead th{color:var(--soft);font-size:.875rem;white-space:nowrap}tbody tr:last-child>*{border-bottom:0}
time,code{white-space:nowrap;font-variant-numeric:tabular-nums}small,.empty{color:var(--soft)}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0}code{overflow-wrap:anywhere}
iframe{width:100%;height:24rem;border:1px solid var(--line);border-radius:.4rem;background:#fff}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem;margin:0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
meter{width:9rem;height:1rem;vertical-align:middle}ul{margin:.2rem 0;padding-left:1.2rem}
button{font:inherit;padding:.2rem .8rem;cursor:pointer}form{display:inline}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS = {
    "Cache-Control": "no-store",
    # No scripts at all; this one style sheet, frames of our own, forms to ourselves.
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
    """Healthy means that the control database answers."""
    await control_database.fetch(platform.pool, "SELECT 1")
    return JsonResponse({"status": "ok", "home_id": platform.state.home_id, "version": __version__})


def dashboard_page(title: str, *content: str) -> Response:
    """A page with the way to all others."""
    navigation = join_html(link(target, label) for target, label in _NAVIGATION)
    nav = element("nav", navigation, aria_label="Pages")
    lock = element("form", element("button", "Lock"), method="post", action="/leave")
    head = join_html([element("strong", link("/", "Mosaic on this machine")), nav, lock])
    return _html_response(title, head, join_html([element("h1", title), *content]))


def locked_page(*, used_up: bool = False) -> Response:
    """What anyone sees who wasn't let in."""
    why = "This link was used already, or is too old." if used_up else "These pages show keys and mails."
    text = join_html(
        [
            element("p", f"{why} Only this machine's user may open them. In a terminal:"),
            element("pre", element("code", "mosaic-deploy local open")),
        ]
    )
    head = element("strong", "Mosaic on this machine")
    return _html_response("Locked", head, join_html([element("h1", "Locked"), text]), status=401)


def redirect_to_dashboard() -> Response:
    """Leads on to the pages by a new navigation: on a redirect the browser wouldn't send the cookie yet, where
    another program or page has led here."""
    onward = Html('<meta http-equiv="refresh" content="0;url=/">')
    return _html_response("Welcome", "", element("p", link("/", "Go on to the pages")), extra=onward)


def _html_response(title: str, head: str, main: str, *, status: int = 200, extra: str = "") -> Response:
    text = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape_html(title)} · Mosaic</title>'
        f'<meta name="viewport" content="width=device-width">{extra}<style>{_STYLE}</style></head><body>'
        f'<a class="skip" href="#main">Skip to the content</a><header>{escape_html(head)}</header>'
        f'<main id="main">{escape_html(main)}</main><footer>mosaic-deploy {__version__}</footer></body></html>\n'
    )
    return Response(text, status, HEADERS, "text/html; charset=utf-8")
