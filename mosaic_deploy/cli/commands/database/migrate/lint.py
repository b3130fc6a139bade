"""`migrate lint`."""

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
    help="Report only on this migration file. Repeatable.",
)
@click.option(
    "--severity",
    type=click.Choice([str(each) for each in HazardSeverity]),
    default=str(HazardSeverity.RISKY),
    help=f"Exit with 1 if there is a finding of this severity or worse (default: {HazardSeverity.RISKY}).",
)
@options.output
@click.pass_obj
def lint(screen: Screen, path: str, environment: str | None, only: tuple[str, ...], severity: str) -> int:
    """Lint migrations. Finds SQL that destroys data, blocks reads and writes, or is risky. Runs offline.

    Each file is checked as if it were the only pending one. Rules: docs/lint.md.
    PATH is a folder with a mosaic.yaml, or a manifest.

    \b
    Examples:
      mosaic-deploy migrate lint
      mosaic-deploy migrate lint --only 0007_drop_name.sql --severity advice
    """
    from mosaic_deploy.cli.target.settings import resolve_environment
    from mosaic_deploy.diff.history.identity import find_version
    from mosaic_deploy.source.manifest.folders import migrations_folder, migrations_layout
    from mosaic_deploy.source.migrations.files import parse_migrations
    from mosaic_deploy.source.migrations.lint import lint as lint_migrations
    from mosaic_deploy.source.migrations.listing import read_migrations

    manifest = read_manifest(Path(path), environment=resolve_environment(path, environment))
    files = read_migrations(manifest.root, migrations_folder(manifest), layout=migrations_layout(manifest))
    parsed = parse_migrations(files)
    known = {file.migration.version: file.migration.file for file in files}
    found_versions = {file: find_version(file, [each.migration for each in files]) for file in only}
    names = [known[version] for version in found_versions.values() if version in known]
    if unknown := sorted(file for file, version in found_versions.items() if version not in known):
        raise click.BadParameter(f"no such migration: {', '.join(unknown)}", param_hint="--only")
    found = lint_migrations(parsed, names, manifest.policy)
    screen.lint(found, len(names) or len(parsed))
    worst = HazardSeverity(severity).rank
    return 1 if any(not hazard.ignored and hazard.severity.rank <= worst for hazard in found) else 0
