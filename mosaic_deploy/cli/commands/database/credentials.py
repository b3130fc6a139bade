"""`mosaic-deploy credentials`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.commands.database.served_database import find_database, no_draft_option
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.errors import ResponseInvalid

_FIELDS = ("database_url", "host", "port", "database", "user", "password")
_MASK = "********"


@click.command()
@click.option("--reveal", is_flag=True, help="Show the password instead of masking it.")
@click.option("--url", is_flag=True, help="Print only the database URL, with the password, for programs.")
@no_draft_option
@options.target_options
@options.output
@click.pass_obj
def credentials(
    screen: Screen,
    reveal: bool,
    url: bool,
    no_draft: bool,
    target_options: TargetOptions,
) -> None:
    """Show the database connection details. The password is masked unless you pass --reveal or --url.

    \b
    Examples:
      mosaic-deploy credentials
      mosaic-deploy credentials --reveal
      DATABASE_URL=$(mosaic-deploy credentials --url) node server.js
    """
    session = target_options.open("project_only")
    from mosaic_deploy.live.api.operations import read_credentials

    with session:
        project = folder_option.find_project(session)
        database = find_database(screen, session, project, no_draft=no_draft)
        found = read_credentials(database.api, project.id)
    if url and screen.format == "text":
        if not found.get("database_url"):
            raise ResponseInvalid("the platform's credentials have no database URL")
        screen.text(str(found["database_url"]))
        return
    reveal = reveal or url
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


def split_password(url: str) -> tuple[str, str]:
    """The URL without its password, and the password; two empty texts for what isn't a URL with a user."""
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if not (mark and at):
        return "", ""
    name, _, password = user.partition(":")
    return f"{scheme}://{name}@{host}{slash}{path}", unquote(password)


def _masked_url(url: str, password: str) -> str:
    scheme, mark, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    if not (mark and at):
        return _MASK
    name = user.partition(":")[0]
    masked = f"{scheme}://{name}:{_MASK}@{host}"
    return _MASK if password and password in masked else masked
