"""`mosaic-deploy apply`: plan, consent, apply."""

from __future__ import annotations

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.consent import agree, interactive
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.session import command_line, holder, open_session


@click.command()
@options.manifest
@options.target
@options.history
@click.option(
    "--yes",
    "-y",
    "--auto-approve",
    is_flag=True,
    help="Apply without asking. Needed where nobody can answer.",
)
@options.allow
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@click.option(
    "--lock-timeout",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long for another deploy of the project to end.",
)
@click.option(
    "--parallelism",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    metavar="N",
    help="Upload so many files at the same time.",
)
@options.output
@click.pass_obj
def apply(
    screen: Screen,
    path: str,
    environment: str | None,
    local: bool,
    project_id: str | None,
    timeout: float,
    allow_out_of_order: bool,
    yes: bool,
    allow: tuple[str, ...],
    dry_run: bool,
    lock_timeout: float,
    parallelism: int,
) -> int:
    """Make the project what the manifest says: show the plan, ask, apply.

    PATH is a folder with a mosaic.yaml, or a manifest. Running it again goes on where a run was stopped;
    when nothing differs, nothing is done.
    """
    session = open_session(path, environment=environment, local=local, project_id=project_id, timeout=timeout)
    from mosaic_deploy import deploy

    with session:
        planned = deploy.plan(
            session.api, session.manifest, session.target, deploy.PlanOptions(allow_out_of_order)
        )
        last = (planned.plan.empty and not planned.unverified) or dry_run
        screen.plan(planned.plan, final=last)
        if last:
            return 0
        if not planned.plan.empty:
            agree(planned.plan, yes=yes, allow=allow, command=command_line())
        if local and interactive():
            _show_pages(screen)
        wanted = deploy.ApplyOptions(
            holder=holder(), again=command_line(), lease_wait=lock_timeout, parallelism=parallelism
        )
        return screen.apply(planned.plan, session.completed(deploy.apply(session.api, planned, wanted)))


def _show_pages(screen: Screen) -> None:
    """Only to a person: the link lets one browser in, and has no place in the log of a run that nobody watches."""
    from mosaic_deploy.cli.embedded import page_link

    if link := page_link():
        screen.pages(link)
