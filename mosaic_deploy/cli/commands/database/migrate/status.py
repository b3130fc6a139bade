"""`migrate status`: how every migration stands."""

from __future__ import annotations

from dataclasses import replace

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import Meant


@click.command()
@options.meant
@options.output
@click.pass_obj
def status(screen: Screen, meant: Meant) -> None:
    """Show every migration: applied, pending, edited, missing or partly applied.

    PATH is a folder with a mosaic.yaml, or a manifest. Changes nothing.
    """
    session = meant.open()
    from mosaic_deploy.deploy.history.read import read_known, standing_lines

    with session:
        known = read_known(session.api, session.manifest, session.target)
    lines = [replace(line, ways=session.scoped(line.ways)) for line in standing_lines(known)]
    screen.history(known.project, lines)
