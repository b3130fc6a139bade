"""Emails that the embedded platform received."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mosaic_deploy.cli.render.text.edits import clock
from mosaic_deploy.model.quantities import age_text


def email_line(email: Mapping[str, Any]) -> str:
    """An email that has just arrived, with the link in it."""
    line = f"{clock()} email to {email['to']}: {email['subject']}"
    return f"{line}  {email['link']}" if email["link"] else line


def inbox_lines(emails: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The emails, each with its link on a line of its own."""
    for email in emails:
        yield f"{age_text(str(email['created_at']))}  to {email['to']}: {email['subject']}"
        if email["link"]:
            yield f"  {email['link']}"
    if not emails:
        yield "No emails."
