"""The root command and the table of its commands. Importing this imports none of them, so `--help` stays fast."""

from __future__ import annotations

import click

from mosaic_deploy.cli.lazy_groups import CommandEntry, lazy_group
from mosaic_deploy.version import __version__

_ROOM = "mosaic_deploy.cli.commands"
_START, _DEPLOY, _DATABASE = "Start", "Deploy", "Database"
_INSPECT, _LOCAL, _CI = "Inspect", "Local", "CI and agents"

COMMANDS = {
    "init": CommandEntry(f"{_ROOM}.start.init:init", "Create a mosaic.yaml for this folder", _START),
    "login": CommandEntry(f"{_ROOM}.start.login:login", "Save your API key on this machine", _START),
    "logout": CommandEntry(f"{_ROOM}.start.login:logout", "Delete the saved API key", _START),
    "projects": CommandEntry(f"{_ROOM}.start.projects:projects", "List and create projects", _START),
    "doctor": CommandEntry(f"{_ROOM}.start.doctor:doctor", "Check your setup and suggest fixes", _START),
    "completion": CommandEntry(
        f"{_ROOM}.start.completion:completion", "Print a shell completion script", _START
    ),
    "validate": CommandEntry(
        f"{_ROOM}.deploy.validate:validate", "Check the manifest, SQL and files offline", _DEPLOY
    ),
    "plan": CommandEntry(f"{_ROOM}.deploy.plan:plan", "Show what apply would change", _DEPLOY),
    "apply": CommandEntry(f"{_ROOM}.deploy.apply:apply", "Deploy the changes in the plan", _DEPLOY),
    "verify": CommandEntry(
        f"{_ROOM}.deploy.verify:verify", "Run the checks of the manifest against the live project", _DEPLOY
    ),
    "watch": CommandEntry(f"{_ROOM}.deploy.watch:watch", "Deploy every change on save", _DEPLOY),
    "dev": CommandEntry(
        f"{_ROOM}.deploy.watch:dev", "Run the project on this machine with live reload", _DEPLOY
    ),
    "migrate": CommandEntry(
        f"{_ROOM}.database.migrate:migrate", "Create, check and repair migrations", _DATABASE
    ),
    "sql": CommandEntry(f"{_ROOM}.database.sql:sql", "Run SQL in the project's database", _DATABASE),
    "psql": CommandEntry(f"{_ROOM}.database.psql:psql", "Open psql on the project's database", _DATABASE),
    "credentials": CommandEntry(
        f"{_ROOM}.database.credentials:credentials", "Show the database connection details", _DATABASE
    ),
    "status": CommandEntry(
        f"{_ROOM}.inspect.status:status", "Show what is live and what is pending", _INSPECT
    ),
    "history": CommandEntry(f"{_ROOM}.inspect.history:history", "Show the deployment history", _INSPECT),
    "open": CommandEntry(f"{_ROOM}.inspect.open:open_site", "Open the site in a browser", _INSPECT),
    "storage": CommandEntry(
        f"{_ROOM}.storage:storage", "List, upload, download and delete storage files", _INSPECT
    ),
    "auth": CommandEntry(f"{_ROOM}.inspect.auth:auth", "Send magic links", _INSPECT),
    "explain": CommandEntry(f"{_ROOM}.inspect.explain:explain", "Explain an error or lint code", _INSPECT),
    "schema": CommandEntry(f"{_ROOM}.inspect.explain:schema", "Print a JSON Schema", _INSPECT),
    "ticket": CommandEntry(f"{_ROOM}.inspect.ticket:ticket", "Send a support ticket", _INSPECT),
    "local": CommandEntry(
        f"{_ROOM}.local.local:local", "Manage the embedded platform on this machine", _LOCAL
    ),
    "platform": CommandEntry(f"{_ROOM}.local.platform:platform", "Self-host the platform", _LOCAL),
    "ci": CommandEntry(f"{_ROOM}.ci.ci:ci", "Plan and apply in a pipeline", _CI),
    "mcp": CommandEntry("mosaic_deploy.agent.command:mcp", "Serve tools to AI agents over MCP", _CI),
    "help": CommandEntry(f"{_ROOM}.start.help:show_help", "Show help for a command", hidden=True),
    "version": CommandEntry(f"{_ROOM}.start.help:show_version", "Show the version", hidden=True),
}
"""In the order of `--help`."""

_NO_DESTROY = (
    "Projects can't be deleted from here. To remove deployed files, delete them in your project and run: "
    "mosaic-deploy apply. To empty the embedded platform: mosaic-deploy local reset"
)

SYNONYMS = {
    **dict.fromkeys(("deploy", "up", "push"), "apply"),
    **dict.fromkeys(("diff", "preview"), "plan"),
    "check": "validate",
    **dict.fromkeys(("test", "smoke"), "verify"),
    "lint": "migrate lint",
    **dict.fromkeys(("rollback", "down", "undo"), "migrate rollback"),
    **dict.fromkeys(("new", "create"), "init"),
    **dict.fromkeys(("run", "serve"), "dev"),
    "start": "local start",
    "logs": "local logs",
}
"""What other tools call our commands."""


@click.group(
    cls=lazy_group(
        COMMANDS, synonyms=SYNONYMS, explanations=dict.fromkeys(("destroy", "delete"), _NO_DESTROY)
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="mosaic-deploy", message="%(prog)s %(version)s")
def cli() -> None:
    """Deploy a project to Mosaic from one mosaic.yaml: database, static files, storage and sign-in.

    \b
      mosaic-deploy init             create a mosaic.yaml
      mosaic-deploy dev              run it on this machine, without an account
      mosaic-deploy apply            deploy it to your account
    """
