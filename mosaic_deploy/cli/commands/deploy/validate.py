"""`mosaic-deploy validate`: everything that can be checked without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.settings import environment_named
from mosaic_deploy.source.files.digests import Hashed, unheard
from mosaic_deploy.source.manifest.read import try_manifest

if TYPE_CHECKING:
    from mosaic_deploy.errors import ManifestInvalid
    from mosaic_deploy.model.manifest import Manifest
    from mosaic_deploy.source.snapshot import Desired


@click.command()
@options.manifest
@options.output
@click.pass_obj
def validate(screen: Screen, path: str, environment: str | None) -> None:
    """Check the manifest, SQL and files. Needs no network and no key.

    PATH is a folder with a mosaic.yaml, or a manifest.
    """
    with screen.hashing() as hashed:
        desired = check(path, environment, hashed)
    screen.valid(desired)


def check(path: str, environment: str | None, hashed: Hashed = unheard) -> Desired:
    """What was found good. Raises SourceError's and MigrationError's children, ManifestInvalid."""
    return checked(*try_manifest(Path(path), environment=environment_named(path, environment)), hashed)


def checked(manifest: Manifest, refused: ManifestInvalid | None = None, hashed: Hashed = unheard) -> Desired:
    """What a manifest that was read asks for, its SQL parsed. Raises as `check`: what was `refused` of the
    manifest itself, and what is wrong with the rest, at once.
    """
    from mosaic_deploy.diff.checks import check_pages
    from mosaic_deploy.source.migrations.files import parse_migrations
    from mosaic_deploy.source.migrations.seeds import whole_seeds
    from mosaic_deploy.source.problems import Mistakes
    from mosaic_deploy.source.snapshot import read_good

    mistakes = Mistakes(manifest.file.name, refused)
    desired = read_good(manifest, mistakes, hashed)
    if desired.snapshot.static is not None:
        mistakes.of(lambda: check_pages(manifest, desired.snapshot))
    mistakes.of(lambda: parse_migrations(desired.migrations))
    mistakes.of(lambda: whole_seeds(desired.seeds))
    mistakes.tell()
    return desired
