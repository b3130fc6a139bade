"""`migrate repair`: put the ledger's history right, as a person says it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.commands.database.migrate.write_history import (
    ConsentOptions,
    LeaseOptions,
    parse_unit,
    parse_version,
    write_history,
    writing,
)
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions


@click.command()
@options.target_options
@click.option(
    "--accept",
    metavar="FILE",
    multiple=True,
    help="The database is already as this edited file says: record that. It isn't run.",
)
@click.option(
    "--forget",
    metavar="VERSION",
    multiple=True,
    help="This file is gone for good, or had no statement when it was applied: forget it.",
)
@click.option("--rename", metavar="VERSION", multiple=True, help="Record the file's new name.")
@click.option(
    "--applied",
    metavar="VERSION:PART",
    multiple=True,
    help="This part of a file has taken effect.",
)
@click.option("--not-applied", metavar="VERSION:PART", multiple=True, help="This part of a file has not.")
@writing
@options.output
@click.pass_obj
def repair(
    screen: Screen,
    target_options: TargetOptions,
    accept: tuple[str, ...],
    forget: tuple[str, ...],
    rename: tuple[str, ...],
    applied: tuple[str, ...],
    not_applied: tuple[str, ...],
    yes: bool,
    lock_timeout: float,
    force_unlock: bool,
) -> int:
    """Put right what the database's history says of migrations. Runs no SQL of theirs.

    Without options it lists what is wrong, with the commands that put it right, and changes nothing.
    """
    from mosaic_deploy.diff.repairs import RepairRequest

    wish = RepairRequest(
        accept=[PurePosixPath(name).name for name in accept],
        forget=[parse_version(each) for each in forget],
        rename=[parse_version(each) for each in rename],
        applied=[parse_unit(each) for each in applied],
        not_applied=[parse_unit(each) for each in not_applied],
    )
    session = target_options.open()
    from mosaic_deploy.deploy.history.read import history_statuses, read_history_context
    from mosaic_deploy.deploy.history.repair import REPAIR, plan_repair

    with session:
        known = read_history_context(session.api, session.manifest, session.target)
        if wish.empty:
            wrong = [line for line in history_statuses(known) if line.next_actions]
            screen.repairs(
                known.project,
                [replace(line, next_actions=session.scope_actions(line.next_actions)) for line in wrong],
            )
            return 0
        planned = plan_repair(session.api, known, wish)
        return write_history(
            screen, session, planned, REPAIR, ConsentOptions(yes), LeaseOptions(lock_timeout, force_unlock)
        )
