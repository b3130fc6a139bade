"""`migrate baseline`: adopt a database that already has the schema."""

from __future__ import annotations

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.commands.database.migrate.write_history import (
    ConsentOptions,
    LeaseOptions,
    parse_version,
    write_history,
    writing,
)
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.model.other_tools import TOOLS


@click.command()
@click.argument("version", metavar="VERSION")
@options.target_options
@writing
@options.output
@click.pass_obj
def baseline(
    screen: Screen,
    version: str,
    target_options: TargetOptions,
    yes: bool,
    lock_timeout: float,
    force_unlock: bool,
) -> int:
    """Adopt a database that already has the schema: record files as applied, and run none of them.

    All migrations up to and including VERSION are recorded; later ones are pending.
    """
    wanted = parse_version(version)
    session = target_options.open()
    from mosaic_deploy.deploy.history.adopt import BASELINE, plan_baseline
    from mosaic_deploy.deploy.history.read import read_history_context

    with session:
        planned = plan_baseline(read_history_context(session.api, session.manifest, session.target), wanted)
        return write_history(
            screen, session, planned, BASELINE, ConsentOptions(yes), LeaseOptions(lock_timeout, force_unlock)
        )


@click.command("import")
@click.argument("tool", metavar="TOOL", type=click.Choice(list(TOOLS)))
@options.target_options
@click.option("--table", metavar="TABLE", help="The tool's history table, where it isn't the usual one.")
@writing
@options.output
@click.pass_obj
def import_history(
    screen: Screen,
    tool: str,
    target_options: TargetOptions,
    table: str | None,
    yes: bool,
    lock_timeout: float,
    force_unlock: bool,
) -> int:
    """Take over the history of another tool: record what it has applied, and run nothing again.

    TOOL is dbmate, golang-migrate, flyway, supabase, prisma or alembic. Its own table is only read.
    """
    session = target_options.open()
    from mosaic_deploy.deploy.history.adopt import IMPORT, plan_import
    from mosaic_deploy.deploy.history.read import read_history_context

    with session:
        known = read_history_context(session.api, session.manifest, session.target)
        planned = plan_import(session.api, known, TOOLS[tool], table)
        return write_history(
            screen, session, planned, IMPORT, ConsentOptions(yes), LeaseOptions(lock_timeout, force_unlock)
        )
