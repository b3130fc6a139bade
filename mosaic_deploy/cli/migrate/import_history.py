"""`migrate import`: take over another tool's history."""

from __future__ import annotations

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.meant import Meant
from mosaic_deploy.cli.migrate.writing import Consent, Lease, write_history, writing
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.model.foreign import TOOLS


@click.command("import")
@click.argument("tool", metavar="TOOL", type=click.Choice(list(TOOLS)))
@options.meant
@click.option("--table", metavar="TABLE", help="The tool's history table, where it isn't the usual one.")
@writing
@options.output
@click.pass_obj
def import_history(
    screen: Screen,
    tool: str,
    meant: Meant,
    table: str | None,
    yes: bool,
    lock_timeout: float,
    break_lease: bool,
) -> int:
    """Take over the history of another tool: record what it has applied, and run nothing again.

    TOOL is dbmate, golang-migrate, flyway, supabase, prisma or alembic. Its own table is only read.
    """
    session = meant.open()
    from mosaic_deploy.deploy.adopting import IMPORT, plan_import
    from mosaic_deploy.deploy.history import read_known

    with session:
        known = read_known(session.api, session.manifest, session.target)
        planned = plan_import(session.api, known, TOOLS[tool], table)
        return write_history(screen, session, planned, IMPORT, Consent(yes), Lease(lock_timeout, break_lease))
