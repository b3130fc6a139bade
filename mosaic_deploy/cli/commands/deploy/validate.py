"""`mosaic-deploy validate`: everything that can be checked without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.settings import resolve_environment
from mosaic_deploy.source.files.digests import OnHashed, ignore_progress
from mosaic_deploy.source.manifest.read import try_read_manifest

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
    with screen.hash_progress() as on_hashed:
        desired = check_project(path, environment, on_hashed)
    screen.validated(desired)


def check_project(path: str, environment: str | None, on_hashed: OnHashed = ignore_progress) -> Desired:
    """What was found good. Raises SourceError's and MigrationError's children, ManifestInvalid."""
    return check_manifest(
        *try_read_manifest(Path(path), environment=resolve_environment(path, environment)), on_hashed
    )


def check_manifest(
    manifest: Manifest, refused: ManifestInvalid | None = None, on_hashed: OnHashed = ignore_progress
) -> Desired:
    """What a manifest that was read asks for, its SQL parsed. Raises as `check_project`: what was `refused` of the
    manifest itself, and what is wrong with the rest, at once.
    """
    from mosaic_deploy.diff.checks import check_redirect_pages
    from mosaic_deploy.source.migrations.files import parse_migrations
    from mosaic_deploy.source.migrations.seeds import parse_seeds
    from mosaic_deploy.source.problems import ErrorCollector
    from mosaic_deploy.source.snapshot import read_valid_desired

    mistakes = ErrorCollector(manifest.file.name, refused)
    desired = read_valid_desired(manifest, mistakes, on_hashed)
    if desired.snapshot.static is not None:
        mistakes.collect(lambda: check_redirect_pages(manifest, desired.snapshot))
    mistakes.collect(lambda: parse_migrations(desired.migrations))
    mistakes.collect(lambda: parse_seeds(desired.seeds))
    mistakes.raise_collected()
    return desired
