"""`migrate baseline`: adopt a database that already has the schema."""

from __future__ import annotations

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.migrate.parameters import version as read_version
from mosaic_deploy.cli.migrate.writing import Consent, Lease, write_history, writing
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.session import open_session


@click.command()
@click.argument("version", metavar="VERSION")
@options.manifest
@options.target
@writing
@options.output
@click.pass_obj
def baseline(
    screen: Screen,
    version: str,
    path: str,
    environment: str | None,
    local: bool,
    project_id: str | None,
    timeout: float,
    yes: bool,
    lock_timeout: float,
    break_lease: bool,
) -> int:
    """Adopt a database that already has the schema: record files as applied, and run none of them.

    All migrations up to and including VERSION are recorded; later ones are pending.
    """
    wanted = read_version(version)
    session = open_session(path, environment=environment, local=local, project_id=project_id, timeout=timeout)
    from mosaic_deploy.deploy.adopting import BASELINE, plan_baseline
    from mosaic_deploy.deploy.history import read_known

    with session:
        planned = plan_baseline(read_known(session.api, session.manifest, session.target), wanted)
        return write_history(
            screen, session, planned, BASELINE, Consent(yes), Lease(lock_timeout, break_lease)
        )
