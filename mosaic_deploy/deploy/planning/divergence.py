"""A history that can't be followed, told with what was edited: the applied version beside the file."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from mosaic_deploy.diff.migration_status import way_of_missing, ways_of_edited
from mosaic_deploy.diff.migrations import edited
from mosaic_deploy.errors import ApiError, Location, MigrationDiverged, NextAction
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger.history import read_sources
from mosaic_deploy.live.snapshot import Live
from mosaic_deploy.model.snapshot import Migration, Snapshot
from mosaic_deploy.source.snapshot import Desired

_MOST_LINES = 40
"""Of a shown difference: it is to jog the memory; `git diff` has all of it."""
_LONGEST_LINE = 160
_COMPARABLE = 20_000
"""Lines of a file that difflib compares in a moment."""
_MOST_WAYS = 5
"""Commands that are shown; with more files than that, the other branch is the likely reason."""


def told(
    error: MigrationDiverged, api: Api, desired: Desired, complete: Snapshot, live: Live
) -> MigrationDiverged:
    """`error` with paths from the project folder, and for edited files the difference. One request, if any is.

    `complete` is the desired Snapshot with the meaning of its migrations.
    """
    files = {file.migration.file: file for file in desired.migrations}
    folder, rows = complete.migrations or (), live.snapshot.migrations or ()
    changed = {m.file: m.version for m in edited(folder, rows)}
    sources = _sources(api, live.snapshot.project.id, sorted(changed.values(), key=int))
    problems = []
    for problem in error.problems:
        name = problem.location.file
        applied = sources.get(changed.get(name, ""))
        shown = files[name].shown if name in files else beside(desired, name)
        diff = difference(applied, files[name].text, shown) if applied is not None else None
        problems.append(replace(problem, location=Location(shown), diff=diff))
    error.problems = tuple(problems)
    ways = _ways(folder, rows)
    if len(ways) > _MOST_WAYS:
        ways = [NextAction("see what can be repaired", "mosaic-deploy migrate repair")]
    error.next_actions = (*error.next_actions, *ways)
    return error


def _ways(folder: Sequence[Migration], rows: Sequence[Migration]) -> list[NextAction]:
    """The repairs of what disagrees, for whoever knows that the folder is right."""
    here, applied = {m.version for m in folder}, {m.version: m for m in rows}
    ways = [way for file in edited(folder, rows) for way in ways_of_edited(file, applied[file.version])]
    return [*ways, *(way_of_missing(row) for row in rows if row.units_done and row.version not in here)]


def difference(applied: str, file: str, shown: str) -> str | None:
    """A unified diff from `applied` to `file`, short; None where their lines are the same or too many."""
    before, after = applied.splitlines(), file.splitlines()
    if max(len(before), len(after)) > _COMPARABLE:
        return None
    lines = list(difflib.unified_diff(before, after, f"{shown} (as applied)", shown, lineterm=""))
    more = len(lines) - _MOST_LINES
    if more > 0:
        lines[_MOST_LINES:] = [f"… {more} more lines"]
    return "\n".join(map(_cut, lines)) or None


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"


def _sources(api: Api, project: str, versions: Sequence[str]) -> Mapping[str, str]:
    """The applied texts. The comparison is an extra: the disagreement is reported without it, too."""
    if not versions:
        return {}
    try:
        return read_sources(api, project, versions)
    except ApiError:
        return {}


def beside(desired: Desired, name: str) -> str:
    """A migration's path from the project folder, also of one that isn't there."""
    database = desired.manifest.database
    folder = database.migrations if database else None
    return str(PurePosixPath(folder or ".") / name)
