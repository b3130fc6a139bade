"""`migrate rollback`: undo applied migrations by their own ways down."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.commands.database.migrate.write_history import (
    ConsentOptions,
    LeaseOptions,
    parse_version,
    write_with_consent,
    writing,
)
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions

if TYPE_CHECKING:
    from mosaic_deploy.deploy import ApplyOptions
    from mosaic_deploy.model.event import Event

_QUESTION = "Roll this back?"
_DESTRUCTIVE_QUESTION = "Roll back all the same?"
_NOTHING_TO_ROLL_BACK = "Nothing to roll back: no migration is applied"


@click.command()
@options.target_options
@click.option("--to", metavar="VERSION", help="Undo everything after this version; 0 undoes everything.")
@click.option(
    "--steps", metavar="N", type=click.IntRange(min=1), help="Undo the newest N migrations.  [default: 1]"
)
@writing
@options.allow
@options.output
@click.pass_obj
def rollback(
    screen: Screen,
    target_options: TargetOptions,
    to: str | None,
    steps: int | None,
    yes: bool,
    allow: tuple[str, ...],
    lock_timeout: float,
    force_unlock: bool,
) -> int:
    """Undo applied migrations, the newest first, by their own ways down.

    A way down is the section `-- migrate:down` of the file, or the file NAME.down.sql beside it. Where one is
    missing nothing is undone. What destroys data needs a person's yes, or --allow destructive.
    """
    if to is not None and steps is not None:
        raise click.UsageError("--to and --steps exclude each other")
    after = None if to is None else parse_version(to)
    session = target_options.open()
    from mosaic_deploy.deploy.history.read import read_history_context
    from mosaic_deploy.deploy.history.rollback import plan_rollback, roll_back

    with session:
        known = read_history_context(session.api, session.manifest, session.target)
        planned = plan_rollback(session.api, known, to=after, steps=steps or 1)

        def write(wanted: ApplyOptions) -> Generator[Event, None, None]:
            return roll_back(session.api, planned, wanted)

        nothing_to_do = f"{_NOTHING_TO_ROLL_BACK}{f' after {to}' if to else ''}."
        consent = ConsentOptions(yes, allow, _QUESTION, _DESTRUCTIVE_QUESTION, nothing_to_do)
        return write_with_consent(
            screen, session, planned, write, consent, LeaseOptions(lock_timeout, force_unlock)
        )
