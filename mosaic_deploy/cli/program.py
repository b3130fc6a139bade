"""The program as click sees it: the table of commands, and nothing imported of any of them."""

from __future__ import annotations

import click

from mosaic_deploy.cli.lazy_groups import lazy_group
from mosaic_deploy.version import __version__

COMMANDS = {
    "init": "mosaic_deploy.cli.commands.start.init:init",
    "validate": "mosaic_deploy.cli.commands.deploy.validate:validate",
    "plan": "mosaic_deploy.cli.commands.deploy.plan:plan",
    "apply": "mosaic_deploy.cli.commands.deploy.apply:apply",
    "watch": "mosaic_deploy.cli.commands.deploy.watch:watch",
    "dev": "mosaic_deploy.cli.commands.deploy.watch:dev",
    "status": "mosaic_deploy.cli.commands.inspect.status:status",
    "migrate": "mosaic_deploy.cli.commands.database.migrate:migrate",
    "schema": "mosaic_deploy.cli.commands.inspect.explain:schema",
    "history": "mosaic_deploy.cli.commands.inspect.history:history",
    "login": "mosaic_deploy.cli.commands.start.login:login",
    "logout": "mosaic_deploy.cli.commands.start.login:logout",
    "ci": "mosaic_deploy.cli.commands.ci.ci:ci",
    "projects": "mosaic_deploy.cli.commands.start.projects:projects",
    "credentials": "mosaic_deploy.cli.commands.database.credentials:credentials",
    "sql": "mosaic_deploy.cli.commands.database.sql:sql",
    "storage": "mosaic_deploy.cli.commands.inspect.storage:storage",
    "auth": "mosaic_deploy.cli.commands.inspect.auth:auth",
    "open": "mosaic_deploy.cli.commands.inspect.open:open_site",
    "ticket": "mosaic_deploy.cli.commands.inspect.ticket:ticket",
    "doctor": "mosaic_deploy.cli.commands.start.doctor:doctor",
    "completion": "mosaic_deploy.cli.commands.start.completion:completion",
    "explain": "mosaic_deploy.cli.commands.inspect.explain:explain",
    "mcp": "mosaic_deploy.agent.command:mcp",
    "local": "mosaic_deploy.cli.commands.local.local:local",
    "platform": "mosaic_deploy.cli.commands.local.platform:platform",
}
"""In the order of `--help`. Each is imported only when it is run."""


@click.group(cls=lazy_group(COMMANDS), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mosaic-deploy", message="%(prog)s %(version)s")
def cli() -> None:
    """Deploy a project to Mosaic from one mosaic.yaml: database, static files, storage and sign-in.

    \b
    Try it without an account:   mosaic-deploy apply --local examples/todo
    With one:                    MOSAIC_API_KEY=mk_… mosaic-deploy apply
    """
