"""`migrate rollback`."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import allow_option, options
from mosaic_deploy.cli.commands.database.migrate.write_history import (
    ConsentOptions,
    LeaseOptions,
    write_options,
    write_with_consent,
)
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions

if TYPE_CHECKING:
    from mosaic_deploy.deploy import ApplyOptions, PreparedPlan
    from mosaic_deploy.model.event import Event
    from mosaic_deploy.model.plan import Plan

_QUESTION = "Roll back these migrations?"
_DESTRUCTIVE_QUESTION = "Roll back anyway?"
_NOTHING_TO_ROLL_BACK = "Nothing to roll back: no migrations are applied"


@click.command()
@options.target_options
@click.option(
    "--to", metavar="VERSION", help="Roll back everything after this version; 0 rolls back everything."
)
@click.option(
    "--steps",
    metavar="N",
    type=options.NumberRange(click.IntRange(min=1)),
    help="Roll back the newest N migrations (default: 1).",
)
@write_options
@allow_option.allow
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
    """Roll back migrations using their down migrations. The newest is rolled back first.

    A down migration is a `-- migrate:down` section in the migration, or a file next to it, such as NAME.down.sql. If one is
    missing, nothing is rolled back. Destructive SQL needs confirmation, or --allow destructive.

    \b
    Examples:
      mosaic-deploy migrate rollback
      mosaic-deploy migrate rollback --to 0011
    """
    if to is not None and steps is not None:
        raise click.UsageError("--to and --steps can't be combined")
    session = target_options.open()
    from mosaic_deploy.deploy.history.read import read_history_context
    from mosaic_deploy.deploy.history.rollback import plan_rollback, roll_back

    with session:

        def make_plan() -> PreparedPlan:
            known = read_history_context(session.api, session.manifest, session.target)
            return plan_rollback(session.api, known, to=to, steps=steps or 1)

        def write(planned: PreparedPlan, wanted: ApplyOptions) -> Generator[Event, None, None]:
            return roll_back(session.api, planned, wanted)

        def nothing_to_do(_: Plan) -> str:
            return f"{_NOTHING_TO_ROLL_BACK}{f' after {to}' if to else ''}."

        consent = ConsentOptions(yes, allow, _QUESTION, _DESTRUCTIVE_QUESTION, nothing_to_do)
        return write_with_consent(
            screen, session, make_plan, write, consent, LeaseOptions(lock_timeout, force_unlock)
        )
