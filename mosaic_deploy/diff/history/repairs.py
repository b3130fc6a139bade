"""Requested repairs as changes to the migration history. Ambiguous requests are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from mosaic_deploy.diff.history.actions import rollback_hint
from mosaic_deploy.diff.history.matching import Match, Matches, MatchKind
from mosaic_deploy.errors import Location, Problem, RepairRefused
from mosaic_deploy.model.change import Action, ForgetMigration, HistoryChange, RecordMigration
from mosaic_deploy.model.migration_history import HistoryEntry
from mosaic_deploy.model.snapshot import Migration

_COMMAND = "mosaic-deploy migrate repair"
_EMPTY_REASON = "had no statements when it was applied; the next apply runs what it contains now"
StepReference = tuple[str, int]
"""A version and the number of one of its steps, from 1."""


@dataclass(frozen=True, slots=True)
class RepairRequest:
    """The options of `migrate repair`: files to accept or record for those they contain, versions to forget or rename,
    steps that did or didn't run."""

    accept: Sequence[str] = ()
    squash: Sequence[str] = ()
    forget: Sequence[str] = ()
    rename: Sequence[str] = ()
    applied: Sequence[StepReference] = ()
    not_applied: Sequence[StepReference] = ()

    @property
    def empty(self) -> bool:
        return not (
            self.accept or self.squash or self.forget or self.rename or self.applied or self.not_applied
        )


class _RepairImpossible(Exception):
    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class _FileAndEntry:
    """One version in the folder and in the ledger. `match` is that of the ledger's row, which may have another file."""

    file: Migration | None
    entry: HistoryEntry | None
    match: Match | None
    matches: Matches

    @property
    def name(self) -> str:
        """Its file's name; empty without a file and a row."""
        return self.file.file if self.file else self.entry.migration.file if self.entry else ""

    def require_file(self) -> Migration:
        """Raises _RepairImpossible if there is no file."""
        if self.file is not None:
            return self.file
        hint = None
        if self.entry is not None:
            version = self.entry.migration.version
            hint = f"`mosaic-deploy migrate restore-file {version}` writes it as it was applied"
        raise _RepairImpossible("isn't in the migrations folder", hint)

    def require_both(self) -> tuple[Migration, HistoryEntry]:
        """Raises _RepairImpossible if one side is missing."""
        return self.require_file(), self.require_entry()

    def require_entry(self) -> HistoryEntry:
        """Raises _RepairImpossible if the history doesn't have it."""
        if self.entry is None:
            raise _RepairImpossible(
                "isn't in the migration history: it is pending", "`mosaic-deploy apply` applies it"
            )
        return self.entry

    def refuse_moved(self) -> None:
        """Raises _RepairImpossible if the row's file, or the file's row, has another number."""
        moved = [self.match, self.matches.by_file.get(self.file.file) if self.file else None]
        for match in moved:
            if match and match.kind is MatchKind.MOVED and match.file:
                raise _RepairImpossible(
                    f"{match.row.file} was renumbered: it is {match.file.file} now",
                    f"record that first: `{_COMMAND} --rename {match.row.version}`",
                )


def repair_changes(
    request: RepairRequest, matches: Matches, entries: Sequence[HistoryEntry], folder: Sequence[Migration]
) -> tuple[HistoryChange, ...]:
    """The changes for `request`, in order. Raises RepairRefused listing every impossible one.

    Files that are named or differ from the ledger must be parsed (`semantic`, `prefix_checksums`).
    """
    files = {m.version: m for m in folder}
    known = {entry.migration.version: entry for entry in entries}
    found, problems = dict[HistoryChange, None](), list[Problem]()
    for version, shown, repair in _requested_changes(request, [e.migration for e in entries], folder):
        sides = _FileAndEntry(
            files.get(version), known.get(version), matches.by_version.get(version), matches
        )
        try:
            found |= dict.fromkeys(repair(sides))
        except _RepairImpossible as error:
            problems.append(Problem(error.message, Location(sides.name or shown), hint=error.hint))
    order = {m.version: m.order for m in (*folder, *(entry.migration for entry in entries))}
    changes = sorted(found, key=lambda change: order[change.version])
    problems += _duplicate_problems(changes)
    if problems:
        raise RepairRefused("this repair isn't possible", problems=problems)
    return tuple(changes)


