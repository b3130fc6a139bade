"""`migrate new`: the next file of the migrations folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.settings import environment_named
from mosaic_deploy.source.manifest import read_manifest


@click.command()
@click.argument("name", metavar="NAME")
@options.manifest
@options.output
@click.pass_obj
def new(screen: Screen, name: str, path: str, environment: str | None) -> None:
    """Create the next migration file, and print its path.

    NAME says in a few words what it does. The number goes on in the style of the newest file. Needs no network.
    """
    from mosaic_deploy.source.manifest_folders import migrations_folder
    from mosaic_deploy.source.migrations import read_migrations
    from mosaic_deploy.source.new_migration import write_new

    manifest = read_manifest(Path(path), environment=environment_named(path, environment))
    folder = migrations_folder(manifest)
    existing = [file.migration.file for file in read_migrations(manifest.root, folder)]
    made = write_new(manifest.root / folder, folder, existing, name, datetime.now(UTC))
    screen.created(made)
