"""The mails that the platform sends for projects, in the projects' names."""

from __future__ import annotations

import html
import unicodedata
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid

DEFAULT_SENDER = "no-reply@mosaic.localhost"
# Turn the reading direction, and with it what a name seems to say.
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def magic_link_email(project_name: str, sender: str, recipient: str, link: str, minutes: int) -> EmailMessage:
    """Text and HTML. `link` is in ASCII; both addresses are checked ones."""
    name = safe_display_name(project_name)
    message = EmailMessage(policy=SMTP)
    message["Subject"] = f"Sign in to {name}"
    message["From"] = Address(name, addr_spec=sender)
    message["To"] = recipient
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    # Vacation notes and the like don't answer to this.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_text_body(name, link, minutes))
    message.add_alternative(_html_body(name, link, minutes), subtype="html")
    return message


def text_and_html(message: EmailMessage) -> tuple[str, str]:
    """(text, HTML) as a reader sees them."""
    plain, rich = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert rich is not None
    return str(plain.get_content()), str(rich.get_content())


def safe_display_name(name: str) -> str:
    """A project's name as one line of what is seen: nothing in it breaks lines, turns the direction of reading, or
    is decoded into something else, as `=?…?=` is in headers. (The standard library decodes it when a header is set,
    and writes line breaks found inside as they are.)
    """
    seen = "".join(
        letter for letter in name if letter not in _BIDI_CONTROLS and unicodedata.category(letter) != "Cs"
    )
    return " ".join(seen.replace("=?", "= ?").split()) or "Mosaic"


def _text_body(name: str, link: str, minutes: int) -> str:
    return (
        f"Sign in to {name}:\n\n{link}\n\n"
        f"The link works once, for {minutes} minutes. If you didn't ask for it, ignore this mail.\n"
    )


def _html_body(name: str, link: str, minutes: int) -> str:
    name, target = html.escape(name), html.escape(link)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in to {name}</title></head>\n'
        '<body style="margin:0;padding:24px;background:#f4f5f8;color:#1d2433;'
        'font-family:system-ui,Segoe UI,Roboto,Helvetica,Arial,sans-serif;line-height:1.5">\n'
        '<div style="max-width:480px;margin:0 auto;padding:32px;background:#ffffff;border-radius:12px">\n'
        f'<h1 style="font-size:20px;margin:0 0 16px">Sign in to {name}</h1>\n'
        f'<p style="margin:24px 0"><a href="{target}" style="display:inline-block;padding:12px 24px;'
        'background:#1a4fd0;color:#ffffff;border-radius:8px;text-decoration:none;font-weight:600">Sign in</a></p>\n'
        f'<p style="font-size:14px;color:#5a6478">The link works once, for {minutes} minutes.'
        " If you didn't ask for it, ignore this mail.</p>\n"
        f'<p style="font-size:12px;color:#5a6478;word-break:break-all">{target}</p>\n'
        "</div></body></html>\n"
    )
