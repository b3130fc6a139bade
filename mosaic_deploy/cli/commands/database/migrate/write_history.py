"""Showing, asking, and writing: what the commands share that change the history."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.api_access import command_line
from mosaic_deploy.cli.target.identity import holder, local_processes
from mosaic_deploy.cli.target.session import Session
from mosaic_deploy.cli.terminal.consent import require_plan_consent

if TYPE_CHECKING:
    from mosaic_deploy.deploy import ApplyOptions, PreparedPlan
    from mosaic_deploy.model.event import Event


import re

F = TypeVar("F", bound=Callable[..., object])


def writing(command: F) -> F:
    """`--yes`, `--lock-timeout` and `--force-unlock`."""
    return click.option("--yes", "-y", is_flag=True, help="Don't ask. Needed where nobody can answer.")(
        options.lease(command)
    )


@dataclass(frozen=True, slots=True)
class LeaseOptions:
    """How another deploy's lease is treated, as the command line says."""

    wait: float
    force_unlock: bool

    def options(self) -> ApplyOptions:
        from mosaic_deploy.deploy import ApplyOptions

        return ApplyOptions(holder(), command_line(), self.wait, self.force_unlock, local_processes())


@dataclass(frozen=True, slots=True)
class ConsentOptions:
    """What was agreed to beforehand, and what is asked of a person; `nothing_to_do` is said where there is nothing to do."""

    yes: bool
    allow: tuple[str, ...] = ()
    question: str = "Write this to the database's history? No migration is run."
    destructive_question: str = "Go on all the same?"
    nothing_to_do: str = "Nothing to record: the history has it already."


def write_history(
    screen: Screen,
    session: Session,
    planned: PreparedPlan,
    name: str,
    consent: ConsentOptions,
    lease: LeaseOptions,
) -> int:
    """Shows the plan, asks, and writes the rows that it names; returns the exit code."""
    from mosaic_deploy.deploy.history.amend import apply_history_changes

    def write(options: ApplyOptions) -> Generator[Event, None, None]:
        return apply_history_changes(session.api, planned, options, name)

    return write_with_consent(screen, session, planned, write, consent, lease)


def write_with_consent(
    screen: Screen,
    session: Session,
    planned: PreparedPlan,
    write: Callable[[ApplyOptions], Generator[Event, None, None]],
    consent: ConsentOptions,
    lease: LeaseOptions,
) -> int:
    """Shows the plan, asks as apply does, and writes; returns the exit code.

    Raises PolicyDenied, DestructiveUnconfirmed, ConfirmationRequired, Declined.
    """
    plan = planned.plan
    if plan.empty:
        screen.nothing_to_do(plan, consent.nothing_to_do)
        return 0
    screen.plan(plan, final=False)
    require_plan_consent(
        plan,
        yes=consent.yes,
        allow=consent.allow,
        command=command_line(),
        question=consent.question,
        destructive_question=consent.destructive_question,
        needs_person=True,
    )
    return screen.apply(plan, session.complete_events(write(lease.options())))


_VERSION = re.compile(r"([0-9]{1,18})(?:[_-].*)?", re.DOTALL)
_UNIT = re.compile(r"([0-9]{1,18}):([1-9][0-9]{0,8})")


def parse_version(value: str) -> str:
    """A migration's number, with or without leading zeros; also the whole name of its file."""
    found = _VERSION.fullmatch(value)
    if not found:
        raise click.BadParameter(f"{value!r} is no version: it is the number a file's name begins with")
    return str(int(found.group(1)))


def parse_unit(value: str) -> tuple[str, int]:
    """`VERSION:PART`, the part counted from 1."""
    found = _UNIT.fullmatch(value)
    if not found:
        raise click.BadParameter(f"{value!r} is not VERSION:PART, such as 12:1")
    return str(int(found.group(1))), int(found.group(2))
