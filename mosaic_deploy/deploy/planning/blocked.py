"""The plan of everything else, when the migrations contradict their history or can't be read.

It is only shown: nothing is applied while the error stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mosaic_deploy.diff.history.matching import match_history
from mosaic_deploy.errors import Location, MigrationDiverged, MigrationError, MosaicError, Problem
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import Snapshot
from mosaic_deploy.source.snapshot import Desired

BLOCKED_NOTE = Note(
    "plan_blocked",
    "this is the plan without what the error below is about; nothing is applied until that is fixed",
    Severity.WARNING,
)


def without_blocked(desired: Desired, live: Snapshot, error: MigrationError) -> Desired:
    """`desired` with what `error` is not about.

    If the folder contradicts the history, every migration in the history counts as unchanged, and the others stay
    pending. Otherwise, some SQL can't be read, and the database is left out.
    """
    snapshot = desired.snapshot
    if not isinstance(error, MigrationDiverged):
        return replace(
            desired, migrations=(), seeds=(), snapshot=replace(snapshot, migrations=None, seeds=None)
        )
    rows = {row.version: row for row in live.migrations or () if row.units_done}
    new = {file.file for file in match_history(snapshot.migrations or (), tuple(rows.values())).new}
    wrong = {problem.location.file for problem in error.problems if problem.location}
    files = tuple(
        file for file in desired.migrations if file.migration.file in new and file.relative_path not in wrong
    )
    migrations = sorted(
        (*(replace(row, units=row.units_done) for row in rows.values()), *(file.migration for file in files)),
        key=lambda migration: migration.order,
    )
    return replace(desired, migrations=files, snapshot=replace(snapshot, migrations=tuple(migrations)))


def as_problems(error: MosaicError, manifest: str) -> Iterator[Problem]:
    """`error` as problems of another error; `manifest` is the file to name if it has no place."""
    if not error.problems:
        yield Problem(error.message, error.location or Location(manifest), hint=error.hint, code=error.code)
    for problem in error.problems:
        yield replace(problem, message=f"{error.message}: {problem.message}", code=problem.code or error.code)
