"""Showing, asking, and writing: what the commands share that change the history."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.api_access import command_line
from mosaic_deploy.cli.target.identity import holder, witness
from mosaic_deploy.cli.target.session import Session
from mosaic_deploy.cli.terminal.consent import agree

if TYPE_CHECKING:
    from mosaic_deploy.deploy import ApplyOptions, Planned
    from mosaic_deploy.model.event import Event


import re

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
    from mosaic_deploy.deploy.history.amend import amend

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


_VERSION = re.compile(r"([0-9]{1,18})(?:[_-].*)?", re.DOTALL)
_PART = re.compile(r"([0-9]{1,18}):([1-9][0-9]{0,8})")


def version(value: str) -> str:
    """A migration's number, with or without leading zeros; also the whole name of its file."""
    found = _VERSION.fullmatch(value)
    if not found:
        raise click.BadParameter(f"{value!r} is no version: it is the number a file's name begins with")
    return str(int(found.group(1)))


def part(value: str) -> tuple[str, int]:
    """`VERSION:PART`, the part counted from 1."""
    found = _PART.fullmatch(value)
    if not found:
        raise click.BadParameter(f"{value!r} is not VERSION:PART, such as 12:1")
    return str(int(found.group(1))), int(found.group(2))
