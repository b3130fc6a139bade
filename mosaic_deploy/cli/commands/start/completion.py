"""`mosaic-deploy completion bash`, `zsh` or `fish`: commands and options at the Tab key."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from mosaic_deploy.cli.render.screen import Screen


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash:  put it into a file, and source that in ~/.bashrc
    zsh:   put it into a file, and source that in ~/.zshrc
    fish:  put it into ~/.config/fish/completions/mosaic-deploy.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    screen = ctx.find_object(Screen)
    assert screen is not None
    screen.text(kind(ctx.find_root().command, {}, "mosaic-deploy", "_MOSAIC_DEPLOY_COMPLETE").source())
