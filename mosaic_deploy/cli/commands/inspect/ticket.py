"""`mosaic-deploy ticket`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.api_access import command_line, open_api
from mosaic_deploy.cli.terminal.consent import require_confirmation
from mosaic_deploy.model.command_line import with_options

_PROMPT = "Type the message, then press Ctrl-D on an empty line (on Windows: Ctrl-Z, Enter):"


@click.command()
@click.option("--subject", required=True, help="Subject line.")
@click.option("--message", default="-", help="Message text; - reads stdin (default: -).")
@click.option("--project", "project_id", metavar="ID", help="Project ID, if the ticket is about a project.")
@options.path
@click.option("--yes", "-y", is_flag=True, help="Send without asking.")
@folder_option.local
@options.output
@click.pass_obj
def ticket(
    screen: Screen,
    subject: str,
    message: str,
    project_id: str | None,
    path: str,
    yes: bool,
    local: bool,
) -> None:
    """Send a support ticket. Shows it first and asks before it is sent.

    \b
    Example:
      mosaic-deploy ticket --subject "HTTP 503" --message "Since 9:00 UTC."
    """
    text = (_read_message(screen) if message == "-" else message).strip()
    if not subject.strip() or not text:
        raise click.UsageError("the ticket needs a subject and a message")
    from mosaic_deploy.live.api.operations import submit_ticket

    folder = Path(path)
    with open_api(folder if folder.is_dir() else folder.parent, local=local) as api:
        screen.print_notice([f"Subject: {subject}", "", *text.splitlines(), ""])
        confirmed = with_options(command_line(), "--yes")
        require_confirmation("Send this ticket to support?", yes=yes, command=confirmed, needs_person=True)
        answered = submit_ticket(api, subject, text, project_id)
    number, status = answered.get("ticket_id"), answered.get("status")
    screen.result({"type": "ticket", **answered}, [f"ticket {number}: {status}"])


def _read_message(screen: Screen) -> str:
    """All of stdin, after a prompt in a terminal."""
    if sys.stdin.isatty():
        screen.print_notice([_PROMPT])
    return sys.stdin.read()
