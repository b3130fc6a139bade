"""`migrate restore-file`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions

if TYPE_CHECKING:
    from mosaic_deploy.source.migrations.rearrange import Rearranged


@click.command()
@click.argument("version", metavar="VERSION")
@options.target_options
@options.output
@click.pass_obj
def restore_file(screen: Screen, version: str, target_options: TargetOptions) -> None:
    """Write an applied migration back into the folder. Changes nothing in the database.

    VERSION is a version in the migration history, or the name of a file or folder. Nothing is overwritten: an edited
    file is kept as NAME.bak, and a file that has taken the number gets another one.

    \b
    Example:
      mosaic-deploy migrate restore-file 0003
    """
    session = target_options.open()
    from mosaic_deploy.deploy.history.read import read_history_context
    from mosaic_deploy.deploy.history.restore import plan_restore
    from mosaic_deploy.source.manifest.folders import migrations_folder
    from mosaic_deploy.source.migrations.rearrange import rearrange

    with session:
        known = read_history_context(session.api, session.manifest, session.target)
        changes = plan_restore(session.api, known, [version], datetime.now(UTC))
    done = rearrange(session.manifest.root, migrations_folder(session.manifest), changes)
    document = {
        "type": "files_restored",
        "written": list(done.written),
        "renamed": [{"from": old, "to": new} for old, new in done.renamed],
        "kept": [{"from": old, "to": new} for old, new in done.kept],
    }
    screen.result(document, list(_lines(done)) or ["Nothing to restore: the files are as they were applied."])


def _lines(done: Rearranged) -> Iterator[str]:
    yield from (f"wrote {name} as it was applied" for name in done.written)
    yield from (f"renamed {old} to {new}" for old, new in done.renamed)
    yield from (f"kept {old} as {new}" for old, new in done.kept)
    if done.kept:
        yield "If anything in a .bak file should still run, put it into a new migration."
