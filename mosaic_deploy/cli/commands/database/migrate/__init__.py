"""`mosaic-deploy migrate`: the migrations folder and the database's history of it."""

from __future__ import annotations

import click

from mosaic_deploy.cli.lazy_groups import lazy_group

COMMANDS = {
    "new": "mosaic_deploy.cli.commands.database.migrate.new:new",
    "seal": "mosaic_deploy.cli.commands.database.migrate.new:commit_draft",
    "status": "mosaic_deploy.cli.commands.database.migrate.status:status",
    "repair": "mosaic_deploy.cli.commands.database.migrate.repair:repair",
    "rollback": "mosaic_deploy.cli.commands.database.migrate.rollback:rollback",
    "baseline": "mosaic_deploy.cli.commands.database.migrate.baseline:baseline",
    "import": "mosaic_deploy.cli.commands.database.migrate.baseline:import_history",
    "lint": "mosaic_deploy.cli.commands.database.migrate.lint:lint",
}
"""In the order of `--help`. Each is imported only when it is run."""


@click.group(cls=lazy_group(COMMANDS))
def migrate() -> None:
    """Make migrations, look at their history, and put it right."""
