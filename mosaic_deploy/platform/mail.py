"""Mails the platform sends for projects, kept in the local inbox."""

from __future__ import annotations

import html
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid

SENDER = "no-reply@mosaic.localhost"


def magic_link_mail(project_name: str, recipient: str, link: str, minutes: int) -> EmailMessage:
    """Text and HTML, in the project's name. `EmailMessage` refuses line breaks in headers."""
    message = EmailMessage(policy=SMTP)
    message["Subject"] = f"Sign in to {project_name}"
    message["From"] = SENDER
    message["To"] = recipient
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(domain="mosaic.localhost")
    message.set_content(_text(project_name, link, minutes))
    message.add_alternative(_html(project_name, link, minutes), subtype="html")
    return message


def bodies(message: EmailMessage) -> tuple[str, str]:
    """(text, HTML) as a reader sees them."""
    plain, rich = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert rich is not None
    return str(plain.get_content()), str(rich.get_content())


def _text(project_name: str, link: str, minutes: int) -> str:
    return (
        f"Sign in to {project_name}:\n\n{link}\n\n"
        f"The link works once, for {minutes} minutes. If you didn't ask for it, ignore this mail.\n"
    )


def _html(project_name: str, link: str, minutes: int) -> str:
    name, target = html.escape(project_name), html.escape(link)
    return (
        '<!doctype html><html lang="en"><body style="font-family:sans-serif;line-height:1.5">'
        f'<h1 style="font-size:1.3em">Sign in to {name}</h1>'
        f'<p><a href="{target}">Sign in</a></p>'
        f"<p>The link works once, for {minutes} minutes. If you didn't ask for it, ignore this mail.</p>"
        "</body></html>\n"
    )
