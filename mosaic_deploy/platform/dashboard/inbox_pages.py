"""The inbox as pages: a list, and each mail with its text, its links and its HTML."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.auth import inbox
from mosaic_deploy.platform.dashboard import layout as page
from mosaic_deploy.platform.dashboard.html import (
    Html,
    definition_list,
    element,
    escape_html,
    join_html,
    link,
    section,
    table,
    time_element,
)
from mosaic_deploy.platform.services import Platform

_MAX_EMAILS = 200
# The mail's own HTML: styles as written, no scripts, nothing fetched, links open beside it.
_EMAIL_HTML_HEADERS = {
    **page.HEADERS,
    "Content-Security-Policy": (
        "sandbox allow-popups allow-popups-to-escape-sandbox;"
        " default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
    ),
}


async def show_inbox_page(platform: Platform, _request: Request) -> Response:
    emails = await inbox.recent(platform, _MAX_EMAILS)
    return page.dashboard_page("Inbox", section("mails", "Mails", emails_table(platform, emails)))


async def show_email_page(platform: Platform, request: Request) -> Response:
    row = await inbox.find(platform, request.path_params["mail_id"])
    about = definition_list(
        [
            ("From", row["sender"]),
            ("To", row["recipient"]),
            ("Sent (UTC)", time_element(row["created_at"])),
            ("Project", link(f"/projects/{row['project_id']}", row["project_id"])),
        ]
    )
    frame = element(
        "iframe", src=f"/inbox/{row['id']}/html", title="The mail's HTML", sandbox=_IFRAME_SANDBOX
    )
    return page.dashboard_page(
        row["subject"],
        section("about", "Mail", about),
        section("text", "Text", element("pre", _text_with_link(row["text_body"], row["link"]))),
        section("html", "HTML", frame),
    )


async def show_email_html(platform: Platform, request: Request) -> Response:
    """The HTML part alone, for the frame."""
    row = await inbox.find(platform, request.path_params["mail_id"])
    text = '<base target="_blank">' + row["html_body"]
    return Response(text, 200, _EMAIL_HTML_HEADERS, "text/html; charset=utf-8")


def emails_table(platform: Platform, emails: Sequence[DictRow]) -> Html:
    rows = [
        (
            time_element(row["created_at"]),
            link(f"/inbox/{row['id']}", row["subject"]),
            row["recipient"],
            link(f"/projects/{row['project_id']}", row["project_id"]),
        )
        for row in emails
    ]
    empty = "No mails yet. Sign-in mails of local projects come here."
    if platform.mailer is not None:
        empty = f"Mails go out through {platform.mailer.address}; none are kept here."
    return table("Mails", ("Sent (UTC)", "Subject", "To", "Project"), rows, empty=empty)


def _text_with_link(text: str, target: str) -> Html:
    """The text with its link to follow."""
    before, found, after = text.partition(target)
    return join_html([escape_html(before), link(found) if found else "", escape_html(after)])


_IFRAME_SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
