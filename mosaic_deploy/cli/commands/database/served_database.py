"""Which database a command uses: the project's own, or the copy on which `dev` tries a draft."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.cli.target.session import Session
    from mosaic_deploy.live.api.client import Api
    from mosaic_deploy.model.snapshot import Project

F = TypeVar("F", bound=Callable[..., object])

DRAFT_NOTE = (
    "note: `dev` is trying a draft, so this is the draft's copy of the database: what you write there is discarded when "
    "the draft is saved again, committed or removed. For the project's own database: --no-draft"
)


@dataclass(frozen=True, slots=True)
class ServedDatabase:
    """The API whose SQL and credentials are those of the database; whether that is a draft's copy."""

    api: Api
    is_draft: bool


def no_draft_option(command: F) -> F:
    """`--no-draft`."""
    return click.option(
        "--no-draft",
        is_flag=True,
        help="Use the project's own database, also while `dev` tries a draft on a copy.",
    )(command)


def find_database(screen: Screen, session: Session, project: Project, *, no_draft: bool) -> ServedDatabase:
    """The database that apps use, or with `no_draft` the project's own. Says on stderr if it is a draft's copy."""
    if not session.local or no_draft:
        return ServedDatabase(session.api.for_database("base" if no_draft else ""), is_draft=False)
    from mosaic_deploy.live.api.operations import read_credentials

    api = session.api.for_database("")
    found = read_credentials(api, project.id)
    # The project's own database has the name of its role.
    is_draft = found.get("database") != found.get("user")
    if is_draft:
        screen.print_notice([DRAFT_NOTE])
    return ServedDatabase(api, is_draft)
