"""A history that can't be followed, told with what was edited: the applied version beside the file."""

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
"""Of a shown difference: it is to jog the memory; `git diff` has all of it."""
_MAX_LINE_LENGTH = 160
_MAX_COMPARED_LINES = 20_000
"""Lines of a file that difflib compares in a moment."""
_MAX_ACTIONS = 5
"""Commands that are shown; with more files than that, the other branch is the likely reason."""


def explain_divergence(
    error: MigrationDiverged, api: Api, desired: Desired, complete: Snapshot, live: LiveState
) -> MigrationDiverged:
    """`error` with paths from the project folder, and for edited files the difference. One request, if any is.

    `complete` is the desired Snapshot with the meaning of its migrations.
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
    ways = _repair_actions(folder, rows)
    if len(ways) > _MAX_ACTIONS:
        ways = [NextAction("see what can be repaired", "mosaic-deploy migrate repair")]
    error.next_actions = (*error.next_actions, *ways)
    return error


def _repair_actions(folder: Sequence[Migration], rows: Sequence[Migration]) -> list[NextAction]:
    """The repairs of what disagrees, for whoever knows that the folder is right."""
    here, applied = {m.version for m in folder}, {m.version: m for m in rows}
    ways = [
        way
        for file in edited_migrations(folder, rows)
        for way in edited_file_actions(file, applied[file.version])
    ]
    return [*ways, *(missing_file_action(row) for row in rows if row.units_done and row.version not in here)]


def applied_diff(applied: str, file: str, shown: str) -> str | None:
    """A unified diff from `applied` to `file`, short; None where their lines are the same or too many."""
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
    """The applied texts. The comparison is an extra: the disagreement is reported without it, too."""
    if not versions:
        return {}
    try:
        return read_applied_sources(api, project, versions)
    except ApiError:
        return {}


def migration_path(desired: Desired, name: str) -> str:
    """A migration's path from the project folder, also of one that isn't there."""
    database = desired.manifest.database
    folder = database.migrations if database else None
    return str(PurePosixPath(folder or ".") / name)
