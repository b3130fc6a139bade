"""`mosaic-deploy ticket --subject TEXT`: a word to the platform's support."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.account import parameters
from mosaic_deploy.cli.api_access import command_line, open_account
from mosaic_deploy.cli.consent import ask
from mosaic_deploy.cli.render.screen import Screen


@click.command()
@click.option("--subject", required=True, help="In one line.")
@click.option(
    "--message", default="-", show_default=True, help="What it is about; - reads it from standard input."
)
@click.option("--project", "project_id", metavar="ID", help="The project it is about.")
@click.option("--yes", "-y", is_flag=True, help="Send without asking.")
@parameters.local
@options.output
@click.pass_obj
def ticket(
    screen: Screen, subject: str, message: str, project_id: str | None, yes: bool, local: bool
) -> None:
    """Submit a support ticket. It is shown first, and sent when you agree."""
    text = (sys.stdin.read() if message == "-" else message).strip()
    if not subject.strip() or not text:
        raise click.UsageError("a ticket needs a subject and a message")
    from mosaic_deploy.live.tickets import submit

    with open_account(Path(), local=local) as api:
        screen.aside([f"Subject: {subject}", "", *text.splitlines(), ""])
        ask("Send this to the platform's support?", yes=yes, command=f"{command_line()} --yes")
        answered = submit(api, subject, text, project_id)
    number, status = answered.get("ticket_id"), answered.get("status")
    screen.answer({"type": "ticket", **answered}, [f"ticket {number}: {status}"])
