"""`mosaic-deploy schema`: the manifest's JSON Schema."""

from __future__ import annotations

import click

from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.schema_files import read_schema_text


@click.command()
@click.pass_obj
def schema(screen: Screen) -> None:
    """Print the JSON Schema of mosaic.yaml (draft 2020-12)."""
    screen.text(read_schema_text("mosaic.schema.json"))
