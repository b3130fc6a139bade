"""What the commands that change the migration history share: their options, and show, confirm, write."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.plan_retries import plan_when_lease_free, raise_if_overtaken, retry_when_overtaken
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.api_access import command_line
from mosaic_deploy.cli.target.commit import read_commit, uncommitted_files
from mosaic_deploy.cli.target.identity import holder, local_processes
from mosaic_deploy.cli.target.session import Session
from mosaic_deploy.cli.terminal.consent import (
    SettingsFiles,
    ask_about_effects,
    refuse_changed_plan,
    require_plan_confirmation,
)

if TYPE_CHECKING:
    from mosaic_deploy.deploy import ApplyOptions, PreparedPlan
    from mosaic_deploy.diff.gate import Consent
    from mosaic_deploy.model.event import Event
    from mosaic_deploy.model.manifest import Manifest
    from mosaic_deploy.model.plan import Plan

F = TypeVar("F", bound=Callable[..., object])


def write_options(command: F) -> F:
    """`--yes`, `--lock-timeout` and `--force-unlock`."""
    return click.option("--yes", "-y", is_flag=True, help="Don't ask. Required in CI.")(
        options.lease(command)
    )


@dataclass(frozen=True, slots=True)
class LeaseOptions:
    """`--lock-timeout` in seconds, and `--force-unlock`."""

    lock_timeout: float
    force_unlock: bool

    def apply_options(self, manifest: Manifest, consent: Consent) -> ApplyOptions:
        from mosaic_deploy.deploy import ApplyOptions

        return ApplyOptions(
            holder(),
            command_line(),
            self.lock_timeout,
            self.force_unlock,
            local_processes(),
            commit=read_commit(manifest.root),
            dirty=bool(uncommitted_files(manifest)),
            consent=consent,
        )


@dataclass(frozen=True, slots=True)
class ConsentOptions:
    """What was confirmed in advance, and the questions to ask; `nothing_to_do` returns the message for an empty plan."""

    yes: bool
    allow: tuple[str, ...] = ()
    question: str = "Write this to the migration history? No migration is run."
    destructive_question: str = "Continue anyway?"
    nothing_to_do: Callable[[Plan], str] = lambda _: "Nothing to record: the history is already up to date."


def write_history(
    screen: Screen,
    session: Session,
    make_plan: Callable[[], PreparedPlan],
    name: str,
    consent: ConsentOptions,
    lease: LeaseOptions,
) -> int:
    """Makes the plan, shows it, asks, and writes its history rows. Returns the exit code."""
    from mosaic_deploy.deploy.history.amend import apply_history_changes

    def write(planned: PreparedPlan, options: ApplyOptions) -> Generator[Event, None, None]:
        return apply_history_changes(session.api, planned, options, name)

    return write_with_consent(screen, session, make_plan, write, consent, lease)


def write_with_consent(
    screen: Screen,
    session: Session,
    make_plan: Callable[[], PreparedPlan],
    write: Callable[[PreparedPlan, ApplyOptions], Generator[Event, None, None]],
    consent: ConsentOptions,
    lease: LeaseOptions,
) -> int:
    """Makes the plan, shows it, asks as `apply` does, and writes. Returns the exit code.

    Raises PolicyDenied, DestructiveUnconfirmed, ConfirmationRequired, Declined, and PlanStale if something changed
    while the question was open.
    """

    def once(last: bool) -> int:
        return _write_once(screen, session, make_plan, write, consent, lease, last=last)

    return retry_when_overtaken(once, lease.lock_timeout)


def _write_once(
    screen: Screen,
    session: Session,
    make_plan: Callable[[], PreparedPlan],
    write: Callable[[PreparedPlan, ApplyOptions], Generator[Event, None, None]],
    consent: ConsentOptions,
    lease: LeaseOptions,
    *,
    last: bool,
) -> int:
    """As `write_with_consent`. Raises OvertakenByDeploy unless it is the `last` attempt."""
    from mosaic_deploy.diff.gate import Consent

    settings = SettingsFiles(session.manifest.file)
    planned = _plan_when_lease_free(screen, session, make_plan, lease)
    plan = planned.plan
    if plan.empty:
        screen.nothing_to_do(plan, consent.nothing_to_do(plan))
        return 0
    screen.plan(plan, final=False)
    asked = require_plan_confirmation(
        plan,
        planned.desired.manifest.policy,
        yes=consent.yes,
        allow=consent.allow,
        command=command_line(),
        question=consent.question,
        approval_question=consent.destructive_question,
        needs_person=True,
    )
    if asked:
        settings.refuse_changed()
        planned = _plan_when_lease_free(screen, session, make_plan, lease)
        refuse_changed_plan(plan, planned.plan)
    given = Consent("answer" if asked else "yes", frozenset(consent.allow))
    options = replace(
        lease.apply_options(session.manifest, given), ask=ask_about_effects(screen, asked=asked)
    )
    events = session.complete_events(write(planned, options))
    return screen.apply(planned.plan, raise_if_overtaken(events, last=last))


def _plan_when_lease_free(
    screen: Screen, session: Session, make_plan: Callable[[], PreparedPlan], lease: LeaseOptions
) -> PreparedPlan:
    from mosaic_deploy.live.ledger.lease import WaitPolicy

    wait_policy = WaitPolicy(lease.lock_timeout, lease.force_unlock, local_processes())
    planned = plan_when_lease_free(screen, session.api, make_plan, wait_policy, holder())
    return session.complete_texts(planned)


_STEP = re.compile(r"(.{1,300}):([1-9][0-9]{0,8})")


def parse_step(value: str) -> tuple[str, int]:
    """The version and the step, counted from 1, of `VERSION:STEP`."""
    found = _STEP.fullmatch(value)
    if not found:
        raise click.BadParameter(f"{value!r} isn't VERSION:STEP, such as 12:1")
    return found.group(1), int(found.group(2))
