"""A migration that failed while edits are followed: it is sent again when something about it is another, not with
every save of something else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mosaic_deploy.errors import MigrationFailed, MosaicError
from mosaic_deploy.model.change import ApplyMigration, RunSeed

if TYPE_CHECKING:
    from mosaic_deploy.deploy import PreparedPlan
    from mosaic_deploy.deploy.planning.incremental import IncrementalPlanner
    from mosaic_deploy.model.plan import Plan

_TRANSIENT_SQLSTATES = ("08", "40", "53", "55", "57")
"""Classes of SQLSTATEs that may go away by themselves: connections, deadlocks, resources, locks, an operator."""


class FailedMigration:
    """The migration, or seed, that failed last, and what it failed with."""

    def __init__(self) -> None:
        self._error: MosaicError | None = None
        self._inputs: object = None

    def clear(self) -> None:
        self._error = None

    def record_failure(self, error: MosaicError, plan: Plan, following: IncrementalPlanner) -> None:
        """An apply of `plan` ended with `error`. Both sides are read once more: a part of the run may be committed,
        and a file may have been corrected meanwhile, which is to be tried."""
        self.clear()
        if not isinstance(error, MigrationFailed) or str(error.sqlstate)[:2] in _TRANSIENT_SQLSTATES:
            return
        try:
            now = following.plan(())
        except MosaicError:
            return
        tried = _database_changes(plan)
        if error.location and all(
            tried.get(address) == each for address, each in _database_changes(now.plan).items()
        ):
            self._error, self._inputs = error, _inputs(now, error.location.file)

    def repeated_error(self, planned: PreparedPlan) -> MosaicError | None:
        """How an apply of `planned` would end again; None where it is to be tried: its file was saved, another file
        of the database or its history is another, or where it failed isn't known."""
        error = self._error
        if error is None or error.location is None:
            return None
        if _inputs(planned, error.location.file) != self._inputs:
            self.clear()
            return None
        return error


def _database_changes(plan: Plan) -> dict[str, str]:
    """What a plan does to the database, with its bytes."""
    return {
        change.address: change.checksum if isinstance(change, ApplyMigration) else change.sha256
        for change in plan.changes
        if isinstance(change, ApplyMigration | RunSeed)
    }


def _inputs(planned: PreparedPlan, failed: str) -> object:
    """What a migration's end depends on, as far as both sides tell, and when its file was saved."""
    wanted, live = planned.desired.snapshot, planned.live.snapshot
    return (
        live.project.id,
        [(m.version, m.file, m.checksum, m.units_done) for m in live.migrations or ()],
        [(m.version, m.file, m.checksum) for m in wanted.migrations or ()],
        *({o.path: o.sha256 for o in (side.seeds or {}).values()} for side in (wanted, live)),
        wanted.extensions,
        live.extensions,
        save_stamp(planned.desired.manifest.root / failed),
    )


def save_stamp(path: Path) -> object:
    """Another value after each save, also of the same bytes; None where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_ino
