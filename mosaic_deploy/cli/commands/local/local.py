"""`mosaic-deploy local`."""

from __future__ import annotations

from typing import Any

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.commands.local.data import backup, prune, reset, restore
from mosaic_deploy.cli.commands.local.logs import logs
from mosaic_deploy.cli.lazy_groups import Group
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.embedded import announce_start, read_inbox, running_url
from mosaic_deploy.cli.target.platform_process import SERVE_COMMAND, run_platform_command
from mosaic_deploy.cli.terminal.browser import open_in_browser
from mosaic_deploy.errors import PlatformAlreadyRunning

_SETTING_VARIABLES = {
    "smtp": "MOSAIC_SMTP_URL",
    "storage": "MOSAIC_LOCAL_STORAGE",
    "emails": "MOSAIC_LOCAL_EMAILS",
}


@click.group(cls=Group)
def local() -> None:
    """Manage the embedded platform on this machine. It runs all of Mosaic without an account."""


class _StartCommand(click.Command):
    """`local start`. Points `--database-url` to `platform serve`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name == "--database-url":
                raise click.UsageError(_SERVER_HINT, ctx) from None
            raise


_SERVER_HINT = (
    "`local start` brings its own PostgreSQL. To run the platform on your own PostgreSQL server:\n\n"
    f"  {SERVE_COMMAND}\n\nSee docs/self-hosting.md."
)


@local.command(cls=_StartCommand)
@click.option(
    "--port",
    type=options.NumberRange(click.IntRange(1, 65535)),
    metavar="N",
    help="Port to listen on (default: the last one used, or 8787).",
)
@click.option(
    "--smtp",
    metavar="URL",
    help="Send emails through this server instead of the local inbox (also: MOSAIC_SMTP_URL).",
)
@click.option(
    "--storage",
    metavar="SIZE",
    help="Storage per project (default: 20GB, as in the free tier; also: MOSAIC_LOCAL_STORAGE).",
)
@click.option(
    "--emails",
    metavar="N",
    help="Magic-link emails per project and day (default: the free tier's 10; also: MOSAIC_LOCAL_EMAILS).",
)
@options.output
@click.pass_obj
def start(screen: Screen, /, port: int | None, **settings: str | None) -> None:
    """Start the platform in the background. Does nothing if it is already running.

    The options apply until `local stop`. It brings its own PostgreSQL for Linux (glibc) and macOS; on other
    systems, use `platform serve` with your own PostgreSQL server.

    \b
    Examples:
      mosaic-deploy local start
      mosaic-deploy local start --port 9000
    """
    chosen = {_SETTING_VARIABLES[name]: value for name, value in settings.items() if value is not None}
    if running_url() is None:
        announce_start()
    document = run_platform_command("start", *(["--port", str(port)] if port else []), environment=chosen)
    if chosen and document["status"] == "running":
        names = " and ".join(f"--{name}" for name, value in settings.items() if value is not None)
        raise PlatformAlreadyRunning(
            f"the platform is already running, so {names} has no effect",
            hint="stop it first: `mosaic-deploy local stop`",
        )
    if port and document["port"] != port and document["status"] == "running":
        raise PlatformAlreadyRunning(
            f"the platform is already running on port {document['port']}, not {port}",
            hint="stop it first: `mosaic-deploy local stop`",
        )
    screen.platform(_without_key(document))


@local.command()
@options.output
@click.pass_obj
def stop(screen: Screen) -> None:
    """Stop the platform and its PostgreSQL. All data stays on disk.

    \b
    Example:
      mosaic-deploy local stop
    """
    screen.platform(run_platform_command("stop"))


@local.command()
@options.output
@click.pass_obj
def status(screen: Screen) -> None:
    """Show whether the platform is running. Also shows URL, versions, sizes and data folder.

    \b
    Example:
      mosaic-deploy local status
    """
    screen.platform(_without_key(run_platform_command("status")))


@local.command("open")
@options.output
@click.pass_obj
def open_dashboard(screen: Screen) -> None:
    """Open the dashboard in a browser. Also prints its link, which works once, in one browser, for 10 minutes.

    Starts the platform if it isn't running. Without a terminal or a browser, the link is only printed.

    \b
    Example:
      mosaic-deploy local open
    """
    document = run_platform_command("open")
    screen.link(document)
    if screen.format == "text":
        open_in_browser(str(document["url"]))


@local.command()
@click.option("--to", metavar="ADDRESS", help="Show only emails to this address.")
@click.option(
    "--limit",
    type=options.NumberRange(click.IntRange(min=1)),
    default=20,
    metavar="N",
    help="Show at most N (default: 20).",
)
@options.output
@click.pass_obj
def inbox(screen: Screen, to: str | None, limit: int) -> None:
    """Show the emails that the platform caught, newest first. Includes the links in them.

    \b
    Examples:
      mosaic-deploy local inbox
      mosaic-deploy local inbox --to ada@example.com --limit 1
    """
    emails = [each for each in read_inbox() if to is None or str(each["to"]).lower() == to.lower()][:limit]
    screen.inbox(emails)


@local.group(invoke_without_command=True)
@options.output
@click.pass_context
def key(context: click.Context) -> None:
    """Print the API key of the embedded platform. No other command prints it.

    \b
    Example:
      mosaic-deploy local key
    """
    if context.invoked_subcommand is None:
        context.obj.key(run_platform_command("key"))


@key.command()
@options.output
@click.pass_obj
def rotate(screen: Screen) -> None:
    """Create a new API key and print it. The previous one stays valid for 7 days.

    The platform also rotates it every 30 days. Starts the platform if it isn't running.

    \b
    Example:
      mosaic-deploy local key rotate
    """
    screen.key(run_platform_command("key", "--rotate"))


for _command in (logs, backup, restore, reset, prune):
    local.add_command(_command)


def _without_key(document: dict[str, Any]) -> dict[str, Any]:
    """`document` without the API key: terminal output ends up in logs and screenshots."""
    return {name: value for name, value in document.items() if name != "api_key"}
