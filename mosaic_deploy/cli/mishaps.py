"""What goes wrong while edits are followed, and what then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mosaic_deploy.errors import (
    DraftBlocked,
    LeaseHeld,
    LeaseLost,
    MigrationDiverged,
    MosaicError,
    NextAction,
    NotFound,
    PlanStale,
    RateLimited,
    ResponseLost,
    ServerFailed,
    SourceChanged,
    SourceRefused,
    TransfersFailed,
    Unreachable,
)
from mosaic_deploy.model.change import DeleteStatic

if TYPE_CHECKING:
    from mosaic_deploy.cli.session import Session
    from mosaic_deploy.deploy import Planned

PASSING = (
    Unreachable, ResponseLost, ServerFailed, RateLimited, LeaseHeld, LeaseLost, TransfersFailed, DraftBlocked,
)  # fmt: skip
"""What may go away without an edit."""
FLEETING = (PlanStale, SourceChanged, NotFound)
"""What another plan, of both sides as they are by then, may do away with. NotFound: the project was deleted."""


def refuse_emptied(planned: Planned) -> None:
    """Raises SourceRefused where pruning would delete the whole site: a build tool empties a folder before it fills it."""
    spec = planned.desired.manifest.static
    gone = [change for change in planned.plan.changes if isinstance(change, DeleteStatic)]
    if spec and gone and not planned.desired.static:
        raise SourceRefused(
            f"{spec.dir} is empty, so nothing is deleted: it may be being built",
            hint="when it has files again, it is followed; `mosaic-deploy apply` deletes the site",
        )


def offer_rebuilding(session: Session, project_id: str, error: MosaicError) -> None:
    """On this machine an edited migration needn't be final: the database can be made anew."""
    if not (session.local and isinstance(error, MigrationDiverged)):
        return
    project_id = project_id or _found(session)
    if project_id:
        way = (
            "or, on this machine, delete the project; the next save builds it anew from migrations and seeds"
        )
        command = f"mosaic-deploy local reset {project_id}"
        if all(action.command != command for action in error.next_actions):
            error.next_actions = (*error.next_actions, NextAction(way, command, needs_person=True))


def _found(session: Session) -> str:
    """The project's id where no plan has told it; empty where it can't be had."""
    from mosaic_deploy.live.projects import existing

    target = session.target
    try:
        return existing(session.api, id=target.id, name=target.name, hint=target.hint).id
    except MosaicError:
        return ""
