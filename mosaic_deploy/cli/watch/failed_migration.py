"""The migration or seed that failed last: it isn't sent again until something about it changes."""

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
"""Classes of SQLSTATEs that may not come back: connections, deadlocks, resources, locks, an operator."""


class FailedMigration:
    def __init__(self) -> None:
        self._error: MosaicError | None = None
        self._inputs: object = None

    def clear(self) -> None:
        self._error = None

    def record_failure(self, error: MosaicError, plan: Plan, planner: IncrementalPlanner) -> None:
        """An apply of `plan` failed with `error`.

        Both sides are read again: some steps may be committed, and the file may have been corrected during the run,
        in which case the next run tries it.
        """
        self.clear()
        if not isinstance(error, MigrationFailed) or str(error.sqlstate)[:2] in _TRANSIENT_SQLSTATES:
            return
        try:
            now = planner.plan(())
        except MosaicError:
            return
        tried = _database_changes(plan)
        remaining = _database_changes(now.plan)
        if error.location and all(tried.get(address) == checksum for address, checksum in remaining.items()):
            self._error, self._inputs = error, _inputs(now, error.location.file)

    def repeated_error(self, planned: PreparedPlan) -> MosaicError | None:
        """The error that an apply of `planned` would repeat.

        None if it should be tried: its file was saved, or another migration, seed or the history changed.
        """
        error = self._error
        if error is None or error.location is None:
            return None
        if _inputs(planned, error.location.file) != self._inputs:
            self.clear()
            return None
        return error


def _database_changes(plan: Plan) -> dict[str, str]:
    """Address → checksum of the plan's migrations and seeds."""
    return {
        change.address: change.checksum if isinstance(change, ApplyMigration) else change.sha256
        for change in plan.changes
        if isinstance(change, ApplyMigration | RunSeed)
    }


def _inputs(planned: PreparedPlan, failed_file: str) -> object:
    """What decides whether a migration fails, as far as it can be read, and when its file was saved."""
    desired, live = planned.desired.snapshot, planned.live.snapshot
    return (
        live.project.id,
        [(m.version, m.file, m.checksum, m.steps_done) for m in live.migrations or ()],
        [(m.version, m.file, m.checksum) for m in desired.migrations or ()],
        *({o.path: o.sha256 for o in (side.seeds or {}).values()} for side in (desired, live)),
        desired.extensions,
        live.extensions,
        save_stamp(planned.desired.manifest.root / failed_file),
    )


def save_stamp(path: Path) -> object:
    """A value that changes with each save, even of the same bytes; None without a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_ino
