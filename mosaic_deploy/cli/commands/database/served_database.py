"""Which database a command uses: the project's own, or the copy on which `dev` tries a draft."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import click

from mosaic_deploy.errors import PlanStale

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

    def refuse_other(self, project: Project) -> None:
        """Raises PlanStale if a draft's copy isn't served any more, or another one is: what was agreed to was about it."""
        if self.is_draft and not _is_draft(self.api, project):
            raise PlanStale(
                "the draft's copy of the database isn't used any more; nothing was changed",
                hint="run the command again for the project's own database",
            )


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
    api = session.api.for_database("")
    if not _is_draft(api, project):
        # Also if a draft begins meanwhile.
        return ServedDatabase(session.api.for_database("base"), is_draft=False)
    screen.print_notice([DRAFT_NOTE])
    return ServedDatabase(api, is_draft=True)


def _is_draft(api: Api, project: Project) -> bool:
    from mosaic_deploy.live.api.operations import read_credentials

    found = read_credentials(api, project.id)
    # The project's own database has the name of its role.
    return found.get("database") != found.get("user")
