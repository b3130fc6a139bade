"""`mosaic-deploy status`: what is live, who deployed last, and what is pending."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.errors import MigrationError
from mosaic_deploy.model.plan import Plan

if TYPE_CHECKING:
    from mosaic_deploy.live.snapshot import LiveState


@click.command()
@options.target_options
@options.output
@click.pass_obj
def status(screen: Screen, target_options: TargetOptions) -> None:
    """Show what is live: URL, migrations, files, storage, last deploy, and what is pending.

    PATH is a folder with a mosaic.yaml, or a manifest. Changes nothing.
    """
    session = target_options.open()
    from mosaic_deploy import deploy

    screen.address_notice(session.address_notice)
    with session, screen.hash_progress() as on_hashed:
        chosen = deploy.PlanOptions(on_hashed=on_hashed)
        desired, live = deploy.read_desired_and_live(session.api, session.manifest, session.target, chosen)
        pending: Plan | MigrationError
        try:
            pending = deploy.compare(session.api, desired, live).plan
        except MigrationError as error:
            session.complete_error(error)
            pending = error
    screen.status(_mark_ended_lease(live), pending)


def _mark_ended_lease(live: LiveState) -> LiveState:
    """`live`, its lease marked where this machine knows that the holder's process has ended."""
    from mosaic_deploy.cli.target.identity import has_ended

    lease, process = live.ledger_facts.get("lease"), live.ledger_facts.get("process")
    if not (isinstance(lease, dict) and isinstance(process, dict) and has_ended(process)):
        return live
    return replace(live, ledger_facts={**live.ledger_facts, "lease": {**lease, "ended": True}})
