"""`mosaic-deploy completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from mosaic_deploy.cli.render.screen import Screen


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a shell completion script. Save it to a file and source that in ~/.bashrc or ~/.zshrc.

    For fish, save it as mosaic-deploy.fish in ~/.config/fish/completions.

    \b
    Example:
      mosaic-deploy completion bash > ~/.mosaic-deploy-complete.bash
    """
    kind = get_completion_class(shell)
    assert kind is not None
    screen = ctx.find_object(Screen)
    assert screen is not None
    screen.text(kind(ctx.find_root().command, {}, "mosaic-deploy", "_MOSAIC_DEPLOY_COMPLETE").source())
