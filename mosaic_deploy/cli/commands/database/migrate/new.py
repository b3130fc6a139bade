"""`migrate new` and `migrate commit`: the next file of the migrations folder."""

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
    """Create the next migration file. Prints its path; runs offline.

    NAME describes the change in a few words. The folder is created if it is missing. The file is named in the layout of the folder.

    \b
    Example:
      mosaic-deploy migrate new add_orders
    """
    from mosaic_deploy.source.manifest.folders import migrations_folder, migrations_layout
    from mosaic_deploy.source.migrations.new import write_new_migration

    environment = resolve_environment(path, environment)
    manifest = read_manifest(Path(path), environment=environment, missing_folders=True)
    made = write_new_migration(
        manifest.root, migrations_folder(manifest), name, datetime.now(UTC), migrations_layout(manifest)
    )
    screen.created(made[0])


@click.command()
@click.argument("name", metavar="NAME")
@options.manifest
@click.option("--untested", is_flag=True, help="Commit the draft even if it failed in dev or watch.")
@options.output
@click.pass_obj
def commit_draft(screen: Screen, name: str, path: str, environment: str | None, untested: bool) -> None:
    """Turn draft.sql into the next migration file. Prints its path; runs offline.

    NAME describes the change in a few words. A running dev applies the new migration at once; otherwise run
    plan and apply. A draft that failed in dev or watch is refused.

    \b
    Example:
      mosaic-deploy migrate commit add_orders
    """
    from mosaic_deploy.source.manifest.folders import migrations_folder, migrations_layout
    from mosaic_deploy.source.migrations.draft import commit_draft as write_migration

    manifest = read_manifest(Path(path), environment=resolve_environment(path, environment))
    folder = migrations_folder(manifest)
    if not untested:
        _refuse_failed_draft(manifest.root, folder)
    made = write_migration(manifest.root, folder, name, datetime.now(UTC), migrations_layout(manifest))
    plan = ["mosaic-deploy", "plan", *(["--env", environment] if environment else [])]
    command = shlex.join([*plan, *([path] if path != "." else [])])
    screen.result({"type": "draft_committed", "path": str(made), "next": command}, [str(made)])
    if screen.format == "text":
        screen.print_notice(
            [f"next: plan it (a running `mosaic-deploy dev` applies it automatically):  {command}"]
        )


def _refuse_failed_draft(root: Path, folder: str) -> None:
    """Raises DraftFailed if a running watch tried this version of the draft and it failed."""
    from mosaic_deploy.cli.watch.failed_draft import read_failure
    from mosaic_deploy.source.migrations.draft import read_draft

    draft = read_draft(root, folder)
    if draft and (failed := read_failure(root / folder, draft.migration.checksum)):
        failed.hint = f"fix {draft.relative_path} first, or commit it anyway with --untested"
        raise failed
