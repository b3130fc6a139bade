"""`mosaic-deploy credentials`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions

_FIELDS = ("database_url", "host", "port", "database", "user", "password")
_MASK = "********"


@click.command()
@click.option("--reveal", is_flag=True, help="Show the password instead of masking it.")
@options.target_options
@options.output
@click.pass_obj
def credentials(
    screen: Screen,
    reveal: bool,
    target_options: TargetOptions,
) -> None:
    """Show the database connection details. The password is masked unless you pass --reveal.

    \b
    Examples:
      mosaic-deploy credentials
      mosaic-deploy credentials --reveal
    """
    session = target_options.open("project_only")
    from mosaic_deploy.live.api.operations import read_credentials

    with session:
        project = folder_option.find_project(session)
        found = read_credentials(session.api.for_database(""), project.id)
    shown = found if reveal else _masked(found)
    document = {"type": "credentials", "project_id": project.id, "masked": not reveal, **shown}
    lines = [f"{name + ':':<14}{shown[name]}" for name in _FIELDS if shown.get(name) is not None]
    screen.result(document, lines if reveal else [*lines, "Use --reveal to show the password."])


def _masked(found: Mapping[str, Any]) -> dict[str, Any]:
    """The known fields, with the password masked also inside the URL."""
    password = str(found.get("password") or "")
    masked = {name: value for name, value in found.items() if name in _FIELDS}
    masked["password"] = _MASK
    if url := str(masked.get("database_url") or ""):
        masked["database_url"] = _masked_url(url, password)
    return masked


def _masked_url(url: str, password: str) -> str:
    scheme, mark, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    if not (mark and at):
        return _MASK
    name = user.partition(":")[0]
    masked = f"{scheme}://{name}:{_MASK}@{host}"
    return _MASK if password and password in masked else masked
