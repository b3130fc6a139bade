"""`mosaic-deploy validate`, and its checks for `watch` and `ci plan`."""

from __future__ import annotations

from dataclasses import replace
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
    """Check the manifest, SQL and files offline. Needs no API key.

    PATH is a folder with a mosaic.yaml, or a manifest.

    \b
    Examples:
      mosaic-deploy validate
      mosaic-deploy validate --env staging
    """
    with screen.hash_progress() as on_hashed:
        desired = check_project(path, environment, on_hashed)
    screen.validated(desired)


def check_project(path: str, environment: str | None, on_hashed: OnHashed = ignore_progress) -> Desired:
    """The checked project. Raises ManifestInvalid and subclasses of SourceError and MigrationError."""
    return check_manifest(
        *try_read_manifest(Path(path), environment=resolve_environment(path, environment)), on_hashed
    )


def check_manifest(
    manifest: Manifest, refused: ManifestInvalid | None = None, on_hashed: OnHashed = ignore_progress
) -> Desired:
    """The checked project of a manifest, its SQL parsed. Raises like `check_project`.

    The errors found while reading the manifest (`refused`) are raised together with those of its files.
    """
    from mosaic_deploy.deploy.planning.pending import step_notes
    from mosaic_deploy.deploy.planning.request_sizes import large_step_notes
    from mosaic_deploy.diff.missing_pages import check_redirect_pages
    from mosaic_deploy.model.plan import Severity
    from mosaic_deploy.source.builds.state import without_output
    from mosaic_deploy.source.migrations.files import parse_migrations
    from mosaic_deploy.source.migrations.seeds import parse_seeds
    from mosaic_deploy.source.problems import ErrorCollector
    from mosaic_deploy.source.snapshot import read_valid_desired

    errors = ErrorCollector(manifest.file.name, refused)
    # What the build makes is checked once it is there.
    desired = read_valid_desired(without_output(manifest), errors, on_hashed, identified=False)
    if desired.snapshot.static is not None:
        errors.collect(lambda: check_redirect_pages(manifest, desired.snapshot))
    parsed = errors.collect(lambda: parse_migrations(desired.migrations)) or ()
    seeds = errors.collect(lambda: parse_seeds(desired.seeds)) or ()
    errors.raise_collected()
    warnings = (note for note in step_notes(parsed) if note.severity is Severity.WARNING)
    site = (note for note in desired.site.notes() if note.code not in _KNOWN_BY_PLAN)
    return replace(desired, notes=(*desired.notes, *site, *warnings, *large_step_notes((*parsed, *seeds))))


_KNOWN_BY_PLAN = frozenset({"storage_address_assumed"})
