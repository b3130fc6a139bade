"""`migrate new`: the next file of the migrations folder."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.settings import resolve_environment
from mosaic_deploy.source.manifest.read import read_manifest


@click.command()
@click.argument("name", metavar="NAME")
@options.manifest
@options.output
@click.pass_obj
def new(screen: Screen, name: str, path: str, environment: str | None) -> None:
    """Create the next migration file, and print its path.

    NAME says in a few words what it does. The number goes on in the style of the newest file. Needs no network.
    """
    from mosaic_deploy.source.manifest.folders import migrations_folder
    from mosaic_deploy.source.migrations.files import read_migrations
    from mosaic_deploy.source.migrations.new import write_new_migration

    manifest = read_manifest(Path(path), environment=resolve_environment(path, environment))
    folder = migrations_folder(manifest)
    existing = [file.migration.file for file in read_migrations(manifest.root, folder)]
    made = write_new_migration(manifest.root / folder, folder, existing, name, datetime.now(UTC))
    screen.created(made)


@click.command()
@click.argument("name", metavar="NAME")
@options.manifest
@click.option("--untested", is_flag=True, help="Also a draft that failed in a running dev or watch.")
@options.output
@click.pass_obj
def commit_draft(screen: Screen, name: str, path: str, environment: str | None, untested: bool) -> None:
    """Make draft.sql the next migration file, and print its path.

    NAME says in a few words what it does; the number goes on in the style of the newest file. A running dev applies
    it at once; elsewhere plan and apply do. A draft that failed there is refused. Needs no network.
    """
    from mosaic_deploy.source.manifest.folders import migrations_folder
    from mosaic_deploy.source.migrations.draft import commit_draft as seal_draft

    manifest = read_manifest(Path(path), environment=resolve_environment(path, environment))
    folder = migrations_folder(manifest)
    if not untested:
        _refuse_failed_draft(manifest.root, folder)
    made = seal_draft(manifest.root, folder, name, datetime.now(UTC))
    again = ["mosaic-deploy", "plan", *(["--env", environment] if environment else [])]
    command = shlex.join([*again, *([path] if path != "." else [])])
    screen.result({"type": "sealed", "path": str(made), "next": command}, [str(made)])
    if screen.format == "text":
        screen.print_notice([f"next: {command}  (a running `mosaic-deploy dev` applies it by itself)"])


def _refuse_failed_draft(root: Path, folder: str) -> None:
    """Raises DraftFailed for a draft that a running watch has tried as it is, and that failed."""
    from mosaic_deploy.cli.watch.failed_draft import read_failure
    from mosaic_deploy.source.migrations.draft import read_draft

    draft = read_draft(root, folder)
    if draft and (failed := read_failure(root / folder, draft.migration.checksum)):
        failed.hint = f"correct {draft.relative_path} first; with --untested it is sealed as it is"
        raise failed
