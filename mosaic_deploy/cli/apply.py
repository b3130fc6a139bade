"""`mosaic-deploy apply`: plan, consent, apply."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.consent import agree
from mosaic_deploy.cli.holder import gone, holder
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.saved_plan import Given, find_reviewed
from mosaic_deploy.cli.session import command_line, open_session
from mosaic_deploy.cli.turns import in_turn, settled, unless_overtaken

if TYPE_CHECKING:
    from mosaic_deploy.diff.selection import Selector


@click.command()
@options.manifest
@options.target
@options.history
@options.selection
@click.option(
    "--yes",
    "-y",
    "--auto-approve",
    is_flag=True,
    help="Apply without asking. Needed where nobody can answer.",
)
@options.allow
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@options.lease
@options.parallelism
@options.verify
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
    only: tuple[Selector, ...],
    excluded: tuple[Selector, ...],
    yes: bool,
    allow: tuple[str, ...],
    dry_run: bool,
    lock_timeout: float,
    break_lease: bool,
    parallelism: int,
    verify: bool,
) -> int:
    """Make the project what the manifest says: show the plan, ask, apply.

    PATH is a folder with a mosaic.yaml, a manifest, or a plan that was saved with `plan --out`. A saved plan
    is applied exactly as it was reviewed, without asking again, and refused where anything has moved since.
    Running it again goes on where a run was stopped; when nothing differs, nothing is done.
    """
    taken, left = (tuple(selector.text for selector in each) for each in (only, excluded))
    reviewed = find_reviewed(
        path, Given(environment, local, project_id, allow_out_of_order, taken, left, verify)
    )
    session = (
        reviewed.open(timeout)
        if reviewed
        else open_session(path, environment=environment, local=local, project_id=project_id, timeout=timeout)
    )
    from mosaic_deploy import deploy
    from mosaic_deploy.diff.selection import Selection
    from mosaic_deploy.live.lease import Patience

    patience = Patience(lock_timeout, break_lease, gone)

    def once(last: bool) -> int:
        def plan() -> deploy.Planned:
            with screen.checking(wanted=reviewed.verifies if reviewed else verify) as heard:
                chosen = deploy.PlanOptions(allow_out_of_order, Selection(only, excluded))
                options = replace(
                    reviewed.options() if reviewed else chosen, verify=heard, parallelism=parallelism
                )
                return deploy.plan(session.api, session.manifest, session.target, options)

        planned = plan() if dry_run else settled(screen, session.api, plan, patience)
        done = reviewed is not None and not reviewed.refuse_moved(planned)
        final = done or dry_run or not planned.due
        screen.plan(planned.plan, final=final)
        if final:
            return 0
        if not planned.plan.empty:
            agree(planned.plan, yes=yes or reviewed is not None, allow=allow, command=command_line())
        wanted = deploy.ApplyOptions(
            holder=holder(),
            again=reviewed.again if reviewed else command_line(),
            lease_wait=lock_timeout,
            break_lease=break_lease,
            gone=gone,
            parallelism=parallelism,
        )
        events = session.completed(deploy.apply(session.api, planned, wanted))
        # Of a plan that was reviewed there is no other.
        return screen.apply(planned.plan, unless_overtaken(events, last=last or reviewed is not None))

    with session:
        return in_turn(once)
