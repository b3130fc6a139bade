"""`mosaic-deploy local`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.commands.local.logs import follow_lines, read_last_lines
from mosaic_deploy.cli.lazy_groups import Group
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.embedded import SERVE_COMMAND, platform_home, read_inbox, run_platform_command
from mosaic_deploy.cli.terminal.consent import require_confirmation
from mosaic_deploy.errors import PlatformAlreadyRunning, WriteFailed

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
    type=click.IntRange(1, 65535),
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
    help="Sign-in mails a day of each project (default: the free tier's 10; also: MOSAIC_LOCAL_EMAILS).",
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
    """Print a link to the dashboard. The link works once, in one browser, for 10 minutes.

    Starts the platform if it isn't running.

    \b
    Example:
      mosaic-deploy local open
    """
    screen.link(run_platform_command("open"))


@local.command()
@click.option("--to", metavar="ADDRESS", help="Show only emails to this address.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="Show at most N.",
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
    mails = [each for each in read_inbox() if to is None or str(each["to"]).lower() == to.lower()][:limit]
    screen.inbox(mails)


@local.command()
@click.option("--follow", "-f", is_flag=True, help="Keep printing new lines until Ctrl-C.")
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    metavar="N",
    help="Start with the last N lines.",
)
@click.option("--raw", is_flag=True, help="Print the raw lines: one JSON object each.")
@click.pass_obj
def logs(screen: Screen, follow: bool, lines: int, raw: bool) -> None:
    """Show the platform's log: requests, starts and errors.

    \b
    Examples:
      mosaic-deploy local logs
      mosaic-deploy local logs --follow
    """
    log = platform_home() / "platform.log"
    for line in read_last_lines(log, lines):
        screen.log_line(line, raw=raw)
    if follow:
        for line in follow_lines(log):
            screen.log_line(line, raw=raw)


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


@local.command()
@click.argument("file", type=click.Path(dir_okay=False))
@options.output
@click.pass_obj
def backup(screen: Screen, file: str) -> None:
    """Back up the platform to FILE. Includes databases, roles, files, emails, tickets and keys.

    A running platform is paused for some seconds so the backup is consistent. FILE contains secrets; an existing
    file is not overwritten.

    \b
    Example:
      mosaic-deploy local backup mosaic-backup.tgz
    """
    _refuse_stream(file)
    folder = Path(file).absolute().parent
    if not folder.is_dir():
        raise WriteFailed(
            f"can't write {file}: there is no folder {folder}",
            hint=f"create it first: mkdir -p {shlex.quote(str(folder))}",
        )
    with screen.copy_progress("written") as on_progress:
        document = run_platform_command("backup", file, timeout=None, on_progress=on_progress)
    screen.platform(document)


@local.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--yes", "-y", is_flag=True, help="Replace the current data without asking.")
@options.output
@click.pass_obj
def restore(screen: Screen, file: str, yes: bool) -> None:
    """Restore a backup made by `local backup`. Asks before it replaces existing data.

    FILE is checked completely before anything is replaced.

    \b
    Example:
      mosaic-deploy local restore mosaic-backup.tgz
    """
    _refuse_stream(file)
    replaces = run_platform_command("status")["api_key"] is not None
    if replaces:
        question = f"Replace the embedded platform in {platform_home()} with {file}? All its current data is deleted."
        confirmed = shlex.join(["mosaic-deploy", "local", "restore", file, "--yes"])
        require_confirmation(question, yes=yes, command=confirmed, needs_person=True)
    with screen.copy_progress("read") as on_progress:
        overwrite = ["--overwrite"] if replaces else []
        document = run_platform_command("restore", file, *overwrite, timeout=None, on_progress=on_progress)
    screen.platform(document)


def _refuse_stream(file: str) -> None:
    """Raises UsageError for `-`: a backup is renamed into place when written, and read twice when restored."""
    if file == "-":
        raise click.UsageError(
            "a backup needs a file; it can't go through a pipe (for a file called - use ./-)"
        )


@local.command()
@click.argument("project", required=False)
@click.option("--yes", "-y", is_flag=True, help="Delete without asking.")
@options.output
@click.pass_obj
def reset(screen: Screen, project: str | None, yes: bool) -> None:
    """Delete all data on the platform, or one PROJECT. PROJECT is a project ID.

    \b
    Examples:
      mosaic-deploy local reset
      mosaic-deploy local reset --yes
    """
    what = f"project {project}" if project else "all projects, emails and keys of the embedded platform"
    confirmed = shlex.join(["mosaic-deploy", "local", "reset", *([project] if project else []), "--yes"])
    require_confirmation(
        f"Delete {what}? This can't be undone.", yes=yes, command=confirmed, needs_person=True
    )
    screen.platform(run_platform_command("reset", *(["--project", project] if project else [])))


def _without_key(document: dict[str, Any]) -> dict[str, Any]:
    """`document` without the API key: terminal output ends up in logs and screenshots."""
    return {name: value for name, value in document.items() if name != "api_key"}
