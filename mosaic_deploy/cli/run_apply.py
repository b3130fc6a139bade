"""Plan, show, agree, apply: what `apply` and `ci apply` share, each in its turn among other deploys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mosaic_deploy.cli.plan_retries import in_turn, settled, unless_overtaken
from mosaic_deploy.cli.saved_plan import Reviewed, only_this
from mosaic_deploy.cli.target.api_access import command_line
from mosaic_deploy.cli.target.commit import commit_of
from mosaic_deploy.cli.target.identity import holder, witness
from mosaic_deploy.cli.target.session import Session
from mosaic_deploy.cli.terminal.consent import agree

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.deploy import Planned, PlanOptions
    from mosaic_deploy.model.event import Event
    from mosaic_deploy.model.plan import Plan

Observe = Callable[[Iterator["Event"]], Iterator["Event"]]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line says. Of a `reviewed` plan, `options` and `verify` are the plan's own."""

    options: PlanOptions
    reviewed: Reviewed | None = None
    verify: bool = False
    yes: bool = False
    allow: tuple[str, ...] = ()
    dry_run: bool = False
    lock_timeout: float = 60.0
    break_lease: bool = False
    question: str = "Apply these changes?"


def _unobserved(events: Iterator[Event]) -> Iterator[Event]:
    return events


def deploy_in_turn(
    screen: Screen,
    session: Session,
    wish: Wish,
    *,
    heading: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext(),
    observe: Observe = _unobserved,
) -> tuple[Plan, int]:
    """The plan that was applied, or had nothing to be applied, and the exit code.

    `heading` stands around planning and applying, `observe` sees an apply's events on their way to the screen.
    Raises MosaicError's children.
    """
    screen.moved(session.moved)
    last_plan: list[Plan] = []

    def once(last: bool) -> int:
        with heading("Plan"):
            planned, final = _planned(screen, session, wish)
            last_plan[:] = [planned.plan]
            if final and not wish.dry_run:
                traffic = session.api.traffic
                screen.nothing_to_apply(planned.plan, traffic.requests, traffic.bytes_sent)
            else:
                screen.plan(planned.plan, final=final)
        if final:
            return 0
        if not planned.plan.empty:
            agreed = wish.yes or wish.reviewed is not None
            agree(planned.plan, yes=agreed, allow=wish.allow, command=command_line(), question=wish.question)
        with heading("Apply"):
            # Of a plan that was reviewed there is no other.
            events = _events(session, planned, wish)
            events = unless_overtaken(events, last=last) if wish.reviewed is None else only_this(events)
            return screen.apply(planned.plan, observe(events))

    code = in_turn(once)
    return last_plan[0], code


def _planned(screen: Screen, session: Session, wish: Wish) -> tuple[Planned, bool]:
    """A plan made while nobody else writes, and whether it is all there is to say."""
    from mosaic_deploy import deploy
    from mosaic_deploy.live.ledger.lease import Patience

    reviewed = wish.reviewed

    def plan() -> Planned:
        verifies = reviewed.verifies if reviewed else wish.verify
        with screen.hashing() as hashed, screen.checking(wanted=verifies) as heard:
            options = reviewed.options() if reviewed else wish.options
            parallelism = wish.options.parallelism
            wanted = replace(options, verify=heard, parallelism=parallelism, hashed=hashed)
            return deploy.plan(session.api, session.manifest, session.target, wanted)

    patience = Patience(wish.lock_timeout, wish.break_lease, witness())
    planned = plan() if wish.dry_run else settled(screen, session.api, plan, patience, holder())
    done = reviewed is not None and not reviewed.refuse_moved(planned)
    return planned, done or wish.dry_run or not planned.due


def _events(session: Session, planned: Planned, wish: Wish) -> Iterator[Event]:
    from mosaic_deploy import deploy

    options = deploy.ApplyOptions(
        holder=holder(),
        again=wish.reviewed.again if wish.reviewed else command_line(),
        lease_wait=wish.lock_timeout,
        break_lease=wish.break_lease,
        witness=witness(),
        commit=commit_of(session.manifest.root),
        parallelism=wish.options.parallelism,
    )
    return session.completed(deploy.apply(session.api, planned, options))
