"""`mosaic-deploy apply`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import allow_option, options
from mosaic_deploy.cli.builds.step import When, build_option, when_wanted
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.run_apply import DeployOptions, plan_and_apply
from mosaic_deploy.cli.saved_plan import PlanFlags, find_saved_plan
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.cli.terminal.consent import is_interactive

if TYPE_CHECKING:
    from mosaic_deploy.diff.selection import Selector


@click.command()
@options.target_options
@options.out_of_order
@options.selection
@options.rehearse
@build_option
@click.option(
    "--yes",
    "-y",
    "--auto-approve",
    is_flag=True,
    help="Apply without asking. Required in CI.",
)
@allow_option.allow
@click.option("--dry-run", is_flag=True, help="Show the plan and exit.")
@options.lease
@options.parallelism
@options.compare_bytes
@options.output
@click.pass_obj
def apply(
    screen: Screen,
    target_options: TargetOptions,
    allow_out_of_order: bool,
    only: tuple[Selector, ...],
    excluded: tuple[Selector, ...],
    rehearse: bool | None,
    build_wanted: bool | None,
    yes: bool,
    allow: tuple[str, ...],
    dry_run: bool,
    lock_timeout: float,
    force_unlock: bool,
    parallelism: int,
    compare_bytes: bool,
) -> int:
    """Deploy the changes in the plan.

    Shows the plan and asks before it changes anything. PATH is a folder with a mosaic.yaml, a manifest, or a
    plan saved with `plan --out`. A saved plan is applied as reviewed, without asking unless it destroys data; it is
    refused if anything changed since. If a deploy was interrupted, run it again to resume.

    \b
    Examples:
      mosaic-deploy apply
      mosaic-deploy apply --local
      mosaic-deploy apply --env staging --yes
      mosaic-deploy apply plan.json
    """
    only_texts, excluded_texts = (tuple(selector.text for selector in each) for each in (only, excluded))
    saved_plan = find_saved_plan(
        target_options.path,
        PlanFlags(
            target_options.environment,
            target_options.local,
            target_options.project_id,
            allow_out_of_order,
            only_texts,
            excluded_texts,
            compare_bytes,
        ),
    )
    session = saved_plan.open(target_options.timeout) if saved_plan else target_options.open()
    from mosaic_deploy.deploy import PlanOptions
    from mosaic_deploy.diff.selection import Selection

    deploy_options = DeployOptions(
        PlanOptions(allow_out_of_order, Selection(only, excluded), parallelism=parallelism),
        saved_plan,
        compare_bytes=compare_bytes,
        yes=yes,
        allow=allow,
        dry_run=dry_run,
        lock_timeout=lock_timeout,
        force_unlock=force_unlock,
        rehearse=rehearse,
        # The files of a saved plan were reviewed; what was edited since isn't part of it.
        build=when_wanted(build_wanted, When.MISSING if saved_plan else When.NEEDED),
    )
    with session:
        _, code = plan_and_apply(screen, session, deploy_options)
        if session.local and code == 0 and is_interactive():
            _show_dashboard_link(screen)
        return code


def _show_dashboard_link(screen: Screen) -> None:
    """Only in a terminal: the link logs a browser in, so it must not end up in a log."""
    from mosaic_deploy.cli.target.embedded import dashboard_link

    if link := dashboard_link():
        screen.dashboard(link)
