"""`migrate repair`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.commands.database.migrate.write_history import (
    ConsentOptions,
    LeaseOptions,
    parse_step,
    write_history,
    write_options,
)
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions

if TYPE_CHECKING:
    from mosaic_deploy.deploy import PreparedPlan


@click.command()
@options.target_options
@click.option(
    "--accept",
    metavar="FILE",
    multiple=True,
    help="Record this edited file as applied without running it; the database already matches it. Of a partly applied "
    "file, only the applied steps are recorded.",
)
@click.option(
    "--forget",
    metavar="VERSION",
    multiple=True,
    help="Remove this version from the history: its file was deleted on purpose, or was applied empty.",
)
@click.option(
    "--rename",
    metavar="VERSION",
    multiple=True,
    help="Record the new name or number of this version's file; its statements are the same.",
)
@click.option(
    "--squash",
    metavar="FILE",
    multiple=True,
    help="Record this file in place of the applied files whose statements it contains.",
)
@click.option(
    "--applied",
    metavar="VERSION:STEP",
    multiple=True,
    help="Record that this step of a migration took effect.",
)
@click.option(
    "--not-applied",
    metavar="VERSION:STEP",
    multiple=True,
    help="Record that this step of a migration did not take effect.",
)
@write_options
@options.output
@click.pass_obj
def repair(
    screen: Screen,
    target_options: TargetOptions,
    accept: tuple[str, ...],
    forget: tuple[str, ...],
    rename: tuple[str, ...],
    squash: tuple[str, ...],
    applied: tuple[str, ...],
    not_applied: tuple[str, ...],
    yes: bool,
    lock_timeout: float,
    force_unlock: bool,
) -> int:
    """Fix the migration history. Runs no migration.

    Without options, lists the problems and the commands that fix them, and changes nothing.

    \b
    Examples:
      mosaic-deploy migrate repair
      mosaic-deploy migrate repair --accept 0003_orders.sql
    """
    from mosaic_deploy.diff.history.repairs import RepairRequest

    request = RepairRequest(
        accept=accept,
        forget=forget,
        rename=rename,
        squash=squash,
        applied=[parse_step(each) for each in applied],
        not_applied=[parse_step(each) for each in not_applied],
    )
    session = target_options.open()
    from mosaic_deploy.deploy.history.read import history_statuses, read_history_context
    from mosaic_deploy.deploy.history.repair import REPAIR, plan_repair

    def make_plan() -> PreparedPlan:
        known = read_history_context(session.api, session.manifest, session.target)
        return plan_repair(session.api, known, request)

    with session:
        if request.empty:
            known = read_history_context(session.api, session.manifest, session.target)
            problems = [line for line in history_statuses(session.api, known) if line.next_actions]
            screen.repairs(
                known.project,
                [replace(line, next_actions=session.scope_actions(line.next_actions)) for line in problems],
            )
            return 0
        return write_history(
            screen, session, make_plan, REPAIR, ConsentOptions(yes), LeaseOptions(lock_timeout, force_unlock)
        )
