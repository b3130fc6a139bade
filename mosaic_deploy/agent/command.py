"""`mosaic-deploy mcp`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click

from mosaic_deploy.cli.options import NumberRange
from mosaic_deploy.errors import PackageMissing
from mosaic_deploy.model.approval import DESTRUCTIVE, OVERWRITE, PRUNE


@click.command()
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="Folder that agents work in; they can't read manifests outside it (default: .).",
)
@click.option(
    "--http",
    "port",
    type=NumberRange(click.IntRange(1, 65535)),
    metavar="PORT",
    help="Serve http://127.0.0.1:PORT/mcp instead of stdio. Clients need the token that is printed, or MOSAIC_MCP_TOKEN.",
)
@click.option(
    "--allow",
    multiple=True,
    type=click.Choice([DESTRUCTIVE, PRUNE, OVERWRITE]),
    help="Let agents do this without a person: SQL that destroys data (destructive), deleting live files (prune), "
    "replacing live files (overwrite). Files that this project didn't deploy always need a person. Repeatable.",
)
@click.option(
    "--build",
    is_flag=True,
    help="Let plan and apply run build.command. Everyone who can edit mosaic.yaml can then run programs on this machine.",
)
def mcp(root: Path, port: int | None, allow: tuple[str, ...], build: bool) -> None:
    """Serve tools to AI agents over MCP.

    MCP is the Model Context Protocol. Agents can plan, apply, and read status and data.

    \b
    In the agent's configuration:
      {"command": "mosaic-deploy", "args": ["mcp", "--root", "/path/to/project"]}
    """
    if importlib.util.find_spec("mcp") is None:
        from mosaic_deploy.installed import install_command

        raise PackageMissing("the mcp package isn't installed", hint=install_command("mcp"))
    from mosaic_deploy.agent.server import serve

    serve(root.resolve(), port, frozenset(allow), build=build)
