"""Showing, asking, and writing: what the commands share that change the history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import click

from mosaic_deploy.cli.consent import ask
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.session import command_line, holder

if TYPE_CHECKING:
    from mosaic_deploy.deploy import ApplyOptions, Planned
    from mosaic_deploy.live.client import Api
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
    screen: Screen, api: Api, planned: Planned, name: str, *, yes: bool, lock_timeout: float
) -> int:
    """Shows the plan, asks, and writes the rows that it names; returns the exit code."""
    from mosaic_deploy.deploy.amending import amend

    question = "Write this to the database's history? No migration is run."

    def write(options: ApplyOptions) -> Iterator[Event]:
        return amend(api, planned, options, name)

    return consented(screen, planned, question, write, yes=yes, lock_timeout=lock_timeout)


def consented(
    screen: Screen,
    planned: Planned,
    question: str,
    write: Callable[[ApplyOptions], Iterator[Event]],
    *,
    yes: bool,
    lock_timeout: float,
) -> int:
    """Shows the plan, asks, and writes; returns the exit code."""
    from mosaic_deploy.deploy import ApplyOptions

    last = planned.plan.empty
    screen.plan(planned.plan, final=last)
    if last:
        return 0
    ask(question, yes=yes, command=f"{command_line()} --yes")
    options = ApplyOptions(holder=holder(), again=command_line(), lease_wait=lock_timeout)
    return screen.apply(planned.plan, write(options))
