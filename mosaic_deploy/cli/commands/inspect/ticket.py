"""`mosaic-deploy ticket --subject TEXT`: a word to the platform's support, as failures of its making offer it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.api_access import command_line, open_api
from mosaic_deploy.cli.terminal.consent import require_consent
from mosaic_deploy.model.command_line import with_options

_PROMPT = (
    "The message, as many lines as it takes; Ctrl-D on a line of its own ends it (on Windows Ctrl-Z, Enter):"
)


@click.command(cls=folder_option.FolderCommand)
@click.option("--subject", required=True, help="In one line.")
@click.option(
    "--message", default="-", show_default=True, help="What it is about; - reads it from standard input."
)
@click.option("--project", "project_id", metavar="ID", help="The project it is about.")
@click.option(
    "--in",
    "path",
    type=click.Path(),
    default=".",
    show_default=True,
    metavar="PATH",
    help="The project's folder, whose .env counts.",
)
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
    """Submit a support ticket. It is shown first, and sent when you agree."""
    text = (_read_message(screen) if message == "-" else message).strip()
    if not subject.strip() or not text:
        raise click.UsageError("a ticket needs a subject and a message")
    from mosaic_deploy.live.api.operations import submit_ticket

    folder = Path(path)
    with open_api(folder if folder.is_dir() else folder.parent, local=local) as api:
        screen.print_notice([f"Subject: {subject}", "", *text.splitlines(), ""])
        again = with_options(command_line(), "--yes")
        require_consent("Send this to the platform's support?", yes=yes, command=again, needs_person=True)
        answered = submit_ticket(api, subject, text, project_id)
    number, status = answered.get("ticket_id"), answered.get("status")
    screen.result({"type": "ticket", **answered}, [f"ticket {number}: {status}"])


def _read_message(screen: Screen) -> str:
    """Standard input to its end. A person at the terminal is told that it is read."""
    if sys.stdin.isatty():
        screen.print_notice([_PROMPT])
    return sys.stdin.read()
