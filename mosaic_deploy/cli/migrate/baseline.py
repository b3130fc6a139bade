"""`migrate baseline`: adopt a database that already has the schema."""

from __future__ import annotations

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.meant import Meant
from mosaic_deploy.cli.migrate.parameters import version as read_version
from mosaic_deploy.cli.migrate.writing import Consent, Lease, write_history, writing
from mosaic_deploy.cli.render.screen import Screen


@click.command()
@click.argument("version", metavar="VERSION")
@options.meant
@writing
@options.output
@click.pass_obj
def baseline(
    screen: Screen,
    version: str,
    meant: Meant,
    yes: bool,
    lock_timeout: float,
    break_lease: bool,
) -> int:
    """Adopt a database that already has the schema: record files as applied, and run none of them.

    All migrations up to and including VERSION are recorded; later ones are pending.
    """
    wanted = read_version(version)
    session = meant.open()
    from mosaic_deploy.deploy.adopting import BASELINE, plan_baseline
    from mosaic_deploy.deploy.history import read_known

    with session:
        planned = plan_baseline(read_known(session.api, session.manifest, session.target), wanted)
        return write_history(
            screen, session, planned, BASELINE, Consent(yes), Lease(lock_timeout, break_lease)
        )
