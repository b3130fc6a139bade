"""`migrate status`."""

from __future__ import annotations

from dataclasses import replace

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.model.migration_history import MigrationState


@click.command()
@options.target_options
@options.detailed_exitcode
@options.output
@click.pass_obj
def status(screen: Screen, target_options: TargetOptions, detailed_exitcode: bool) -> int:
    """Show the state of every migration. It is applied, pending, edited, missing or partly applied.

    Exits with 1 if a migration needs attention: it was edited, is missing or is partly applied.
    PATH is a folder with a mosaic.yaml, or a manifest.

    \b
    Examples:
      mosaic-deploy migrate status
      mosaic-deploy migrate status --local
    """
    session = target_options.open()
    from mosaic_deploy.deploy.history.read import history_statuses, read_history_context

    with session:
        known = read_history_context(session.api, session.manifest, session.target)
        lines = [
            replace(line, next_actions=session.scope_actions(line.next_actions))
            for line in history_statuses(session.api, known)
        ]
    screen.history(known.project, lines)
    if any(line.needs_attention for line in lines):
        return 1
    pending = any(line.state is MigrationState.PENDING for line in lines)
    return 2 if detailed_exitcode and pending else 0
