"""`mosaic-deploy migrate`: the migrations folder and the database's history of it."""

from __future__ import annotations

import click

from mosaic_deploy.cli.lazy import lazy_group

COMMANDS = {
    "new": "mosaic_deploy.cli.migrate.new:new",
    "seal": "mosaic_deploy.cli.migrate.seal:seal",
    "status": "mosaic_deploy.cli.migrate.status:status",
    "repair": "mosaic_deploy.cli.migrate.repair:repair",
    "rollback": "mosaic_deploy.cli.migrate.rollback:rollback",
    "baseline": "mosaic_deploy.cli.migrate.baseline:baseline",
    "import": "mosaic_deploy.cli.migrate.import_history:import_history",
    "lint": "mosaic_deploy.cli.migrate.lint:lint",
}
"""In the order of `--help`. Each is imported only when it is run."""


@click.group(cls=lazy_group(COMMANDS))
def migrate() -> None:
    """Make migrations, look at their history, and put it right."""
