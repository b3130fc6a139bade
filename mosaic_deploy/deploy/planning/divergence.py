"""Explains MigrationDiverged: shows how edited files differ from what was applied, and how to repair it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from mosaic_deploy.diff.migration_status import edited_file_actions, missing_file_action
from mosaic_deploy.diff.migrations import edited_migrations
from mosaic_deploy.errors import ApiError, Location, MigrationDiverged, NextAction
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger.history import read_applied_sources
from mosaic_deploy.live.snapshot import LiveState
from mosaic_deploy.model.snapshot import Migration, Snapshot
from mosaic_deploy.source.snapshot import Desired

_MAX_DIFF_LINES = 40
"""Maximum lines of a shown diff."""
_MAX_LINE_LENGTH = 160
_MAX_COMPARED_LINES = 20_000
"""Longer files aren't compared: difflib would take too long."""
_MAX_ACTIONS = 5
"""Maximum repair commands shown. With more, the folder is probably of another branch."""


def explain_divergence(
    error: MigrationDiverged, api: Api, desired: Desired, complete: Snapshot, live: LiveState
) -> MigrationDiverged:
    """`error` with paths relative to the project folder, diffs of edited files, and repair commands.

    `complete` is the desired Snapshot with semantic checksums. Sends one request if a file was edited.
    """
    files = {file.migration.file: file for file in desired.migrations}
    folder, rows = complete.migrations or (), live.snapshot.migrations or ()
    changed = {m.file: m.version for m in edited_migrations(folder, rows)}
    sources = _read_applied_sources(api, live.snapshot.project.id, sorted(changed.values(), key=int))
    problems = []
    for problem in error.problems:
        name = problem.location.file
        applied = sources.get(changed.get(name, ""))
        shown = files[name].relative_path if name in files else migration_path(desired, name)
        diff = applied_diff(applied, files[name].text, shown) if applied is not None else None
        problems.append(replace(problem, location=Location(shown), diff=diff))
    error.problems = tuple(problems)
    actions = _repair_actions(folder, rows)
    if len(actions) > _MAX_ACTIONS:
        actions = [NextAction("list possible repairs", "mosaic-deploy migrate repair")]
    error.next_actions = (*error.next_actions, *actions)
    return error


def _repair_actions(folder: Sequence[Migration], rows: Sequence[Migration]) -> list[NextAction]:
    """Repairs for edited and missing files, if the folder is right."""
    here, applied = {m.version for m in folder}, {m.version: m for m in rows}
    actions = [
        action
        for file in edited_migrations(folder, rows)
        for action in edited_file_actions(file, applied[file.version])
    ]
    return [
        *actions,
        *(missing_file_action(row) for row in rows if row.units_done and row.version not in here),
    ]


def applied_diff(applied: str, file: str, shown: str) -> str | None:
    """A short unified diff from `applied` to `file`; None if their lines are equal or too many."""
    before, after = applied.splitlines(), file.splitlines()
    if max(len(before), len(after)) > _MAX_COMPARED_LINES:
        return None
    lines = list(difflib.unified_diff(before, after, f"{shown} (as applied)", shown, lineterm=""))
    more = len(lines) - _MAX_DIFF_LINES
    if more > 0:
        lines[_MAX_DIFF_LINES:] = [f"… {more} more lines"]
    return "\n".join(map(_truncate, lines)) or None


def _truncate(line: str) -> str:
    return line if len(line) <= _MAX_LINE_LENGTH else f"{line[:_MAX_LINE_LENGTH]}…"


def _read_applied_sources(api: Api, project: str, versions: Sequence[str]) -> Mapping[str, str]:
    """The applied texts by version; empty if they can't be read, since the error is useful without a diff."""
    if not versions:
        return {}
    try:
        return read_applied_sources(api, project, versions)
    except ApiError:
        return {}


def migration_path(desired: Desired, name: str) -> str:
    """The path of a migration relative to the project folder, also for a file that doesn't exist."""
    database = desired.manifest.database
    folder = database.migrations if database else None
    return str(PurePosixPath(folder or ".") / name)
