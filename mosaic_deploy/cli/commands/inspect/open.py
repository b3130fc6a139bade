"""`mosaic-deploy open`."""

from __future__ import annotations

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.cli.terminal.browser import open_in_browser


@click.command("open")
@click.option("--print", "only_print", is_flag=True, help="Only print the URL.")
@options.target_options
@options.output
@click.pass_obj
def open_site(
    screen: Screen,
    only_print: bool,
    target_options: TargetOptions,
) -> None:
    """Open the site in a browser. Also prints its URL.

    Without a terminal or a browser, and with --output json, the URL is only printed.

    \b
    Examples:
      mosaic-deploy open
      mosaic-deploy open --local --print
    """
    session = target_options.open("project_only")
    with session:
        project = folder_option.find_project(session)
    screen.result({"type": "site", "url": project.url}, [project.url])
    if not only_print and screen.format == "text":
        open_in_browser(project.url)
