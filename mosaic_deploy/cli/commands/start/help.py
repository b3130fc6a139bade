"""`mosaic-deploy help` and `mosaic-deploy version`: the words people try first, hidden from `--help`."""

from __future__ import annotations

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.version import __version__


@click.command("help")
@click.argument("command", nargs=-1)
@options.output
@click.pass_context
def show_help(ctx: click.Context, command: tuple[str, ...]) -> None:
    """Show help for a command.

    \b
    Example:
      mosaic-deploy help migrate commit
    """
    found = ctx.find_root()
    words = list(command)
    while words and isinstance(found.command, click.Group):
        name, chosen, words = found.command.resolve_command(found, words)
        assert chosen is not None
        found = click.Context(chosen, info_name=name, parent=found)
    text = found.command.get_help(found)
    ctx.obj.result({"type": "help", "command": found.command_path, "text": text}, [text])


@click.command("version")
@options.output
@click.pass_obj
def show_version(screen: Screen) -> None:
    """Show the version."""
    from mosaic_deploy.cli.render.json_documents import FORMAT

    document = {"type": "version", "mosaic_deploy": __version__, "format": FORMAT}
    screen.result(document, [f"mosaic-deploy {__version__}"])
