"""`mosaic-deploy open`: the project's page in a browser."""

from __future__ import annotations

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.account import parameters
from mosaic_deploy.cli.browser import can_open
from mosaic_deploy.cli.meant import Meant
from mosaic_deploy.cli.render.screen import Screen


@click.command("open", cls=parameters.InFolder)
@click.option("--print", "only_print", is_flag=True, help="Print the URL and open nothing.")
@parameters.meant
@options.output
@click.pass_obj
def open_site(
    screen: Screen,
    only_print: bool,
    meant: Meant,
) -> None:
    """Open the project's URL in a browser, and print it.

    Without a terminal or a browser, and with --output json, it is only printed.
    """
    session = meant.open()
    with session:
        project = parameters.project_of(session)
    screen.answer({"type": "site", "url": project.url}, [project.url])
    if not only_print and screen.format == "text" and can_open():
        click.launch(project.url)
