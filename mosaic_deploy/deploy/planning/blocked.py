"""The plan of everything else, when the migrations contradict their history or can't be read.

It is only shown: nothing is applied while the error stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile

from mosaic_deploy.diff.history.matching import match_history
from mosaic_deploy.errors import Location, MigrationDiverged, MigrationError, MosaicError, Problem
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import Migration, Snapshot
from mosaic_deploy.source.migrations.files import MigrationFile
from mosaic_deploy.source.snapshot import Desired

BLOCKED_NOTE = Note(
    "plan_blocked",
    "this is the plan without what the error below is about; nothing is applied until that is fixed",
    Severity.WARNING,
)


def without_blocked(desired: Desired, live: Snapshot, error: MigrationError) -> tuple[Desired, Snapshot]:
    """Both sides with what `error` is not about.

    Every migration in the history counts as unchanged and complete, except partly applied ones that can resume. These
    and new files stay pending: if the folder contradicts the history,
    all but those that the error names; else those before the first one that it names, without seeds, because the others
    may need it. If the error names no file that can be left out, or the manifest, the database is left out.
    """
    snapshot = desired.snapshot
    rows = {row.version: row for row in live.migrations or () if row.steps_done}
    new = {file.file for file in match_history(snapshot.migrations or (), tuple(rows.values())).new}
    pending = [
        file
        for file in desired.migrations
        if file.migration.file in new or _resumes(file, rows.get(file.migration.version))
    ]
    wrong = {problem.location.file for problem in error.problems if problem.location}
    seeds = desired.seeds
    if desired.manifest.locate("database.migrations").file in wrong:
        return _without_database(desired), live
    if isinstance(error, MigrationDiverged):
        files = [file for file in pending if file.relative_path not in wrong]
    else:
        files = list(takewhile(lambda file: file.relative_path not in wrong, pending))
        if not wrong & {file.relative_path for file in (*pending, *seeds)}:
            return _without_database(desired), live
        seeds = ()
    shown = {file.migration.version for file in files}
    settled = {
        row.version: replace(row, steps=row.steps_done) for row in rows.values() if row.version not in shown
    }
    migrations = sorted(
        (*settled.values(), *(file.migration for file in files)), key=lambda migration: migration.order
    )
    live = replace(live, migrations=tuple(settled.get(row.version, row) for row in live.migrations or ()))
    wanted_seeds = snapshot.seeds if seeds else None
    wanted = replace(snapshot, migrations=tuple(migrations), seeds=wanted_seeds)
    return replace(desired, migrations=tuple(files), seeds=seeds, snapshot=wanted), live


def _without_database(desired: Desired) -> Desired:
    snapshot = replace(desired.snapshot, migrations=None, seeds=None)
    return replace(desired, migrations=(), seeds=(), snapshot=snapshot)


def _resumes(file: MigrationFile, row: Migration | None) -> bool:
    """Whether it is the file of a row that isn't applied completely."""
    return row is not None and not row.applied and row.file == file.migration.file


def as_problems(error: MosaicError, manifest: str) -> Iterator[Problem]:
    """`error` as problems of another error; `manifest` is the file to name if it has no place."""
    if not error.problems:
        yield Problem(error.message, error.location or Location(manifest), hint=error.hint, code=error.code)
    for problem in error.problems:
        yield replace(problem, message=f"{error.message}: {problem.message}", code=problem.code or error.code)
