"""What is wrong while edits are followed: told once, in words for whoever saves, and then that it still stands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mosaic_deploy.cli.stalled import saved_at
from mosaic_deploy.errors import Interrupted, MosaicError

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.watch import Edits

_BY_ITSELF = ("go on from here", "go on when it has ended", "make a new plan")
"""What a watch does at the next save, as ways on that name its own command."""
_CORRECTED = "and run the same command again"
_AGAIN = "run the same command again"


class Amiss:
    """The error that stands, and one beside it: of files and the draft, while the first is of migrations."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._error: tuple[str, str] | None = None
        self._beside: tuple[str, str] | None = None
        self._saved: object = None
        """When the file was saved that the error is about."""

    def waiting(self, error: MosaicError, edits: Edits, root: Path) -> Edits:
        """Of `edits`, those that `error` hasn't been told with: none where it is new. Asked before it is told."""
        wrong = place(error)
        known = (error.code, error.message) == self._error
        before = self._saved
        if not known or wrong in edits:
            self._saved = saved_at(root / wrong)
        if not known:
            return frozenset()
        # One save may be told of twice.
        return edits - {wrong} if self._saved == before else edits

    def stands(self, error: MosaicError, *, shown: bool = False) -> None:
        """`shown`: by somebody else."""
        by_saving(error)
        known = (error.code, error.message)
        if known != self._error and not shown:
            self._screen.error(error)
        self._error = known

    def also(self, error: MosaicError) -> None:
        """Told once, beside the error that stands."""
        by_saving(error)
        known = (error.code, error.message)
        if known not in (self._beside, self._error):
            self._screen.error(error)
        self._beside = known

    def mended(self) -> None:
        """Nothing is wrong any more."""
        self._beside = None
        if self._error is not None:
            self._error = None
            self._screen.mended()


def by_saving(error: MosaicError) -> None:
    """While edits are followed, saving is what runs the command again."""
    if isinstance(error, Interrupted):
        return
    error.next_actions = tuple(way for way in error.next_actions if way.description not in _BY_ITSELF)
    error.hint = error.hint and _saved(error.hint)
    error.problems = tuple(
        replace(problem, hint=_saved(problem.hint)) if problem.hint else problem for problem in error.problems
    )


def _saved(hint: str) -> str:
    return hint.replace(_CORRECTED, "and save it").replace(_AGAIN, "save it again")


def place(error: MosaicError) -> str:
    """The file that is wrong; empty where none is named."""
    located = [error.location, *(problem.location for problem in error.problems)]
    return next((where.file for where in located if where is not None), "")