def _requested_changes(
    request: RepairRequest, applied: Sequence[Migration], folder: Sequence[Migration]
) -> Iterator[tuple[str, str, Callable[[_FileAndEntry], Sequence[HistoryChange]]]]:
    """(version, its name for messages, the function that makes the changes) for each requested repair."""
    migrations = [*applied, *folder]
    # A file's number means the file, as in the other repairs.
    versions = {m.version: m.version for m in migrations} | {m.file: m.version for m in migrations}
    for name in request.accept:
        yield versions.get(name, ""), name, _accept
    for name in request.squash:
        yield versions.get(name, ""), name, _squash
    for version in request.forget:
        yield version, f"version {version}", _forget
    for version in request.rename:
        yield version, f"version {version}", _rename
    for version, step in request.applied:
        yield version, f"version {version}", partial(_mark_applied, step=step)
    for version, step in request.not_applied:
        yield version, f"version {version}", partial(_mark_not_applied, step=step)


def _duplicate_problems(found: Sequence[HistoryChange]) -> Iterator[Problem]:
    for before, after in pairwise(found):
        if before.version == after.version:
            yield Problem(
                "has two repairs in one command", Location(after.file), hint="run them one after the other"
            )


def _accept(sides: _FileAndEntry) -> Sequence[HistoryChange]:
    file, entry = sides.require_both()
    row = entry.migration
    sides.refuse_moved()
    if entry.unknown:
        step = f"{row.version}:{entry.attempt}"
        raise _RepairImpossible(
            f"it is unknown whether step {entry.attempt} ran",
            f"record it first: `{_COMMAND} --applied {step}` or `{_COMMAND} --not-applied {step}`",
        )
    if file.checksum == row.checksum:
        raise _RepairImpossible("hasn't changed since it was applied: nothing to accept")
    if not row.applied and file.steps != row.steps:
        raise _RepairImpossible(
            f"is partly applied and now has {file.steps} steps instead of {row.steps}",
            "restore its steps, and put new statements in a new migration",
        )
    if row.applied:
        return [_record_change(file, file.steps, "marks the current file as applied; runs nothing")]
    reason = (
        f"marks its first {row.steps_done} of {file.steps} steps as applied; the next apply runs the others"
    )
    return [_record_change(file, row.steps_done, reason)]


def _squash(sides: _FileAndEntry) -> Sequence[HistoryChange]:
    """Records the file, and removes the rows whose statements it has."""
    file = sides.require_file()
    squashed = (m for m in sides.matches.rows if m.kind is MatchKind.SQUASHED)
    rows = [match.row for match in squashed if match.file and match.file.file == file.file]
    if not rows:
        raise _RepairImpossible(
            "isn't exactly the statements of applied files that are no longer in the folder, in their order",
            "restore those files: `mosaic-deploy migrate status` shows the commands",
        )
    if sides.entry and sides.entry.migration not in rows:
        raise _RepairImpossible(f"has the number of {sides.entry.migration.file}", "give it a new number")
    names = ", ".join(row.file for row in rows)
    action = Action.CHANGE if sides.entry else Action.ADD
    recorded = replace(_record_change(file, file.steps, f"has the statements of {names}"), action=action)
    reason = f"its statements are in {file.file} now; the database is unchanged"
    return [
        recorded,
        *(ForgetMigration(row.version, row.file, reason) for row in rows if row.version != file.version),
    ]


def _forget(sides: _FileAndEntry) -> Sequence[HistoryChange]:
    if sides.entry is None or sides.match is None:
        raise _RepairImpossible("isn't in the migration history")
    row, match = sides.entry.migration, sides.match
    if match.file is not None and row.applied and row.has_no_statements:
        return [ForgetMigration(row.version, row.file, _EMPTY_REASON)]
    if match.file is not None:
        where = "in the folder" if match.kind is MatchKind.SAME else f"in the folder as {match.file.file}"
        hint = f"{rollback_hint(row, sides.matches)}; to keep what it did, remove the file first".lstrip("; ")
        raise _RepairImpossible(f"is still {where}: once forgotten, the next apply would run it again", hint)
    reason = "removes the history entry only; the database is unchanged"
    return [ForgetMigration(row.version, row.file, reason)]


