"""Showing, asking, and writing: what the commands share that change the history."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.api_access import command_line
from mosaic_deploy.cli.consent import agree
from mosaic_deploy.cli.holder import holder, witness
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.session import Session

if TYPE_CHECKING:
    from mosaic_deploy.deploy import ApplyOptions, Planned
    from mosaic_deploy.model.event import Event

F = TypeVar("F", bound=Callable[..., object])


def writing(command: F) -> F:
    """`--yes`, `--lock-timeout` and `--break-lease`."""
    return click.option("--yes", "-y", is_flag=True, help="Don't ask. Needed where nobody can answer.")(
        options.lease(command)
    )


@dataclass(frozen=True, slots=True)
class Lease:
    """How another deploy's lease is treated, as the command line says."""

    wait: float
    breaks: bool

    def options(self) -> ApplyOptions:
        from mosaic_deploy.deploy import ApplyOptions

        return ApplyOptions(holder(), command_line(), self.wait, self.breaks, witness())


@dataclass(frozen=True, slots=True)
class Consent:
    """What was agreed to beforehand, and what is asked of a person; `idle` is said where there is nothing to do."""

    yes: bool
    allow: tuple[str, ...] = ()
    question: str = "Write this to the database's history? No migration is run."
    anyhow: str = "Go on all the same?"
    idle: str = "Nothing to record: the history has it already."


def write_history(
    screen: Screen, session: Session, planned: Planned, name: str, consent: Consent, lease: Lease
) -> int:
    """Shows the plan, asks, and writes the rows that it names; returns the exit code."""
    from mosaic_deploy.deploy.amending import amend

    def write(options: ApplyOptions) -> Generator[Event, None, None]:
        return amend(session.api, planned, options, name)

    return consented(screen, session, planned, write, consent, lease)


def consented(
    screen: Screen,
    session: Session,
    planned: Planned,
    write: Callable[[ApplyOptions], Generator[Event, None, None]],
    consent: Consent,
    lease: Lease,
) -> int:
    """Shows the plan, asks as apply does, and writes; returns the exit code.

    Raises PolicyDenied, DestructiveUnconfirmed, ConsentMissing, Declined.
    """
    plan = planned.plan
    if plan.empty:
        screen.idle(plan, consent.idle)
        return 0
    screen.plan(plan, final=False)
    agree(
        plan,
        yes=consent.yes,
        allow=consent.allow,
        command=command_line(),
        question=consent.question,
        anyhow=consent.anyhow,
        needs_person=True,
    )
    return screen.apply(plan, session.completed(write(lease.options())))
