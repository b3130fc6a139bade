"""`mosaic-deploy ci plan` and `ci apply`, for pipelines. They never ask a question."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import allow_option, options
from mosaic_deploy.cli.builds.step import When, build_option, ensure_built, when_wanted
from mosaic_deploy.cli.commands.ci.events import check_event, runs_trusted_code
from mosaic_deploy.cli.commands.ci.github import Github
from mosaic_deploy.cli.commands.ci.report import Report
from mosaic_deploy.cli.lazy_groups import Group
from mosaic_deploy.cli.render.build_report import ShownBuild
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.run_apply import DeployOptions, plan_and_apply
from mosaic_deploy.cli.saved_plan import PlanFlags, find_saved_plan, save_plan
from mosaic_deploy.cli.target.ancestry import commit_comparison
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.errors import KeyMissing, MosaicError
from mosaic_deploy.model.event import ApplyDone, ApplyFailed, ApplyStarted
from mosaic_deploy.source.manifest.find import find_manifest

if TYPE_CHECKING:
    from mosaic_deploy.model.event import Event
    from mosaic_deploy.model.plan import Plan


_allow_event = click.option(
    "--allow-event",
    multiple=True,
    metavar="EVENT",
    help="Run for another GitHub event, too. Anyone who can start it can then deploy.",
)


@click.group(cls=Group)
def ci() -> None:
    """Plan and apply in a pipeline. Reports to GitHub: comment, job summary, outputs, annotations."""


@ci.command()
@options.target_options
@options.out_of_order
@options.rehearse
@build_option
@click.option("--label", default="", help="Keep a separate pull request comment per label.")
@click.option("--out", metavar="FILE", help="Where to save the plan (default: in RUNNER_TEMP, if set).")
@options.detailed_exitcode
@_allow_event
@click.pass_obj
def plan(
    screen: Screen,
    target_options: TargetOptions,
    allow_out_of_order: bool,
    rehearse: bool | None,
    build_wanted: bool | None,
    label: str,
    out: str | None,
    detailed_exitcode: bool,
    allow_event: tuple[str, ...],
) -> int:
    """Plan, and update one comment on the pull request.

    PATH is a folder with a mosaic.yaml, or a manifest. Without an API key, as in pull requests from forks and
    Dependabot, it only validates. Outside GitHub it prints the plan.

    \b
    Example:
      mosaic-deploy ci plan --out plan.json
    """
    github = Github()
    check_event(github, "plan", allow_event)
    report = Report(github, _project_root(target_options.path), label)
    try:
        session = target_options.open()
    except KeyMissing as error:
        if not github.without_secrets:
            report.failed(error)
            raise
        _validate(screen, target_options.path, target_options.environment)
        report.without_key()
        return 0
    except MosaicError as error:
        report.failed(error)
        raise
    from mosaic_deploy.deploy import PlanOptions

    blocked: list[Plan] = []
    try:
        with session:
            when = when_wanted(build_wanted, _when_to_build(github, "plan"))
            if session.manifest.build or when is When.ALWAYS:
                with github.group("Build"):
                    ensure_built(session.manifest, when, ShownBuild(screen))
            with github.group("Plan"):
                planned = session.make_plan(
                    PlanOptions(
                        allow_out_of_order,
                        compare_commit=commit_comparison(session.manifest),
                        on_blocked=blocked.append,
                    )
                )
                planned = session.rehearse(planned, rehearse, always=True)
                saved = out or _default_plan_file(github)
                if saved:
                    save_plan(
                        saved,
                        session,
                        planned,
                        PlanFlags(
                            target_options.environment,
                            target_options.local,
                            target_options.project_id,
                            allow_out_of_order,
                            (),
                            (),
                        ),
                    )
                screen.plan(planned.plan, final=True)
                if saved:
                    command = f"mosaic-deploy ci apply {shlex.quote(saved)}"
                    screen.plan_saved(saved, "" if planned.plan.denials else command)
    except MosaicError as error:
        for rest in blocked:
            screen.plan(rest, final=False)
        report.failed(error, *blocked)
        raise
    report.planned(
        planned.plan, str(Path(saved).resolve()) if saved else None, needs_apply=planned.needs_apply
    )
    return 2 if detailed_exitcode and planned.needs_apply else 0


@ci.command()
@options.target_options
@options.out_of_order
@options.rehearse
@build_option
@allow_option.allow_in_ci
@options.lease
@_allow_event
@click.pass_obj
def apply(
    screen: Screen,
    target_options: TargetOptions,
    allow_out_of_order: bool,
    rehearse: bool | None,
    build_wanted: bool | None,
    allow: tuple[str, ...],
    lock_timeout: float,
    force_unlock: bool,
    allow_event: tuple[str, ...],
) -> int:
    """Apply without asking, and report the result.

    PATH is a folder with a mosaic.yaml, a manifest, or a plan saved by `ci plan`. What must be approved still needs
    --allow, and the manifest's policy still applies. A commit older than the live one is refused.

    \b
    Examples:
      mosaic-deploy ci apply
      mosaic-deploy ci apply plan.json
    """
    github = Github()
    check_event(github, "apply", allow_event)
    report = Report(github, _project_root(target_options.path))
    try:
        plan_flags = PlanFlags(
            target_options.environment,
            target_options.local,
            target_options.project_id,
            allow_out_of_order,
            (),
            (),
        )
        saved_plan = find_saved_plan(target_options.path, plan_flags)
        session = saved_plan.open(target_options.timeout) if saved_plan else target_options.open()
        from mosaic_deploy.deploy import PlanOptions

        deploy_options = DeployOptions(
            PlanOptions(allow_out_of_order),
            saved_plan,
            yes=True,
            yes_from="ci",
            allow=allow,
            refuse_older=True,
            lock_timeout=lock_timeout,
            force_unlock=force_unlock,
            rehearse=rehearse,
            build=when_wanted(
                build_wanted, _when_to_build(github, "apply", When.MISSING if saved_plan else When.NEEDED)
            ),
        )
        outcome = _ApplyOutcome()
        with session:
            plan, code = plan_and_apply(
                screen, session, deploy_options, heading=github.group, observe=outcome.observe
            )
    except MosaicError as error:
        report.failed(error)
        raise
    if outcome.last is None:
        report.planned(plan, None, needs_apply=False)
    else:
        report.applied(plan, outcome.last, outcome.deploy_id)
    return code


class _ApplyOutcome:
    """Passes an apply's events on and keeps what the report needs."""

    def __init__(self) -> None:
        self.last: ApplyDone | ApplyFailed | None = None
        self.deploy_id = ""

    def observe(self, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            match event:
                case ApplyStarted():
                    self.deploy_id = event.deploy_id
                case ApplyDone() | ApplyFailed():
                    self.last = event
            yield event


def _project_root(path: str) -> Path:
    """The project folder, or the current one if there is no manifest (that error is reported elsewhere)."""
    try:
        return find_manifest(Path(path)).parent
    except MosaicError:
        return Path()


def _when_to_build(github: Github, command: str, default: When = When.NEEDED) -> When:
    """Never for an event that only an option allows: it may run code of others, with the repository's secrets."""
    return default if runs_trusted_code(github, command) else When.NEVER


def _default_plan_file(github: Github) -> str | None:
    folder = github.environ.get("RUNNER_TEMP")
    return str(Path(folder) / "mosaic-plan.json") if folder else None


def _validate(screen: Screen, path: str, environment: str | None) -> None:
    """Does what `mosaic-deploy validate` does."""
    from mosaic_deploy.cli.commands.deploy.validate import check_project

    screen.validated(check_project(path, environment))
