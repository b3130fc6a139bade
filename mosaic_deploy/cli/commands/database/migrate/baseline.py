"""`migrate baseline` and `migrate import`: start with a database that already has the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.commands.database.migrate.write_history import (
    ConsentOptions,
    LeaseOptions,
    write_history,
    write_options,
)
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.model.other_tools.tools import TOOLS

_allow_mismatch = click.option(
    "--allow-mismatch",
    is_flag=True,
    help="Record files although the database lacks what they create, or their content differs.",
)

if TYPE_CHECKING:
    from mosaic_deploy.deploy import PreparedPlan


@click.command()
@click.argument("version", metavar="VERSION")
@options.target_options
@_allow_mismatch
@write_options
@options.output
@click.pass_obj
def baseline(
    screen: Screen,
    version: str,
    target_options: TargetOptions,
    allow_mismatch: bool,
    yes: bool,
    lock_timeout: float,
    force_unlock: bool,
) -> int:
    """Record migrations as applied without running them. For a database that already has the schema.

    Records all migrations up to and including VERSION; later ones stay pending. Refuses files that create something
    that the database doesn't have: tables, columns, types, functions, indexes, constraints and others, by kind and name.

    \b
    Example:
      mosaic-deploy migrate baseline 0012
    """
    session = target_options.open()
    from mosaic_deploy.deploy.history.adopt import BASELINE, plan_baseline
    from mosaic_deploy.deploy.history.read import read_history_context

    def make_plan() -> PreparedPlan:
        known = read_history_context(session.api, session.manifest, session.target)
        return plan_baseline(session.api, known, version, allow_mismatch=allow_mismatch)

    with session:
        return write_history(
            screen,
            session,
            make_plan,
            BASELINE,
            ConsentOptions(yes),
            LeaseOptions(lock_timeout, force_unlock),
        )


@click.command("import")
@click.argument("tool", metavar="TOOL", type=click.Choice(list(TOOLS)))
@options.target_options
@click.option("--table", metavar="TABLE", help="The tool's history table, if it isn't the default one.")
@_allow_mismatch
@write_options
@options.output
@click.pass_obj
def import_history(
    screen: Screen,
    tool: str,
    target_options: TargetOptions,
    table: str | None,
    allow_mismatch: bool,
    yes: bool,
    lock_timeout: float,
    force_unlock: bool,
) -> int:
    """Import the history of another migration tool. Nothing is run, and the tool's own table is only read.

    Refuses files that differ from what the tool applied, or that create something that the database doesn't have.

    TOOL is dbmate, golang-migrate, flyway, supabase, prisma, drizzle, sqlx, goose, sql-migrate, node-pg-migrate,
    graphile-migrate, sqitch, liquibase, diesel, tern, rails, alembic or django.

    \b
    Example:
      mosaic-deploy migrate import flyway
    """
    session = target_options.open()
    from mosaic_deploy.deploy.history.adopt import IMPORT, plan_import
    from mosaic_deploy.deploy.history.read import read_history_context

    def make_plan() -> PreparedPlan:
        known = read_history_context(session.api, session.manifest, session.target)
        return plan_import(session.api, known, TOOLS[tool], table, allow_mismatch=allow_mismatch)

    with session:
        return write_history(
            screen, session, make_plan, IMPORT, ConsentOptions(yes), LeaseOptions(lock_timeout, force_unlock)
        )
