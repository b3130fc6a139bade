"""`mosaic-deploy status`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.errors import MigrationError, NextAction
from mosaic_deploy.model.catalog import SchemaState
from mosaic_deploy.model.plan import Plan

if TYPE_CHECKING:
    from mosaic_deploy.live.snapshot import LiveState
    from mosaic_deploy.model.snapshot import Migration


@click.command()
@options.target_options
@options.detailed_exitcode
@options.output
@click.pass_obj
def status(screen: Screen, target_options: TargetOptions, detailed_exitcode: bool) -> int:
    """Show what is live and what is pending. Lists URL, migrations, files, storage and the last deploy.

    Exits with 1 if a migration contradicts the history or is applied in part.
    PATH is a folder with a mosaic.yaml, or a manifest.

    \b
    Examples:
      mosaic-deploy status
      mosaic-deploy status --env staging -o json
    """
    session = target_options.open("if_there")
    from mosaic_deploy import deploy
    from mosaic_deploy.cli.render.text.status import urls_left_out

    screen.address_notice(session.address_notice)
    with session, screen.hash_progress() as on_hashed:
        chosen = deploy.PlanOptions(on_hashed=on_hashed, unbuilt=True)
        desired, live = deploy.read_desired_and_live(session.api, session.manifest, session.target, chosen)
        begun = [migration for migration in live.snapshot.migrations or () if not migration.applied]
        pending: Plan | MigrationError | None = None
        needs_apply = False
        continuing = [_continue(migration) for migration in begun[:1]]
        actions: tuple[NextAction, ...] = (_MIGRATE_STATUS, *continuing) if begun else ()
        if urls_left_out(live):
            actions = (*actions, _STORAGE_ACTION)
        if live.schema and live.schema.state is SchemaState.DRIFTED:
            actions = (*actions, _DRIFT_ACTION)
        try:
            if session.manifest.file.is_file():
                planned = session.complete_texts(
                    deploy.compare(session.api, desired, live).with_run_notes(None)
                )
                pending, needs_apply = planned.plan, planned.needs_apply
                if not pending.empty:
                    # What a failed deploy left comes first.
                    actions = (*actions, _PLAN_ACTION) if begun else (_PLAN_ACTION, *actions)
                elif planned.checks_pending:
                    actions = (*actions, _CHECKS_ACTION)
        except MigrationError as error:
            session.complete_error(error)
            pending = error
            actions = tuple(action for action in actions if action not in continuing)
        screen.status(_mark_ended_lease(live), pending, session.scope_actions(actions))
    if begun or isinstance(pending, MigrationError):
        return 1
    return 2 if detailed_exitcode and needs_apply else 0


_MIGRATE_STATUS = NextAction(
    "see what is applied, what failed, and what else to do", "mosaic-deploy migrate status"
)
"""For migrations that are applied in part."""
_PLAN_ACTION = NextAction("see what is pending", "mosaic-deploy plan")
_STORAGE_ACTION = NextAction("list all storage files", "mosaic-deploy storage ls")
_DRIFT_ACTION = NextAction("see how the schema drifted", "mosaic-deploy migrate drift")
_CHECKS_ACTION = NextAction("run the checks in verify", "mosaic-deploy apply")


def _continue(migration: Migration) -> NextAction:
    """How to go on with a migration that is applied in part."""
    what = "continue with the next step"
    if migration.unknown:
        what = "check whether the last step took effect, if possible"
    elif migration.step_begun < 0:
        what = f"retry step {-migration.step_begun}, once {migration.file} or the data is corrected"
    return NextAction(what, "mosaic-deploy apply")


def _mark_ended_lease(live: LiveState) -> LiveState:
    """`live`, with `ended` set in its lease if the holder was a process on this machine that has ended."""
    from mosaic_deploy.cli.target.identity import has_ended

    lease, process = live.ledger_facts.get("lease"), live.ledger_facts.get("process")
    if not (isinstance(lease, dict) and isinstance(process, dict) and has_ended(process)):
        return live
    return replace(live, ledger_facts={**live.ledger_facts, "lease": {**lease, "ended": True}})
