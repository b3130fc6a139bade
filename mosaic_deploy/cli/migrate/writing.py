"""Showing, asking, and writing: what the commands share that change the history."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, TypeVar

import click

from mosaic_deploy.cli.consent import ask
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.session import Session, command_line, holder

if TYPE_CHECKING:
    from mosaic_deploy.deploy import ApplyOptions, Planned
    from mosaic_deploy.model.event import Event

F = TypeVar("F", bound=Callable[..., object])


def writing(command: F) -> F:
    """`--yes` and `--lock-timeout`."""
    command = click.option(
        "--lock-timeout",
        type=click.FloatRange(min=0),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="Wait so long for another deploy of the project to end.",
    )(command)
    return click.option("--yes", "-y", is_flag=True, help="Don't ask. Needed where nobody can answer.")(
        command
    )


def write_history(
    screen: Screen, session: Session, planned: Planned, name: str, *, yes: bool, lock_timeout: float
) -> int:
    """Shows the plan, asks, and writes the rows that it names; returns the exit code."""
    from mosaic_deploy.deploy.amending import amend

    question = "Write this to the database's history? No migration is run."

    def write(options: ApplyOptions) -> Generator[Event, None, None]:
        return amend(session.api, planned, options, name)

    return consented(screen, session, planned, question, write, yes=yes, lock_timeout=lock_timeout)


def consented(
    screen: Screen,
    session: Session,
    planned: Planned,
    question: str,
    write: Callable[[ApplyOptions], Generator[Event, None, None]],
    *,
    yes: bool,
    lock_timeout: float,
) -> int:
    """Shows the plan, asks, and writes; returns the exit code. Raises PolicyDenied where the manifest forbids it."""
    from mosaic_deploy.deploy import ApplyOptions
    from mosaic_deploy.diff.policy import refuse_denied

    last = planned.plan.empty
    screen.plan(planned.plan, final=last)
    if last:
        return 0
    refuse_denied(planned.plan)
    ask(question, yes=yes, command=f"{command_line()} --yes")
    options = ApplyOptions(holder=holder(), again=command_line(), lease_wait=lock_timeout)
    return screen.apply(planned.plan, session.completed(write(options)))
