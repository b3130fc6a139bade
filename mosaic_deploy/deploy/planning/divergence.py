"""Explains MigrationDiverged: shows how edited files differ from what was applied, and how to repair it."""

from __future__ import annotations

import difflib
import posixpath
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from mosaic_deploy.deploy.planning.history_evidence import AppliedTexts, read_applied_texts
from mosaic_deploy.diff.history.actions import divergence_actions
from mosaic_deploy.diff.history.matching import Matches, MatchKind, match_history
from mosaic_deploy.diff.history.migrations import divergence_hint, divergence_problems
from mosaic_deploy.diff.history.owner import HistoryAccess, HistoryOwner, parse_owner
from mosaic_deploy.errors import Location, MigrationDiverged, MigrationInvalid, NextAction, Problem
from mosaic_deploy.git import repository_root
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.snapshot import LiveState
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.model.manifest_identity import path_of, repository_of
from mosaic_deploy.model.snapshot import Migration, Snapshot
from mosaic_deploy.source.manifest.find import manifest_identity
from mosaic_deploy.source.migrations.files import MigrationFile, parse_migrations, statement_location
from mosaic_deploy.source.snapshot import Desired

_MAX_DIFF_LINES = 40
"""Maximum lines of a shown diff."""
_MAX_LINE_LENGTH = 160
_MAX_COMPARED_LINES = 20_000
"""Longer files aren't compared: difflib would take too long."""
_MAX_ACTIONS = 5
"""Maximum commands shown. With more, the folder is probably of another branch."""


def explain_divergence(
    error: MigrationDiverged,
    api: Api,
    desired: Desired,
    complete: Snapshot,
    live: LiveState,
    *,
    allow_out_of_order: bool = False,
) -> MigrationDiverged:
    """`error` with paths relative to the project folder, diffs of edited files, and the commands that resolve it.

    `complete` is the desired Snapshot with semantic checksums. Sends one request if a file was edited or is missing.
    """
    rows = live.snapshot.migrations or ()
    found = read_applied_texts(
        api, live.snapshot.project.id, desired.migrations, complete.migrations or (), rows
    )
    access = history_access(desired.manifest, live.ledger_facts.get("owner"), found.matches)
    access.refuse_reading()
    problems = divergence_problems(found.matches, allow_out_of_order=allow_out_of_order)
    error.hint = divergence_hint(found.matches)
    error.problems = tuple(_shown_problem(problem, desired, found) for problem in problems)
    if access.other:
        error.hint = access.hint
        error.problems = tuple(replace(problem, hint=None) for problem in error.problems)
    out_of_order = len(problems) > sum(match.diverged for match in found.matches.rows)
    actions = divergence_actions(found.matches, found.evidence, out_of_order=out_of_order)
    if access.other:
        actions = list(access.restore_actions())
    if len(actions) > _MAX_ACTIONS:
        back = [action for action in actions[1:] if " migrate rollback " in str(action.command)]
        listing = NextAction("list all possible repairs", "mosaic-deploy migrate repair")
        actions = [actions[0], *back, listing]
    error.next_actions = (*actions, *error.next_actions)
    return error


def history_access(manifest: Manifest, record: object, matches: Matches) -> HistoryAccess:
    """What `manifest` may do with the history; `record` is OWNER_SETTING."""
    place = manifest.locate("database.migrations")
    return HistoryAccess(history_owner(manifest), parse_owner(record), matches, place)


def refuse_begun_elsewhere(desired: Desired, complete: Snapshot, live: LiveState) -> None:
    """Raises MigrationDiverged if another manifest began a step outside a transaction, of which nothing is committed.

    The history doesn't contradict such files: of a row without a committed step the whole file may change.
    """
    if complete.migrations is not None and any(row.unknown for row in live.snapshot.migrations or ()):
        matches = match_history(complete.migrations, live.snapshot.migrations or ())
        history_access(desired.manifest, live.ledger_facts.get("owner"), matches).refuse_changing()


