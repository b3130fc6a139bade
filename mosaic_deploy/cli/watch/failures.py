"""What goes wrong while edits are followed, and what then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mosaic_deploy.errors import (
    DraftBlocked,
    LockHeld,
    LockLost,
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
    from mosaic_deploy.cli.target.session import Session
    from mosaic_deploy.deploy import PreparedPlan


from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mosaic_deploy.cli.watch.stalled import save_stamp
from mosaic_deploy.errors import Interrupted

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.watch import Edits


TRANSIENT_ERRORS = (
    Unreachable, ResponseLost, ServerFailed, RateLimited, LockHeld, LockLost, TransfersFailed, DraftBlocked,
)  # fmt: skip
"""What may go away without an edit."""
REPLAN_ERRORS = (PlanStale, SourceChanged, NotFound)
"""What another plan, of both sides as they are by then, may do away with. NotFound: the project was deleted."""


def refuse_empty_site(planned: PreparedPlan) -> None:
    """Raises SourceRefused where pruning would delete the whole site: a build tool empties a folder before it fills it."""
    spec = planned.desired.manifest.static
    gone = [change for change in planned.plan.changes if isinstance(change, DeleteStatic)]
    if spec and gone and not planned.desired.static:
        raise SourceRefused(
            f"{spec.dir} is empty, so nothing is deleted: it may be being built",
            hint="when it has files again, it is followed; `mosaic-deploy apply` deletes the site",
        )


def suggest_reset(session: Session, project_id: str, error: MosaicError) -> None:
    """On this machine an edited migration needn't be final: the database can be made anew."""
    if not (session.local and isinstance(error, MigrationDiverged)):
        return
    project_id = project_id or _find_project_id(session)
    if project_id:
        way = (
            "or, on this machine, delete the project; the next save builds it anew from migrations and seeds"
        )
        command = f"mosaic-deploy local reset {project_id}"
        if all(action.command != command for action in error.next_actions):
            error.next_actions = (*error.next_actions, NextAction(way, command, needs_person=True))


def _find_project_id(session: Session) -> str:
    """The project's id where no plan has told it; empty where it can't be had."""
    from mosaic_deploy.live.api.projects import read_existing_project

    target = session.target
    try:
        return read_existing_project(session.api, id=target.id, name=target.name, hint=target.hint).id
    except MosaicError:
        return ""


_AUTOMATIC_ACTIONS = ("continue", "continue when it has ended", "make a new plan")
"""What a watch does at the next save, as ways on that name its own command."""
_FIX_AND_RERUN = "and run the same command again"
_RERUN = "run the same command again"


class ShownErrors:
    """The error that stands, and one beside it: of files and the draft, while the first is of migrations."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._error: tuple[str, str] | None = None
        self._secondary: tuple[str, str] | None = None
        self._saved: object = None
        """When the file was saved that the error is about."""

    def blocked_edits(self, error: MosaicError, edits: Edits, root: Path) -> Edits:
        """Of `edits`, those that `error` hasn't been told with: none where it is new. Asked before it is told."""
        wrong = error_file(error)
        known = (error.code, error.message) == self._error
        before = self._saved
        if not known or wrong in edits:
            self._saved = save_stamp(root / wrong)
        if not known:
            return frozenset()
        # One save may be told of twice.
        return edits - {wrong} if self._saved == before else edits

    def report(self, error: MosaicError, *, shown: bool = False) -> None:
        """`shown`: by somebody else."""
        suggest_saving(error)
        known = (error.code, error.message)
        if known != self._error and not shown:
            self._screen.error(error)
        self._error = known

    def report_secondary(self, error: MosaicError) -> None:
        """Told once, beside the error that stands."""
        suggest_saving(error)
        known = (error.code, error.message)
        if known not in (self._secondary, self._error):
            self._screen.error(error)
        self._secondary = known

    def resolved(self) -> None:
        """Nothing is wrong any more."""
        self._secondary = None
        if self._error is not None:
            self._error = None
            self._screen.resolved()


def suggest_saving(error: MosaicError) -> None:
    """While edits are followed, saving is what runs the command again."""
    if isinstance(error, Interrupted):
        return
    error.next_actions = tuple(way for way in error.next_actions if way.description not in _AUTOMATIC_ACTIONS)
    error.hint = error.hint and _saved(error.hint)
    error.problems = tuple(
        replace(problem, hint=_saved(problem.hint)) if problem.hint else problem for problem in error.problems
    )


def _saved(hint: str) -> str:
    return hint.replace(_FIX_AND_RERUN, "and save it").replace(_RERUN, "save it again")


def error_file(error: MosaicError) -> str:
    """The file that is wrong; empty where none is named."""
    located = [error.location, *(problem.location for problem in error.problems)]
    return next((where.file for where in located if where is not None), "")
