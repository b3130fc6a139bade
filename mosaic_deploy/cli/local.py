"""`mosaic-deploy local`: the embedded platform on this machine."""

from __future__ import annotations

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.consent import ask
from mosaic_deploy.cli.embedded import control
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.errors import PlatformFailed


@click.group()
def local() -> None:
    """Start, stop and look at the embedded platform: all of Mosaic on this machine."""


@local.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="N",
    help="Listen here (default: the port of last time, or 8787).",
)
@options.output
@click.pass_obj
def start(screen: Screen, port: int | None) -> None:
    """Start the platform in the background; does nothing when it runs already."""
    document = control("start", *(["--port", str(port)] if port else []))
    if port and document["port"] != port and document["status"] == "running":
        raise PlatformFailed(
            f"the platform runs on port {document['port']}, not {port}",
            hint="stop it first with `mosaic-deploy local stop`, or free the port",
        )
    screen.platform(document)


@local.command()
@options.output
@click.pass_obj
def stop(screen: Screen) -> None:
    """Stop the platform and its PostgreSQL. Everything stays on disk."""
    screen.platform(control("stop"))


@local.command()
@options.output
@click.pass_obj
def status(screen: Screen) -> None:
    """Show whether it runs, its URL, API key and data folder."""
    screen.platform(control("status"))


@local.command()
@click.argument("project", required=False)
@click.option("--yes", "-y", is_flag=True, help="Delete without asking.")
@options.output
@click.pass_obj
def reset(screen: Screen, project: str | None, yes: bool) -> None:
    """Delete everything on the local platform, or one PROJECT with its database and files."""
    what = f"project {project}" if project else "all projects, mails and keys of the local platform"
    again = f"mosaic-deploy local reset {project or ''}".strip()
    ask(f"Delete {what}? This can't be undone.", yes=yes, command=f"{again} --yes")
    screen.platform(control("reset", *(["--project", project] if project else [])))
