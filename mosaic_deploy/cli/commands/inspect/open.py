"""`mosaic-deploy open`: the project's page in a browser."""

from __future__ import annotations

import os
import sys

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import Meant


@click.command("open", cls=folder_option.InFolder)
@click.option("--print", "only_print", is_flag=True, help="Print the URL and open nothing.")
@folder_option.meant
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
        project = folder_option.project_of(session)
    screen.answer({"type": "site", "url": project.url}, [project.url])
    if not only_print and screen.format == "text" and can_open():
        click.launch(project.url)


_SCREENS = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME")
"""One of them is set where a browser can be started; macOS and Windows need none."""


def can_open() -> bool:
    """Whether a person is at a terminal of a machine with a screen."""
    return sys.stdout.isatty() and (
        sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in _SCREENS)
    )
