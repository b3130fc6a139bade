"""`mosaic-deploy local`: the embedded platform on this machine."""

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
from mosaic_deploy.cli.terminal.consent import require_consent
from mosaic_deploy.errors import PlatformFailed, SourceUnreadable

_SETTING_VARIABLES = {
    "smtp": "MOSAIC_SMTP_URL",
    "storage": "MOSAIC_LOCAL_STORAGE",
    "emails": "MOSAIC_LOCAL_EMAILS",
}


@click.group(cls=Group)
def local() -> None:
    """Start, stop and look at the embedded platform: all of Mosaic on this machine."""


class _StartCommand(click.Command):
    """Knows what somebody means who wants it to run on a server of theirs."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name == "--database-url":
                raise click.UsageError(_SERVER_HINT, ctx) from None
            raise


_SERVER_HINT = (
    "`local start` brings its own PostgreSQL. On a server of yours, this serves the same platform:\n\n"
    f"  {SERVE_COMMAND}\n\ndocs/self-hosting.md has the rest."
)


@local.command(cls=_StartCommand)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="N",
    help="Listen here (default: the port of last time, or 8787).",
)
@click.option(
    "--smtp",
    metavar="URL",
    help="Send mails through this server instead of keeping them here (also: MOSAIC_SMTP_URL).",
)
@click.option(
    "--storage",
    metavar="SIZE",
    help="Storage of each project (default: the free tier's 20GB; also: MOSAIC_LOCAL_STORAGE).",
)
@click.option(
    "--emails",
    metavar="N",
    help="Sign-in mails a day of each project (default: the free tier's 10; also: MOSAIC_LOCAL_EMAILS).",
)
@options.output
@click.pass_obj
def start(screen: Screen, /, port: int | None, **settings: str | None) -> None:
    """Start the platform in the background; does nothing when it runs already.

    What is chosen holds until `local stop`. It brings its own PostgreSQL, for Linux with glibc and macOS. On other
    systems `platform serve` does, on a PostgreSQL of yours.
    """
    chosen = {_SETTING_VARIABLES[name]: value for name, value in settings.items() if value is not None}
    document = run_platform_command("start", *(["--port", str(port)] if port else []), environment=chosen)
    if chosen and document["status"] == "running":
        names = " and ".join(f"--{name}" for name, value in settings.items() if value is not None)
        raise PlatformFailed(
            f"the platform runs already, as it was started; {names} can't change that",
            hint="stop it first with `mosaic-deploy local stop`",
        )
    if port and document["port"] != port and document["status"] == "running":
        raise PlatformFailed(
            f"the platform runs on port {document['port']}, not {port}",
            hint="stop it first with `mosaic-deploy local stop`, or free the port",
        )
    screen.platform(_without_key(document))


@local.command()
@options.output
@click.pass_obj
def stop(screen: Screen) -> None:
    """Stop the platform and its PostgreSQL. Everything stays on disk."""
    screen.platform(run_platform_command("stop"))


@local.command()
@options.output
@click.pass_obj
def status(screen: Screen) -> None:
    """Show whether it runs, its URL, versions, sizes and data folder."""
    screen.platform(_without_key(run_platform_command("status")))


@local.command("open")
@options.output
@click.pass_obj
def open_dashboard(screen: Screen) -> None:
    """Print a link to the pages: projects, inbox, tickets, deploys, requests, API key.

    The link works once, for ten minutes, in one browser. Starts the platform where it doesn't run.
    """
    screen.link(run_platform_command("open"))


@local.command()
@click.option("--to", metavar="ADDRESS", help="Only mails to this address.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="The newest so many.",
)
@options.output
@click.pass_obj
def inbox(screen: Screen, to: str | None, limit: int) -> None:
    """Show the newest mails that the platform got instead of sending them, with the links in them."""
    mails = [each for each in read_inbox() if to is None or str(each["to"]).lower() == to.lower()][:limit]
    screen.inbox(mails)


@local.command()
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    metavar="N",
    help="Begin with so many of the last lines.",
)
@click.option("--raw", is_flag=True, help="The lines as they are in the file: one JSON object each.")
@click.pass_obj
def logs(screen: Screen, follow: bool, lines: int, raw: bool) -> None:
    """Show what the platform logged: requests with their ids and times, starts, errors."""
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
    """Print the API key of the local platform, for other programs. It is printed nowhere else."""
    if context.invoked_subcommand is None:
        context.obj.key(run_platform_command("key"))


@key.command()
@options.output
@click.pass_obj
def rotate(screen: Screen) -> None:
    """Make a new API key and print it. The current one is good for seven days more.

    The platform does this by itself every 30 days. Starts it where it doesn't run.
    """
    screen.key(run_platform_command("key", "--rotate"))


@local.command()
@click.argument("file", type=click.Path(dir_okay=False))
@options.output
@click.pass_obj
def backup(screen: Screen, file: str) -> None:
    """Write everything into FILE: databases, roles, files, mails, tickets and keys.

    A running platform stands still for it, for seconds, and goes on. FILE holds secrets; an existing one is left alone.
    """
    _refuse_stream(file)
    folder = Path(file).absolute().parent
    if not folder.is_dir():
        raise SourceUnreadable(
            f"{file} can't be written: there is no folder {folder}",
            hint=f"make it first: mkdir -p {shlex.quote(str(folder))}; or name a file elsewhere",
        )
    with screen.copy_progress("written") as on_progress:
        document = run_platform_command("backup", file, timeout=None, on_progress=on_progress)
    screen.platform(document)


@local.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--yes", "-y", is_flag=True, help="Delete what is there without asking.")
@options.output
@click.pass_obj
def restore(screen: Screen, file: str, yes: bool) -> None:
    """Put back what `local backup` wrote into FILE. Asks where that replaces something.

    FILE is checked to the last byte before anything is replaced.
    """
    _refuse_stream(file)
    replaces = run_platform_command("status")["api_key"] is not None
    if replaces:
        question = (
            f"Replace the local platform in {platform_home()} with {file}? All it holds now is deleted."
        )
        again = shlex.join(["mosaic-deploy", "local", "restore", file, "--yes"])
        require_consent(question, yes=yes, command=again, needs_person=True)
    with screen.copy_progress("read") as on_progress:
        more = ["--overwrite"] if replaces else []
        document = run_platform_command("restore", file, *more, timeout=None, on_progress=on_progress)
    screen.platform(document)


def _refuse_stream(file: str) -> None:
    """A backup is replaced whole or not at all, and read twice: neither can be done with a stream."""
    if file == "-":
        raise click.UsageError("name a file: a backup can't go through a pipe (a file called - is ./-)")


@local.command()
@click.argument("project", required=False)
@click.option("--yes", "-y", is_flag=True, help="Delete without asking.")
@options.output
@click.pass_obj
def reset(screen: Screen, project: str | None, yes: bool) -> None:
    """Delete everything on the local platform, or one PROJECT with its database and files."""
    what = f"project {project}" if project else "all projects, mails and keys of the local platform"
    again = shlex.join(["mosaic-deploy", "local", "reset", *([project] if project else []), "--yes"])
    require_consent(f"Delete {what}? This can't be undone.", yes=yes, command=again, needs_person=True)
    screen.platform(run_platform_command("reset", *(["--project", project] if project else [])))


def _without_key(document: dict[str, Any]) -> dict[str, Any]:
    """What goes to a terminal ends up in logs and screenshots; `local key` is asked for on purpose."""
    return {name: value for name, value in document.items() if name != "api_key"}
