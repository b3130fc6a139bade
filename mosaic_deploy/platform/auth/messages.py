"""Builds the emails that the platform sends in a project's name."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template

DEFAULT_SENDER = "no-reply@mosaic.localhost"
# They change the reading direction, so a name could look like another one.
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def magic_link_email(project_name: str, sender: str, recipient: str, link: str, minutes: int) -> EmailMessage:
    """The email with a text and an HTML body. `link` must be ASCII, and both addresses already validated."""
    name = safe_display_name(project_name)
    message = EmailMessage(policy=SMTP)
    message["Subject"] = f"Sign in to {name}"
    message["From"] = Address(name, addr_spec=sender)
    message["To"] = recipient
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    # Keeps automatic replies from answering.
    message["Auto-Submitted"] = "auto-generated"
    notice = (
        f"The link works once and expires in {minutes} minutes. If you didn't ask for it, ignore this email."
    )
    message.set_content(f"Sign in to {name}:\n\n{link}\n\n{notice}\n")
    html = _magic_link_template().render(name=name, link=link, notice=notice)
    message.add_alternative(html + "\n", subtype="html")
    return message


def text_and_html(message: EmailMessage) -> tuple[str, str]:
    """(text, HTML), decoded."""
    plain, rich = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert rich is not None
    return str(plain.get_content()), str(rich.get_content())


def safe_display_name(name: str) -> str:
    """A project's name as one visible line, safe in a header.

    Removes line breaks, direction controls and surrogates, and breaks up encoded words (`=?…?=`): the standard library
    decodes those when a header is set, and keeps line breaks inside them.
    """
    visible = "".join(
        letter for letter in name if letter not in _BIDI_CONTROLS and unicodedata.category(letter) != "Cs"
    )
    return " ".join(visible.replace("=?", "= ?").split()) or "Mosaic"


@cache
def _magic_link_template() -> Template:
    # Imported with the first email: most platforms never send one.
    from jinja2 import Environment, PackageLoader

    environment = Environment(loader=PackageLoader("mosaic_deploy.platform.auth"), autoescape=True)
    return environment.get_template("magic_link.html")
