"""The migrations folder compared with the migration history: what is pending, and what contradicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mosaic_deploy.diff.history.matching import (
    Match,
    Matches,
    MatchKind,
    match_history,
    name_without_number,
    same_statements,
)
from mosaic_deploy.errors import Location, MigrationDiverged, NextAction, Problem
from mosaic_deploy.model.change import NOTHING_LEFT, ApplyMigration
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import Migration


@dataclass(frozen=True, slots=True)
class HistoryDiff:
    pending: tuple[ApplyMigration, ...]
    notes: tuple[Note, ...]


def versions_to_parse(desired: Sequence[Migration], live: Sequence[Migration]) -> list[str]:
    """Versions to parse before `diff_history`: pending, or with a checksum other than the applied one."""
    applied = {m.version: m for m in live}
    return [m.version for m in desired if not _same_bytes(m, applied.get(m.version))]


def diff_history(
    desired: Sequence[Migration], live: Sequence[Migration], *, allow_out_of_order: bool = False
) -> HistoryDiff:
    """Pending migrations in order, with notes on applied files that were reformatted, renamed or copied.

    Raises MigrationDiverged if an applied file has different statements, has another number or is missing, or if a
    pending file comes before an applied one.
    """
    matches = match_history(desired, live)
    problems = divergence_problems(matches, allow_out_of_order=allow_out_of_order)
    if problems:
        raise MigrationDiverged(
            "the migrations folder and the migration history disagree",
            problems=problems,
            hint=divergence_hint(matches),
            next_actions=[NextAction("compare both sides", "mosaic-deploy migrate status")],
        )
    pending = [(file, 0) for file in matches.new]
    pending += [
        (match.file, match.row.steps_done) for match in matches.rows if match.file and not match.row.applied
    ]
    pending.sort(key=lambda each: each[0].order)
    return HistoryDiff(tuple(_apply_change(*each) for each in pending), tuple(_notes(matches)))


def _same_bytes(wanted: Migration, found: Migration | None) -> bool:
    return found is not None and found.applied and found.checksum == wanted.checksum


def _apply_change(wanted: Migration, steps_done: int) -> ApplyMigration:
    return ApplyMigration(
        wanted.version,
        wanted.file,
        wanted.checksum,
        wanted.semantic,
        wanted.steps,
        steps_done,
        summary=NOTHING_LEFT if wanted.nothing_after(steps_done) else wanted.words,
    )


def divergence_problems(matches: Matches, *, allow_out_of_order: bool) -> list[Problem]:
    """What contradicts the history: edited, renumbered, squashed and missing files, and files pending out of order.

    Locations are file names without a folder.
    """
    found = [(match.row.order, _row_problem(match, matches)) for match in matches.rows if match.diverged]
    if not allow_out_of_order:
        found += ((file.order, problem) for file, problem in _out_of_order_problems(matches))
    return [problem for _, problem in sorted(found, key=lambda item: item[0])]


def divergence_hint(matches: Matches) -> str | None:
    """What to do with edits of applied files; None without any. Other problems have hints of their own."""
    edited = (match.row for match in matches.rows if match.kind is MatchKind.EDITED)
    if not any(row.applied and not row.has_no_statements for row in edited):
        return None
    return (
        "an applied file doesn't run again: restore it, and put its changes in a new migration "
        "(`mosaic-deploy migrate new NAME`)"
    )


def _row_problem(match: Match, matches: Matches) -> Problem:
    row, file = match.row, match.file
    if file is None:
        return _missing_problem(row, matches)
    if match.kind is MatchKind.MOVED:
        message = f"was applied as {row.file}; its number has changed"
        return Problem(message, Location(file.file), hint="record its new number, or restore the old one")
    if match.kind is MatchKind.SQUASHED:
        message = f"contains {row.file}, which was applied and is no longer in the folder"
        return Problem(message, Location(file.file), hint="record this file in its place")
    if file.version != row.version or name_without_number(file.file) != name_without_number(row.file):
        fact = f"of which {_unknown_text(row)}" if row.unknown else "which was applied"
        message = f"looks like an edited {row.file}, {fact}"
        return Problem(message, Location(file.file), hint=f"restore {row.file} as it was applied")
    return Problem(_edit_message(row), Location(file.file), hint=_restore_hint(row))


def _missing_problem(row: Migration, matches: Matches) -> Problem:
    taken = next((f"; {file.file} has its number" for file in matches.new if file.version == row.version), "")
    applied = "was applied" if row.applied else f"step {row.steps_done} of {row.steps} was applied"
    gone = "is" if row.applied else "the file is"
    applied = _unknown_text(row) if row.unknown else applied
    message = f"{applied}, but {gone} no longer in the folder{taken}"
    newest = any(row is match.row for match in matches.trailing_missing)
    hint = "restore the file" + ("; if the folder is an older checkout, update it" if newest else "")
    return Problem(message, Location(row.file), hint=hint)


def _unknown_text(row: Migration) -> str:
    return f"step {row.step_begun} of {row.steps} may have taken effect"


def _edit_message(found: Migration) -> str:
    if found.applied and found.has_no_statements:
        return "was edited after it was applied without any statements, so nothing has run"
    applied = "it" if found.applied else f"step {found.steps_done} of {found.steps}"
    return f"was edited after {applied} was applied"


def _restore_hint(found: Migration) -> str:
    if found.applied and found.has_no_statements:
        return f"`mosaic-deploy migrate repair --forget {found.version}` makes it pending again"
    if found.applied:
        return "restore the file as it was applied"
    return "restore its applied steps; only the remaining steps may still change"


def _out_of_order_problems(matches: Matches) -> Iterator[tuple[Migration, Problem]]:
    newest = next(
        (m.row.version for m in matches.rows if m.row.order == matches.newest and m.row.applied), ""
    )
    for file in matches.new:
        if file.order < matches.newest:
            message = f"is pending, but version {newest} is already applied"
            hint = "renumber it after the newest applied version, or pass --allow-out-of-order"
            yield file, Problem(message, Location(file.file), hint=hint)


def _notes(matches: Matches) -> Iterator[Note]:
    for match in matches.rows:
        wanted, found = match.file, match.row
        if wanted is None or not found.steps_done:
            continue
        address = (f"migration:{wanted.file}",)
        if found.applied and wanted.checksum != found.checksum:
            message = f"{wanted.file}: applied; its comments, layout or down section changed since"
            yield Note("migration_edited_cosmetic", message, Severity.WARNING, address)
        elif wanted.file != found.file:
            message = f"{wanted.file} was applied as {found.file}"
            yield Note("migration_renamed", message, Severity.INFO, address)
    yield from _copy_notes(matches)


def _copy_notes(matches: Matches) -> Iterator[Note]:
    """A pending copy of another file is usually left from renumbering or renaming it on a branch."""
    applied = [match.row for match in matches.rows if match.row.applied]
    for number, file in enumerate(matches.new):
        if file.has_no_statements:
            continue
        if original := next((row for row in applied if same_statements(file, row)), None):
            message = f"{_likeness(file, original)}, which was applied, and will run again"
        elif original := next((each for each in matches.new[:number] if _is_copy(file, each)), None):
            message = f"{_likeness(file, original)}, and both will run"
        else:
            continue
        message += "; delete one of them, unless they should run twice"
        yield Note("migration_copied", message, Severity.WARNING, (f"migration:{file.file}",))


def _likeness(file: Migration, original: Migration) -> str:
    copied = name_without_number(file.file) == name_without_number(original.file)
    return f"{file.file} {'is a copy of' if copied else 'has the same statements as'} {original.file}"


def _is_copy(file: Migration, other: Migration) -> bool:
    """Of two files that are parsed."""
    return file.checksum == other.checksum or file.semantic == other.semantic
