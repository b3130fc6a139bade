"""`mosaic-deploy psql`: replaces itself by psql, connected to the project's database."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import folder_option
from mosaic_deploy.cli.commands.database.credentials import split_password
from mosaic_deploy.cli.commands.database.served_database import find_database, no_draft_option
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.errors import MosaicError, NextAction, ProgramMissing, ResponseInvalid

if TYPE_CHECKING:
    from typing import NoReturn

_OTHER_SERVERS = ("PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE")
"""Variables with which psql would connect to another server than the URL's."""


@dataclass(frozen=True, slots=True)
class _Psql:
    """The program, and the variables that it needs."""

    program: str
    environment: Mapping[str, str] = field(default_factory=dict)


@click.command(cls=folder_option.FolderCommand)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PSQL_ARGUMENTS...]")
@no_draft_option
@folder_option.target_options
@click.pass_obj
def psql(screen: Screen, arguments: tuple[str, ...], no_draft: bool, target_options: TargetOptions) -> None:
    """Open psql on the project's database. The password isn't visible in the list of processes.

    What you do there isn't reviewed: neither the manifest's policy nor any question stands in its way.
    Without an own psql the one of the embedded platform is used.

    \b
    Examples:
      mosaic-deploy psql
      mosaic-deploy psql --local -- -c '\\d todos'
    """
    if arguments and not arguments[0].startswith("-"):
        # psql would take it for the name of another database, or of a user.
        raise click.UsageError(
            f"{arguments[0]!r} isn't an option of psql; to name the project's folder: --in"
        )
    found = _find_psql()
    session = target_options.open("project_only")
    from mosaic_deploy.live.api.operations import read_credentials

    with session:
        project = folder_option.find_project(session)
        database = find_database(screen, session, project, no_draft=no_draft)
        credentials = read_credentials(database.api, project.id)
    url, password = split_password(str(credentials.get("database_url") or ""))
    if not url:
        raise ResponseInvalid("the platform's credentials have no database URL that can be read")
    _become(found, url, password or str(credentials.get("password") or ""), arguments)


def _become(found: _Psql, url: str, password: str, arguments: tuple[str, ...]) -> NoReturn:
    kept = {name: value for name, value in os.environ.items() if name not in _OTHER_SERVERS}
    environment = {**kept, **found.environment, **({"PGPASSWORD": password} if password else {})}
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvpe(found.program, [found.program, f"--dbname={url}", *arguments], environment)  # noqa: S606
    except OSError as error:
        raise ProgramMissing(f"can't run {found.program}: {error.strerror}", hint=_INSTALL_HINT) from None


_INSTALL_HINT = (
    "install PostgreSQL's client: `apt install postgresql-client`, `dnf install postgresql` or `brew install libpq`; "
    "or use the prompt of `mosaic-deploy sql`"
)


def _find_psql() -> _Psql:
    """psql of the PATH, else the embedded platform's. Raises ProgramMissing."""
    if program := shutil.which("psql"):
        return _Psql(program)
    from mosaic_deploy.cli.target.platform_process import missing_packages, run_platform_command

    if not missing_packages():
        try:
            found = run_platform_command("psql")
        except MosaicError:
            found = {}
        if program := str(found.get("program") or ""):
            return _Psql(program, found["environment"])
    raise ProgramMissing(
        "psql isn't installed",
        hint=_INSTALL_HINT,
        next_actions=[
            NextAction("or start the embedded platform, which has a psql", "mosaic-deploy local start")
        ],
    )
