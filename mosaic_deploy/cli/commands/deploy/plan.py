"""`mosaic-deploy plan`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.builds.step import build_option, ensure_built, when_wanted
from mosaic_deploy.cli.render.build_report import ShownBuild
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.ancestry import commit_comparison
from mosaic_deploy.cli.target.target import TargetOptions

if TYPE_CHECKING:
    from mosaic_deploy.diff.selection import Selector


def _refuse_stdout(_ctx: click.Context, _: click.Parameter, value: str | None) -> str | None:
    if value in ("", "-"):
        raise click.BadParameter("needs a file name; use --output json to print the plan")
    return value


@click.command()
@options.target_options
@options.out_of_order
@options.selection
@options.rehearse
@build_option
@click.option(
    "--out",
    metavar="FILE",
    callback=_refuse_stdout,
    help="Save the plan. `apply FILE` applies exactly this plan, and fails if anything changed since.",
)
@options.detailed_exitcode
@options.parallelism
@options.compare_bytes
@options.output
@click.pass_obj
def plan(
    screen: Screen,
    target_options: TargetOptions,
    allow_out_of_order: bool,
    only: tuple[Selector, ...],
    excluded: tuple[Selector, ...],
    rehearse: bool | None,
    build_wanted: bool | None,
    out: str | None,
    detailed_exitcode: bool,
    parallelism: int,
    compare_bytes: bool,
) -> int:
    """Show what apply would change. Nothing is changed.

    PATH is a folder with a mosaic.yaml, or a manifest.

    \b
    Examples:
      mosaic-deploy plan
      mosaic-deploy plan --out plan.json && mosaic-deploy apply plan.json
    """
    if out:
        from mosaic_deploy.source.plan_file import refuse_overwriting

        refuse_overwriting(Path(out))
    session = target_options.open()
    from mosaic_deploy.deploy import PlanOptions
    from mosaic_deploy.diff.selection import Selection

    screen.target = session.target_text
    screen.address_notice(session.address_notice)
    with session:
        selection = Selection(only, excluded)
        if build_wanted or selection.takes_files:
            ensure_built(session.manifest, when_wanted(build_wanted), ShownBuild(screen))
        with (
            screen.hash_progress() as on_hashed,
            screen.compare_progress(wanted=compare_bytes) as on_progress,
        ):
            chosen = PlanOptions(
                allow_out_of_order,
                selection,
                on_progress,
                parallelism,
                on_hashed,
                compare_commit=commit_comparison(session.manifest),
                on_blocked=lambda rest: screen.plan(rest, final=False),
            )
            planned = session.rehearse(session.make_plan(chosen), rehearse)
            if out:
                from mosaic_deploy.cli.saved_plan import PlanFlags, save_plan

                only_texts, excluded_texts = (
                    tuple(selector.text for selector in each) for each in (only, excluded)
                )
                save_plan(
                    out,
                    session,
                    planned,
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
    screen.plan(planned.plan, final=True)
    if out:
        command = f"mosaic-deploy apply {shlex.quote(out)}"
        screen.plan_saved(out, "" if planned.plan.denials else command)
    return 2 if detailed_exitcode and planned.needs_apply else 0