def _shown_problem(problem: Problem, desired: Desired, found: AppliedTexts) -> Problem:
    """The problem with its file's path, and for an edited file with what differs."""
    name = problem.location.file
    file = next((each for each in desired.migrations if each.migration.file == name), None)
    shown = file.relative_path if file else migration_path(desired, name)
    match = found.matches.by_file.get(name)
    diff = None
    if file and match and match.kind is MatchKind.EDITED and match.row.version in found.texts:
        applied = f"{migration_path(desired, match.row.file)} (as applied)"
        diff = applied_diff(*_compared_texts(match.row, found.texts[match.row.version], file), applied, shown)
    return replace(problem, location=Location(shown), diff=diff)


def _compared_texts(row: Migration, applied: str, file: MigrationFile) -> tuple[str, str]:
    """Both texts up to the end of what was applied, because the other steps may be edited."""
    try:
        [parsed] = parse_migrations([MigrationFile(row, row.file, applied)], [row])
    except MigrationInvalid:
        return applied, file.text
    committed = [statement for step in parsed.steps[: row.steps_done] for statement in step.statements]
    later = [statement for step in parsed.steps[row.steps_done :] for statement in step.statements]
    if not committed or not later:
        return applied, file.text
    last = committed[-1]
    end = statement_location(parsed.file, last, len(last.text) - 1).line or 0
    before, after = applied.splitlines(), file.text.splitlines()
    return "\n".join(before[:end]), "\n".join(after[: _line_after(before, after, end)])


def _line_after(before: Sequence[str], after: Sequence[str], end: int) -> int:
    """The number of lines in `after` that correspond to the first `end` lines of `before`."""
    if max(len(before), len(after)) > _MAX_COMPARED_LINES:
        return len(after)
    lines = 0
    for _, i1, i2, j1, j2 in difflib.SequenceMatcher(None, before, after).get_opcodes():
        if i1 < end:
            lines = min(j2, j1 + end - i1) if i2 > end and i2 - i1 == j2 - j1 else j2
    return lines


def applied_diff(applied: str, file: str, applied_name: str, shown: str) -> str | None:
    """A short unified diff from `applied` to `file`, under these names; None if their lines are equal or too many."""
    before, after = applied.splitlines(), file.splitlines()
    if max(len(before), len(after)) > _MAX_COMPARED_LINES:
        return None
    lines = list(difflib.unified_diff(before, after, applied_name, shown, lineterm=""))
    more = len(lines) - _MAX_DIFF_LINES
    if more > 0:
        lines[_MAX_DIFF_LINES:] = [f"… {more} more lines"]
    return "\n".join(map(_truncate, lines)) or None


def _truncate(line: str) -> str:
    return line if len(line) <= _MAX_LINE_LENGTH else f"{line[:_MAX_LINE_LENGTH]}…"


def migration_path(desired: Desired, name: str) -> str:
    """The path of a migration relative to the project folder, also for a file that doesn't exist."""
    database = desired.manifest.database
    folder = database.migrations if database else None
    return str(PurePosixPath(folder or ".") / name)


def moved_from(manifest: Manifest, live: LiveState) -> str:
    """The manifest that began the recorded history, if its folder must have been moved here; empty if it wasn't.

    Another one that doesn't hold the history is refused.
    """
    own, recorded = history_owner(manifest), parse_owner(live.ledger_facts.get("owner"))
    begun = any(row.begun for row in live.snapshot.migrations or ())
    return recorded.manifest if begun and own and recorded and own.is_other(recorded) else ""


def history_owner(manifest: Manifest) -> HistoryOwner | None:
    """This manifest and its migrations folder; None if it has none."""
    folder = manifest.database.migrations if manifest.database else None
    if folder is None:
        return None
    identity = manifest_identity(manifest.file)
    name = path_of(identity)
    path = posixpath.normpath(PurePosixPath(name).parent / folder)
    inside = repository_root(manifest.root) is not None
    return HistoryOwner(name, path, in_repository=inside, repository=repository_of(identity))
