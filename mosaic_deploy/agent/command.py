"""`mosaic-deploy mcp`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click

from mosaic_deploy.cli.options import NumberRange
from mosaic_deploy.errors import PackageMissing


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
    help="Serve http://127.0.0.1:PORT/mcp instead of stdio.",
)
def mcp(root: Path, port: int | None) -> None:
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

    serve(root.resolve(), port)
