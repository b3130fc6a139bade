"""`mosaic-deploy status`: what is live, who deployed last, and what is pending."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import Meant
from mosaic_deploy.errors import MigrationError
from mosaic_deploy.model.plan import Plan

if TYPE_CHECKING:
    from mosaic_deploy.live.snapshot import Live


@click.command()
@options.meant
@options.output
@click.pass_obj
def status(screen: Screen, meant: Meant) -> None:
    """Show what is live: URL, migrations, files, storage, last deploy, and what is pending.

    PATH is a folder with a mosaic.yaml, or a manifest. Changes nothing.
    """
    session = meant.open()
    from mosaic_deploy import deploy

    screen.moved(session.moved)
    with session, screen.hashing() as hashed:
        chosen = deploy.PlanOptions(hashed=hashed)
        desired, live = deploy.read_both(session.api, session.manifest, session.target, chosen)
        pending: Plan | MigrationError
        try:
            pending = deploy.compare(session.api, desired, live).plan
        except MigrationError as error:
            session.complete(error)
            pending = error
    screen.status(_witnessed(live), pending)


def _witnessed(live: Live) -> Live:
    """`live`, its lease marked where this machine knows that the holder's process has ended."""
    from mosaic_deploy.cli.target.identity import ended

    lease, process = live.facts.get("lease"), live.facts.get("process")
    if not (isinstance(lease, dict) and isinstance(process, dict) and ended(process)):
        return live
    return replace(live, facts={**live.facts, "lease": {**lease, "ended": True}})
