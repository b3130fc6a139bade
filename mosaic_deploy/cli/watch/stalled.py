"""A migration that failed while edits are followed: it is sent again when something about it is another, not with
every save of something else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mosaic_deploy.errors import MigrationFailed, MosaicError
from mosaic_deploy.model.change import ApplyMigration, RunSeed

if TYPE_CHECKING:
    from mosaic_deploy.deploy import Planned
    from mosaic_deploy.deploy.planning.incremental import Following
    from mosaic_deploy.model.plan import Plan

_PASSING = ("08", "40", "53", "55", "57")
"""Classes of SQLSTATEs that may go away by themselves: connections, deadlocks, resources, locks, an operator."""


class Stalled:
    """The migration, or seed, that failed last, and what it failed with."""

    def __init__(self) -> None:
        self._error: MosaicError | None = None
        self._state: object = None

    def over(self) -> None:
        self._error = None

    def failed(self, error: MosaicError, plan: Plan, following: Following) -> None:
        """An apply of `plan` ended with `error`. Both sides are read once more: a part of the run may be committed,
        and a file may have been corrected meanwhile, which is to be tried."""
        self.over()
        if not isinstance(error, MigrationFailed) or str(error.sqlstate)[:2] in _PASSING:
            return
        try:
            now = following.plan(())
        except MosaicError:
            return
        tried = _pending(plan)
        if error.location and all(tried.get(address) == each for address, each in _pending(now.plan).items()):
            self._error, self._state = error, _state(now, error.location.file)

    def again(self, planned: Planned) -> MosaicError | None:
        """How an apply of `planned` would end again; None where it is to be tried: its file was saved, another file
        of the database or its history is another, or where it failed isn't known."""
        error = self._error
        if error is None or error.location is None:
            return None
        if _state(planned, error.location.file) != self._state:
            self.over()
            return None
        return error


def _pending(plan: Plan) -> dict[str, str]:
    """What a plan does to the database, with its bytes."""
    return {
        change.address: change.checksum if isinstance(change, ApplyMigration) else change.sha256
        for change in plan.changes
        if isinstance(change, ApplyMigration | RunSeed)
    }


def _state(planned: Planned, failed: str) -> object:
    """What a migration's end depends on, as far as both sides tell, and when its file was saved."""
    wanted, live = planned.desired.snapshot, planned.live.snapshot
    return (
        live.project.id,
        [(m.version, m.file, m.checksum, m.units_done) for m in live.migrations or ()],
        [(m.version, m.file, m.checksum) for m in wanted.migrations or ()],
        *({o.path: o.sha256 for o in (side.seeds or {}).values()} for side in (wanted, live)),
        wanted.extensions,
        live.extensions,
        saved_at(planned.desired.manifest.root / failed),
    )


def saved_at(path: Path) -> object:
    """Another value after each save, also of the same bytes; None where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_ino
