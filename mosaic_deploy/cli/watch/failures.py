"""Errors of a watch: which are retried without an edit, and how they are shown."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mosaic_deploy.cli.target.api_access import command_line
from mosaic_deploy.cli.watch.failed_migration import save_stamp
from mosaic_deploy.errors import (
    DraftBlocked,
    DraftFailed,
    Interrupted,
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
from mosaic_deploy.source.migrations.draft import is_draft

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.cli.target.session import Session
    from mosaic_deploy.deploy import PreparedPlan
    from mosaic_deploy.watch import Edits

TRANSIENT_ERRORS = (
    Unreachable, ResponseLost, ServerFailed, RateLimited, LockHeld, LockLost, TransfersFailed, DraftBlocked,
)  # fmt: skip
"""Retried without an edit."""
REPLAN_ERRORS = (PlanStale, SourceChanged, NotFound)
"""Retried with a new plan. NotFound: the project was deleted."""
_RERUN = re.compile(r"(and )?run the (?:same )?command again")


def refuse_empty_site(planned: PreparedPlan) -> None:
    """Raises SourceRefused if pruning would delete the whole site: build tools empty a folder before they fill it."""
    spec = planned.desired.manifest.static
    deleted = [change for change in planned.plan.changes if isinstance(change, DeleteStatic)]
    if spec and deleted and not planned.desired.static:
        raise SourceRefused(
            f"{spec.dir} is empty; its files stay live in case a build is running",
            hint="the next file in it continues the watch; to delete the site, run `mosaic-deploy apply`",
        )


def suggest_reset(session: Session, project_id: str, error: MosaicError) -> None:
    """For an edited migration on this machine, adds the command that deletes the local project."""
    if not (session.local and isinstance(error, MigrationDiverged)):
        return
    project_id = project_id or _find_project_id(session)
    if project_id:
        description = "or delete the local project; the next save rebuilds it from migrations and seeds"
        command = f"mosaic-deploy local reset {project_id}"
        if all(action.command != command for action in error.next_actions):
            error.next_actions = (
                *error.next_actions,
                NextAction(description, command, needs_person=True),
            )


def _find_project_id(session: Session) -> str:
    """The project's ID before there is a plan; empty if it can't be read."""
    from mosaic_deploy.live.find_project import find_existing_project

    target = session.target
    try:
        return find_existing_project(session.api, id=target.id, name=target.name, hint=target.hint).id
    except MosaicError:
        return ""


class ShownErrors:
    """Shows each error once: the one that blocks the run, and beside it one of files or of the draft."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._error: tuple[str, str] | None = None
        self._secondary: tuple[str, str] | None = None
        self._error_is_of_draft = False
        self._saved_stamp: object = None
        """Of the file that the error is about."""

    def blocked_edits(self, error: MosaicError, edits: Edits, root: Path) -> Edits:
        """The edits that an error shown before still blocks; none if `error` is new. Call it before `report`."""
        failed_file = error_file(error)
        shown = (error.code, error.message) == self._error
        stamp_before = self._saved_stamp
        if not shown or failed_file in edits:
            self._saved_stamp = save_stamp(root / failed_file)
        if not shown:
            return frozenset()
        # The listener may report one save twice.
        return edits - {failed_file} if self._saved_stamp == stamp_before else edits

    def report(self, error: MosaicError, *, shown: bool = False) -> None:
        """Shows the error unless it was `shown` elsewhere or is the last one again."""
        suggest_saving(error)
        key = (error.code, error.message)
        if key != self._error and not shown:
            self._screen.error(error)
        self._error = key
        self._error_is_of_draft = is_draft_error(error)

    def report_secondary(self, error: MosaicError) -> None:
        """Shows an error beside the blocking one, once."""
        suggest_saving(error)
        key = (error.code, error.message)
        if key not in (self._secondary, self._error):
            self._screen.error(error)
        self._secondary = key

    def resolved(self) -> None:
        """Reports that the last error is fixed, if there was one."""
        self._secondary = None
        if self._error is not None:
            self._error = None
            self._screen.resolved(draft=self._error_is_of_draft)


def suggest_saving(error: MosaicError) -> None:
    """Replaces "run the command again" by "save it again": in a watch, saving does that."""
    if isinstance(error, Interrupted):
        return
    error.next_actions = tuple(action for action in error.next_actions if action.command != command_line())
    error.hint = error.hint and _saving_hint(error.hint)
    error.problems = tuple(
        replace(problem, hint=_saving_hint(problem.hint)) if problem.hint else problem
        for problem in error.problems
    )


def _saving_hint(hint: str) -> str:
    return _RERUN.sub(lambda found: "and save it" if found[1] else "save it again", hint)


def is_draft_error(error: MosaicError) -> bool:
    """Whether only a draft fails, so that everything else is live."""
    return isinstance(error, DraftBlocked | DraftFailed) or is_draft(Path(error_file(error)).name)


def error_file(error: MosaicError) -> str:
    """The first file that the error names; empty if it names none."""
    located = [error.location, *(problem.location for problem in error.problems)]
    return next((where.file for where in located if where is not None), "")
