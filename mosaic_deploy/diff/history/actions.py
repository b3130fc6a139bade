"""The commands that resolve what contradicts the migration history. The first one loses nothing."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from mosaic_deploy.diff.history.matching import Evidence, Match, Matches, MatchKind
from mosaic_deploy.errors import NextAction
from mosaic_deploy.model.migration_history import HistoryEntry, MigrationState
from mosaic_deploy.model.snapshot import Migration

_REPAIR = "mosaic-deploy migrate repair"
_MAX_NAMES = 5
"""Maximum migrations named in a hint."""


def divergence_actions(matches: Matches, evidence: Evidence, *, out_of_order: bool) -> list[NextAction]:
    """The commands for all rows, those that are safest to run first before the others.

    `out_of_order`: pending files come before applied ones.
    """
    diverged = [match for match in matches.rows if match.diverged]
    diverged.sort(key=lambda match: _ORDER.index(match.kind))
    actions = [list(match_actions(match, matches, evidence)) for match in diverged]
    firsts = [each[0] for each in actions if each]
    others = [action for each in actions for action in each[1:]]
    if out_of_order and not diverged:
        pending = [list(out_of_order_actions(file)) for file in matches.new if file.order < matches.newest]
        firsts += [each[0] for each in pending]
        others += [action for each in pending for action in each[1:]]
    # Forgetting makes a rollback impossible, so it comes after every rollback.
    others.sort(key=lambda action: " --forget " in str(action.command))
    return list(dict.fromkeys([*firsts, *others]))


_ORDER = (MatchKind.SQUASHED, MatchKind.EDITED, MatchKind.MOVED, MatchKind.MISSING)


def out_of_order_actions(file: Migration) -> Iterator[NextAction]:
    """For a pending file that comes before an applied one: from another branch, or forgotten by a repair."""
    yield NextAction(
        "to run the pending files although newer ones are applied",
        "mosaic-deploy apply --allow-out-of-order",
        needs_person=True,
    )
    yield _repair(
        f"if the database already has what {file.file} does (runs nothing)",
        f"--applied {file.version}:{max(1, file.steps)}",
    )


def match_actions(match: Match, matches: Matches, evidence: Evidence) -> Iterator[NextAction]:
    """The ways to resolve a diverged row."""
    match match.kind:
        case MatchKind.SQUASHED:
            yield from _squashed_actions(match, matches)
        case MatchKind.EDITED:
            yield from _edited_actions(match)
        case MatchKind.MOVED:
            yield from _moved_actions(match, matches)
        case MatchKind.MISSING:
            yield from _missing_actions(match, matches, evidence)


def _squashed_actions(match: Match, matches: Matches) -> Iterator[NextAction]:
    file, row = match.file, match.row
    assert file is not None
    holder = matches.by_version.get(file.version)
    if holder is None or (holder.file and holder.file.file == file.file):
        yield _repair(
            f"to record {file.file} in place of the files whose statements it contains (runs nothing)",
            f"--squash {shlex.quote(file.file)}",
        )
    yield restore_action(row, f"to write {row.file} as it was applied ({file.file} is kept as a .bak file)")


def _edited_actions(match: Match) -> Iterator[NextAction]:
    file, row = match.file, match.row
    assert file is not None
    if row.applied and row.has_no_statements:
        yield NextAction(
            f"to run what {file.file} contains now (it had no statements when it was applied)",
            f"{_REPAIR} --forget {row.version}",
        )
    yield restore_action(row, f"to restore {row.file} as it was applied (your edit is kept as a .bak file)")
    if file.version == row.version and not row.unknown and (row.applied or file.steps == row.steps):
        matches = f"if the database already matches {file.file} (records it as applied, runs nothing)"
        if not row.applied:
            matches = (
                f"if the database already matches the first {row.steps_done} of {file.steps} steps of {file.file} "
                "(records those; the next apply runs the others)"
            )
        yield _repair(matches, f"--accept {shlex.quote(file.file)}")
    if not row.applied and file.version == row.version:
        yield _repair("if its applied steps were undone by hand", f"--not-applied {row.version}:1")


def _moved_actions(match: Match, matches: Matches) -> Iterator[NextAction]:
    file, row = match.file, match.row
    assert file is not None
    restore = restore_action(row, f"to rename {file.file} back to {row.file}")
    if matches.renumbering(row.version) is None:
        yield restore
        return
    yield NextAction(
        f"to record that {row.file} is {file.file} now (runs nothing)", f"{_REPAIR} --rename {row.version}"
    )
    yield restore


def _missing_actions(match: Match, matches: Matches, evidence: Evidence) -> Iterator[NextAction]:
    row = match.row
    if row.unknown:
        yield from lost_step_actions(row, row.step_begun, has_file=False)
        return
    yield restore_action(row, f"to write {row.file} as it was applied")
    trailing = matches.trailing_missing
    can_roll_back = all(each.row.applied and each.row.version in evidence.with_down for each in trailing)
    if match in trailing and can_roll_back:
        before = [each.row for each in matches.rows if each.row.steps_done and each not in trailing]
        target = before[-1].version if before else "0"
        yield NextAction(
            "to undo what was applied after this version of the folder, using the down migrations as applied",
            f"mosaic-deploy migrate rollback --to {target}",
            needs_person=True,
        )
    yield _repair(f"if {row.file} was deleted on purpose", f"--forget {row.version}")


def rollback_hint(row: Migration, matches: Matches) -> str:
    """The command that rolls back an applied row, with all that it undoes.

    Empty if a newer row can't be rolled back, because it isn't applied completely.
    """
    rows = [match.row for match in matches.rows]
    newer = [each for each in rows if each.order > row.order]
    if not all(each.applied for each in newer):
        return ""
    before = max((each for each in rows if each.order < row.order), key=lambda each: each.order, default=None)
    target = before.version if before else "0"
    names = [each.file for each in newer]
    if len(names) > _MAX_NAMES:
        names[_MAX_NAMES - 1 :] = [f"{len(names) - _MAX_NAMES + 1} more"]
    undone = f"it and {', '.join(names)}, the newest first," if names else "it"
    condition = "if they have down migrations" if names else "if it has a down migration"
    return f"`mosaic-deploy migrate rollback --to {target}` undoes {undone} {condition}"


def reformatted_actions(file: Migration) -> Iterator[NextAction]:
    """For an applied file of which only comments, layout or the down section changed."""
    yield _repair(
        f"to record the current text of {file.file} (runs nothing)", f"--accept {shlex.quote(file.file)}"
    )


def step_actions(
    state: MigrationState, entry: HistoryEntry, file: Migration | None, *, lost: bool = False
) -> Iterator[NextAction]:
    """For a migration of which some steps are applied, failed, or have an unknown outcome.

    `lost`: the file was edited, and doesn't have the step of unknown outcome in its place any more.
    """
    row = entry.migration
    version, done = row.version, row.steps_done
    steps = file.steps if file and file.prefix_checksums else row.steps
    if state is MigrationState.UNKNOWN and (lost or file is None):
        yield from lost_step_actions(row, entry.attempt, has_file=file is not None)
    elif state is MigrationState.UNKNOWN:
        yield NextAction("to check whether it took effect, if possible", "mosaic-deploy apply")
        yield _repair(f"if step {entry.attempt} took effect", f"--applied {version}:{entry.attempt}")
        yield _repair("if it didn't", f"--not-applied {version}:{entry.attempt}")
    elif state is MigrationState.FAILED:
        step = -entry.attempt
        corrected = f"once {file.file if file else row.file} or the data is corrected"
        yield NextAction(f"to retry step {step}, {corrected}", "mosaic-deploy apply")
        yield _repair(f"if step {step} was run by hand", f"--applied {version}:{step}")
    elif state is MigrationState.PARTIAL and file and file.nothing_after(done):
        yield NextAction("to record it as applied: nothing of it is left to run", "mosaic-deploy apply")
    elif state is MigrationState.PARTIAL:
        yield NextAction(f"to run the remaining {steps - done} of {steps} steps", "mosaic-deploy apply")
        yield _repair("if they were run by hand", f"--applied {version}:{steps}")
    if state in (MigrationState.PARTIAL, MigrationState.FAILED) and done:
        yield _repair("if all steps were undone by hand", f"--not-applied {version}:1")


def lost_step_actions(row: Migration, begun: int, *, has_file: bool = True) -> Iterator[NextAction]:
    """For a step of unknown outcome whose file was edited: its number may be that of another statement now."""
    step = f"{row.version}:{begun}"
    edit = " (your edit is kept as a .bak file)" if has_file else ""
    yield restore_action(
        row,
        f"to restore {row.file}, if step {begun} took effect; then record that with `migrate repair --applied {step}`{edit}",
    )
    yield _repair("if it had no effect", f"--not-applied {step}" if has_file else f"--forget {row.version}")


def restore_action(row: Migration, why: str) -> NextAction:
    """The command that writes the row's file as it was applied."""
    return NextAction(why, f"mosaic-deploy migrate restore-file {row.version}")


def _repair(when: str, option: str) -> NextAction:
    """A repair command. Only a person can know that its claim about the database is true."""
    return NextAction(when, f"{_REPAIR} {option}", needs_person=True)
