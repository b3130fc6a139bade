"""Plan, show, confirm, apply: shared by `apply` and `ci apply`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mosaic_deploy.cli.builds.step import When, ensure_built
from mosaic_deploy.cli.plan_retries import plan_when_lease_free, raise_if_overtaken, retry_when_overtaken
from mosaic_deploy.cli.render.build_report import ShownBuild
from mosaic_deploy.cli.saved_plan import SavedPlan, without_retry
from mosaic_deploy.cli.target.ancestry import commit_comparison
from mosaic_deploy.cli.target.api_access import command_line
from mosaic_deploy.cli.target.commit import read_commit, uncommitted_files
from mosaic_deploy.cli.target.identity import holder, local_processes
from mosaic_deploy.cli.target.session import Session
from mosaic_deploy.cli.terminal.consent import (
    CHANGED_MEANWHILE,
    SettingsFiles,
    ask_about_effects,
    require_plan_confirmation,
)
from mosaic_deploy.diff.policy import refuse_denied

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.deploy import PlanOptions, PreparedPlan
    from mosaic_deploy.model.event import Event
    from mosaic_deploy.model.plan import Plan

EventObserver = Callable[[Iterator["Event"]], Iterator["Event"]]


@dataclass(frozen=True, slots=True)
class DeployOptions:
    """The options of the command line. A `saved_plan` brings its own `plan_options` and `compare_bytes`."""

    plan_options: PlanOptions
    saved_plan: SavedPlan | None = None
    compare_bytes: bool = False
    yes: bool = False
    yes_from: str = "yes"
    """What confirmed the plan if `yes`: the option, or `ci`; see Consent."""
    allow: tuple[str, ...] = ()
    dry_run: bool = False
    lock_timeout: float = 60.0
    force_unlock: bool = False
    rehearse: bool | None = None
    """The option; see `rehearse_plan`. A saved plan isn't rehearsed again: it is applied only if nothing has changed since."""
    build: When = When.NEEDED
    question: str = "Apply these changes?"
    superseded: Callable[[], bool] = lambda: False
    """Whether another deploy follows at once; see ApplyOptions."""
    refuse_older: bool = False
    """Refuse a commit that is older than the live one, or may be in a shallow clone, unless `allow` has `older-commit`."""


def _pass_through(events: Iterator[Event]) -> Iterator[Event]:
    return events


def plan_and_apply(
    screen: Screen,
    session: Session,
    deploy_options: DeployOptions,
    *,
    heading: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext(),
    observe: EventObserver = _pass_through,
) -> tuple[Plan, int]:
    """The last plan and the exit code.

    Builds first, if needed. `heading` wraps building, planning and applying; `observe` sees the apply's events on their way to the screen.
    Raises subclasses of MosaicError.
    """
    screen.target = session.target_text
    screen.address_notice(session.address_notice)
    takes_files = deploy_options.plan_options.selection.takes_files
    if deploy_options.build is When.ALWAYS or (session.manifest.build and takes_files):
        with heading("Build"):
            ensure_built(session.manifest, deploy_options.build, ShownBuild(screen))
    settings = SettingsFiles(session.manifest.file)
    last_plan: list[Plan] = []

    def once(last: bool) -> int:
        with heading("Plan"):
            planned, final = _make_plan(screen, session, deploy_options)
            planned = _rehearse(session, deploy_options, planned)
            last_plan[:] = [planned.plan]
            _show_plan(screen, session, deploy_options, planned, final=final)
        asked = False
        while not final and _ask(planned, deploy_options):
            asked = True
            settings.refuse_changed()
            shown = planned.plan
            planned, final = _make_plan(screen, session, deploy_options)
            as_shown = _with_rehearsal(planned, shown)
            if as_shown.plan.consent_digest == shown.consent_digest:
                planned = as_shown
                break
            planned = _rehearse(session, deploy_options, planned)
            last_plan[:] = [planned.plan]
            screen.print_notice([CHANGED_MEANWHILE])
            _show_plan(screen, session, deploy_options, planned, final=final)
        if final:
            if not deploy_options.dry_run:
                refuse_denied(planned.plan)
            return 0
        with heading("Apply"):
            # A reviewed plan is never replaced by a newer one.
            events = _apply_events(screen, session, planned, deploy_options, asked=asked)
            events = (
                raise_if_overtaken(events, last=last)
                if deploy_options.saved_plan is None
                else without_retry(events)
            )
            return screen.apply(planned.plan, observe(events))

    code = retry_when_overtaken(once, deploy_options.lock_timeout)
    return last_plan[0], code