def _rename(sides: _FileAndEntry) -> Sequence[HistoryChange]:
    row, match = sides.require_entry().migration, sides.match
    assert match is not None
    if match.kind is MatchKind.MOVED:
        return _renumber(match, sides.matches)
    if match.file is None:
        raise _RepairImpossible(
            f"was applied as {row.file}, and no file in the folder has its statements",
            f"`mosaic-deploy migrate restore-file {row.version}` writes it",
        )
    if match.kind is not MatchKind.SAME:
        raise _RepairImpossible(
            f"was applied as {row.file} and differs in more than the name: {match.kind}",
            "a file with different content is a different migration: give it a new number",
        )
    file, _ = sides.require_both()
    if file.file == row.file:
        raise _RepairImpossible("already has the name it was applied under")
    return [_record_change(file, row.steps_done, f"applied as {row.file}")]


def _renumber(match: Match, matches: Matches) -> Sequence[HistoryChange]:
    """Records the row under its file's number, and likewise each row that is in the way."""
    chain = matches.renumbering(match.row.version)
    if chain is None:
        raise _RepairImpossible(
            f"its file has the number {match.file.version if match.file else ''} now, which the history has for "
            "another migration",
            f"`mosaic-deploy migrate restore-file {match.row.version}` gives it its old number",
        )
    return [_renumber_change(each.row, each.file) for each in chain if each.file]


def _renumber_change(row: Migration, file: Migration) -> RecordMigration:
    steps = file.steps if file.prefix_checksums else row.steps
    done = steps if row.applied else row.steps_done
    reason = f"applied as {row.file}"
    return RecordMigration(
        file.version, file.file, file.checksum, row.semantic, steps, done, Action.CHANGE, reason, row.version
    )


def _mark_applied(sides: _FileAndEntry, step: int) -> Sequence[HistoryChange]:
    file, done = _require_unfinished(sides)
    if not done < step <= file.steps:
        message = f"step {step} isn't pending: {done} of {file.steps} steps are recorded as applied"
        raise _RepairImpossible(message)
    marked = f"step {step}" if step == done + 1 else f"steps {done + 1} to {step}"
    return [_record_change(file, step, f"marks {marked} of {file.steps} as applied")]


def _mark_not_applied(sides: _FileAndEntry, step: int) -> Sequence[HistoryChange]:
    sides.require_entry()
    file, done = _require_unfinished(sides, same=step > 1)
    if not 1 <= step <= min(done + 1, file.steps):
        raise _RepairImpossible(
            f"step {step} hasn't started: {done} of {file.steps} steps are recorded as applied"
        )
    if step == 1:
        reason = "marks no step as applied; the next apply starts over"
        return [ForgetMigration(file.version, file.file, reason)]
    return [_record_change(file, step - 1, f"marks step {step} of {file.steps} as not applied")]


def _require_unfinished(sides: _FileAndEntry, *, same: bool = True) -> tuple[Migration, int]:
    """The file and the number of its committed steps.

    Raises _RepairImpossible if it is fully applied or, with `same`, if its committed steps were edited.
    """
    file = sides.require_file()
    sides.refuse_moved()
    if sides.entry is None:
        return file, 0
    row = sides.entry.migration
    if row.applied:
        raise _RepairImpossible("is fully applied", rollback_hint(row, sides.matches) or None)
    unchanged = file.prefix_checksums[row.steps_done - 1 : row.steps_done] == (row.semantic,)
    if same and row.steps_done and not unchanged:
        raise _RepairImpossible(
            f"its first {row.steps_done} steps differ from those that were applied", "restore them"
        )
    return file, row.steps_done


def _record_change(file: Migration, done: int, reason: str) -> RecordMigration:
    semantic = file.prefix_checksums[done - 1]
    return RecordMigration(
        file.version, file.file, file.checksum, semantic, file.steps, done, Action.CHANGE, reason
    )
