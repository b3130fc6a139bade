"""What a browser sees at the platform's own address: projects, the inbox, and whether all is well."""

from __future__ import annotations

import html
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform import control, inbox
from mosaic_deploy.platform.answer import Json
from mosaic_deploy.platform.parts import Platform
from mosaic_deploy.version import __version__

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .8rem .3rem 0;"
    "border-bottom:1px solid #ddd}pre{white-space:pre-wrap;background:#f6f6f6;padding:1rem}"
)


async def health(platform: Platform, _request: Request) -> Response:
    """Healthy means that the control database answers."""
    await control.fetch(platform.pool, "SELECT 1")
    return Json({"status": "ok", "home_id": platform.state.home_id, "version": __version__})


async def show(platform: Platform, _request: Request) -> Response:
    query = "SELECT * FROM project WHERE account_id = %(account)s ORDER BY created_at, id"
    projects = await control.fetch(platform.pool, query, {"account": platform.account_id})
    mails = await inbox.recent(platform, 50)
    project_rows = [
        (row["id"], row["name"], row["status"], _link(platform.site_url(row["id"]))) for row in projects
    ]
    mail_rows = [
        (
            row["created_at"].strftime("%Y-%m-%d %H:%M"),
            row["project_id"],
            row["recipient"],
            _link(f"/inbox/{row['id']}", row["subject"]),
        )
        for row in mails
    ]
    content = (
        "<h1>Mosaic on this machine</h1><h2>Projects</h2>"
        + _table(("Project", "Name", "Status", "URL"), project_rows)
        + "<h2>Inbox</h2>"
        + _table(("Sent (UTC)", "Project", "To", "Subject"), mail_rows)
    )
    return _document("Mosaic", content)


async def show_mail(platform: Platform, request: Request) -> Response:
    """The mail's text, with its link to follow. Its HTML part is for mail programs."""
    row = await inbox.find(platform, request.path_params["mail_id"])
    before, link, after = row["text_body"].partition(row["link"])
    text = html.escape(before) + (_link(link).text if link else "") + html.escape(after)
    content = (
        f"<p><a href='/'>All projects and mails</a></p><h1>{html.escape(row['subject'])}</h1>"
        f"<p>From {html.escape(row['sender'])} to {html.escape(row['recipient'])}</p><pre>{text}</pre>"
    )
    return _document(row["subject"], content)


class _Markup:
    """Text that is HTML already; every other cell is escaped."""

    def __init__(self, text: str) -> None:
        self.text = text


def _link(target: str, label: str | None = None) -> _Markup:
    return _Markup(f'<a href="{html.escape(target)}">{html.escape(label or target)}</a>')


def _table(heads: Sequence[str], rows: Sequence[Sequence[str | _Markup]]) -> str:
    if not rows:
        return "<p>Nothing yet.</p>"
    head = "".join(f"<th>{html.escape(name)}</th>" for name in heads)
    lines = ("".join(f"<td>{_cell(value)}</td>" for value in row) for row in rows)
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _cell(value: str | _Markup) -> str:
    return value.text if isinstance(value, _Markup) else html.escape(value)


def _document(title: str, content: str) -> Response:
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body>{content}</body></html>"
    )
    return Response(text, 200, _HEADERS, "text/html; charset=utf-8")
