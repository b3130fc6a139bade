"""`migrate rollback`: undo applied migrations by their own ways down."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.commands.database.migrate.write_history import (
    Consent,
    Lease,
    consented,
    version,
    writing,
)
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import Meant

if TYPE_CHECKING:
    from mosaic_deploy.deploy import ApplyOptions
    from mosaic_deploy.model.event import Event

_QUESTION = "Roll this back?"
_ANYHOW = "Roll back all the same?"
_IDLE = "Nothing to roll back: no migration is applied"


@click.command()
@options.meant
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
    meant: Meant,
    to: str | None,
    steps: int | None,
    yes: bool,
    allow: tuple[str, ...],
    lock_timeout: float,
    break_lease: bool,
) -> int:
    """Undo applied migrations, the newest first, by their own ways down.

    A way down is the section `-- migrate:down` of the file, or the file NAME.down.sql beside it. Where one is
    missing nothing is undone. What destroys data needs a person's yes, or --allow destructive.
    """
    if to is not None and steps is not None:
        raise click.UsageError("--to and --steps exclude each other")
    after = None if to is None else version(to)
    session = meant.open()
    from mosaic_deploy.deploy.history.read import read_known
    from mosaic_deploy.deploy.history.rollback import plan_rollback, roll_back

    with session:
        known = read_known(session.api, session.manifest, session.target)
        planned = plan_rollback(session.api, known, to=after, steps=steps or 1)

        def write(wanted: ApplyOptions) -> Generator[Event, None, None]:
            return roll_back(session.api, planned, wanted)

        idle = f"{_IDLE}{f' after {to}' if to else ''}."
        consent = Consent(yes, allow, _QUESTION, _ANYHOW, idle)
        return consented(screen, session, planned, write, consent, Lease(lock_timeout, break_lease))
