"""`mosaic-deploy plan`: what an apply would do."""

from __future__ import annotations

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.session import open_session


@click.command()
@options.manifest
@options.target
@options.history
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 0 for no changes, 1 for an error, 2 for changes."
)
@options.parallelism
@options.verify
@options.output
@click.pass_obj
def plan(
    screen: Screen,
    path: str,
    environment: str | None,
    local: bool,
    project_id: str | None,
    timeout: float,
    allow_out_of_order: bool,
    detailed_exitcode: bool,
    parallelism: int,
    verify: bool,
) -> int:
    """Show what apply would add, change and destroy, and why. Changes nothing.

    PATH is a folder with a mosaic.yaml, or a manifest.
    """
    session = open_session(path, environment=environment, local=local, project_id=project_id, timeout=timeout)
    from mosaic_deploy import deploy

    with session, screen.checking(wanted=verify) as heard:
        chosen = deploy.PlanOptions(allow_out_of_order, heard, parallelism)
        planned = deploy.plan(session.api, session.manifest, session.target, chosen)
    screen.plan(planned.plan, final=True)
    return 2 if detailed_exitcode and not planned.plan.empty else 0
