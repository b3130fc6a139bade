"""`mosaic-deploy migrate lint`: what the migrations would do that hurts. Needs no network."""

from __future__ import annotations

from pathlib import Path

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.model.hazard import HazardSeverity
from mosaic_deploy.source.manifest.read import read_manifest


@click.command()
@options.manifest
@click.option(
    "--only",
    multiple=True,
    metavar="FILE",
    help="Report on this migration file alone (may be repeated); the others are still read.",
)
@click.option(
    "--severity",
    type=click.Choice([str(danger) for danger in HazardSeverity]),
    default=str(HazardSeverity.RISKY),
    show_default=True,
    help="Exit with 1 for a finding of this severity or a worse one.",
)
@options.output
@click.pass_obj
def lint(screen: Screen, path: str, environment: str | None, only: tuple[str, ...], severity: str) -> int:
    """Find what would destroy data, block reads and writes, or be regretted. Needs no network and no key.

    PATH is a folder with a mosaic.yaml, or a manifest. Each file is read as if it alone were pending and the
    ones before it were applied. docs/lint.md has every rule.
    """
    from mosaic_deploy.cli.target.settings import resolve_environment
    from mosaic_deploy.source.manifest.folders import migrations_folder
    from mosaic_deploy.source.migrations.files import parse_migrations, read_migrations
    from mosaic_deploy.source.migrations.lint import lint as find

    manifest = read_manifest(Path(path), environment=resolve_environment(path, environment))
    parsed = parse_migrations(read_migrations(manifest.root, migrations_folder(manifest)))
    names = [Path(file).name for file in only]
    if unknown := sorted(set(names) - {one.file.migration.file for one in parsed}):
        raise click.BadParameter(f"no such migration: {', '.join(unknown)}", param_hint="--only")
    found = find(parsed, names, manifest.policy)
    screen.lint(found, len(names) or len(parsed))
    worst = HazardSeverity(severity).rank
    return 1 if any(not hazard.ignored and hazard.severity.rank <= worst for hazard in found) else 0
