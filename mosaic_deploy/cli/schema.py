"""`mosaic-deploy schema`: the JSON Schemas of what the program reads and writes."""

from __future__ import annotations

import click

from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.schema_files import read_whole_schema_text

_NAMES = {
    "manifest": "mosaic.schema.json",
    "plan": "plan.schema.json",
    "event": "event.schema.json",
    "error": "error.schema.json",
}


@click.command()
@click.argument("name", type=click.Choice(list(_NAMES)), default="manifest")
@click.pass_obj
def schema(screen: Screen, name: str) -> None:
    """Print a JSON Schema (draft 2020-12): of mosaic.yaml, or of a plan, an ndjson line or an error.

    NAME is manifest (the default), plan, event or error. Each is whole: what it refers to is in it.
    """
    screen.text(read_whole_schema_text(_NAMES[name]))