def _show_plan(
    screen: Screen, session: Session, deploy_options: DeployOptions, planned: PreparedPlan, *, final: bool
) -> None:
    if final and not deploy_options.dry_run:
        traffic = session.api.traffic
        screen.nothing_to_apply(planned.plan, traffic.requests, traffic.bytes_sent)
    else:
        screen.plan(planned.plan, final=final)


def _ask(planned: PreparedPlan, deploy_options: DeployOptions) -> bool:
    """Whether a person was asked, and agreed. Raises if the plan may not be applied."""
    if deploy_options.refuse_older:
        from mosaic_deploy.diff.policy import refuse_older_commit

        refuse_older_commit(planned.plan, deploy_options.allow, command_line())
    return not planned.plan.empty and require_plan_confirmation(
        planned.plan,
        planned.desired.manifest.policy,
        yes=deploy_options.yes or deploy_options.saved_plan is not None,
        allow=deploy_options.allow,
        command=command_line(),
        question=deploy_options.question,
    )


def _make_plan(screen: Screen, session: Session, deploy_options: DeployOptions) -> tuple[PreparedPlan, bool]:
    """A plan made while no other deploy is running, and whether to stop after showing it."""
    from mosaic_deploy.live.ledger.lease import WaitPolicy

    saved_plan = deploy_options.saved_plan

    def plan() -> PreparedPlan:
        compare_bytes = saved_plan.compare_bytes if saved_plan else deploy_options.compare_bytes
        with (
            screen.hash_progress() as on_hashed,
            screen.compare_progress(wanted=compare_bytes) as on_progress,
        ):
            options = saved_plan.plan_options() if saved_plan else deploy_options.plan_options
            parallelism = deploy_options.plan_options.parallelism
            options = replace(
                options,
                compare_bytes=on_progress,
                parallelism=parallelism,
                on_hashed=on_hashed,
                compare_commit=commit_comparison(session.manifest),
                on_blocked=lambda rest: screen.plan(rest, final=False),
            )
            return session.make_plan(options)

    wait_policy = WaitPolicy(deploy_options.lock_timeout, deploy_options.force_unlock, local_processes())
    planned = (
        plan()
        if deploy_options.dry_run
        else plan_when_lease_free(screen, session.api, plan, wait_policy, holder())
    )
    already_applied = saved_plan is not None and not saved_plan.refuse_changed(planned)
    return planned, already_applied or deploy_options.dry_run or not planned.has_work


def _rehearse(session: Session, deploy_options: DeployOptions, planned: PreparedPlan) -> PreparedPlan:
    saved_plan = deploy_options.saved_plan
    return (
        saved_plan.with_rehearsal(planned)
        if saved_plan
        else session.rehearse(planned, deploy_options.rehearse)
    )


def _with_rehearsal(planned: PreparedPlan, shown: Plan) -> PreparedPlan:
    """With the rehearsal of the plan that was shown, if that was the same."""
    from mosaic_deploy.deploy.rehearsal import with_rehearsal

    same = shown.rehearsal and planned.plan.fingerprint == shown.fingerprint
    return with_rehearsal(planned, shown.rehearsal) if same else planned


def _apply_events(
    screen: Screen, session: Session, planned: PreparedPlan, deploy_options: DeployOptions, *, asked: bool
) -> Iterator[Event]:
    from mosaic_deploy import deploy
    from mosaic_deploy.diff.gate import Consent

    confirmed = "answer" if asked else "saved_plan" if deploy_options.saved_plan else deploy_options.yes_from

    options = deploy.ApplyOptions(
        holder=holder(),
        retry_command=deploy_options.saved_plan.plan_command if deploy_options.saved_plan else command_line(),
        apply_command=command_line(),
        lock_wait=deploy_options.lock_timeout,
        force_unlock=deploy_options.force_unlock,
        processes=local_processes(),
        commit=read_commit(session.manifest.root),
        dirty=bool(uncommitted_files(session.manifest)),
        consent=Consent("" if planned.plan.empty else confirmed, frozenset(deploy_options.allow)),
        parallelism=deploy_options.plan_options.parallelism,
        on_running=screen.still_running,
        superseded=deploy_options.superseded,
        # What was reviewed in a saved plan is never extended.
        ask=ask_about_effects(screen, asked=asked and deploy_options.saved_plan is None),
    )
    return session.complete_events(deploy.apply(session.api, planned, options))
