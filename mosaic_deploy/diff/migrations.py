"""The migrations folder compared with the migration history: what is pending, and what contradicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mosaic_deploy.errors import Location, MigrationDiverged, NextAction, Problem
from mosaic_deploy.model.change import ApplyMigration
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
    """Pending migrations in order, with notes on applied files that were reformatted or renamed.

    Raises MigrationDiverged if an applied file has different statements or is missing, or if a pending file comes
    before an applied one.
    """
    applied = {m.version: m for m in live if m.units_done}
    newest = max((m.order for m in applied.values() if m.applied), default=-1)
    problems = [
        *_edited_problems(desired, live),
        *([] if allow_out_of_order else _out_of_order_problems(desired, applied, newest)),
        *_missing_problems(desired, applied),
    ]
    if problems:
        raise MigrationDiverged(
            "the migrations folder and the migration history disagree",
            problems=problems,
            hint="applied files never run again: restore them, and put changes in a new migration "
            "(`mosaic-deploy migrate new NAME`)",
            next_actions=[NextAction("compare both sides", "mosaic-deploy migrate status")],
        )
    pending = tuple(
        _apply_change(m, applied.get(m.version)) for m in desired if not _is_applied(applied.get(m.version))
    )
    return HistoryDiff(pending, tuple(_cosmetic_edit_notes(desired, applied)))


def _same_bytes(wanted: Migration, found: Migration | None) -> bool:
    return found is not None and found.applied and found.checksum == wanted.checksum


def _is_applied(found: Migration | None) -> bool:
    return found is not None and found.applied


def _apply_change(wanted: Migration, found: Migration | None) -> ApplyMigration:
    return ApplyMigration(
        wanted.version,
        wanted.file,
        wanted.checksum,
        wanted.semantic,
        wanted.units,
        found.units_done if found else 0,
        summary=wanted.words,
    )


def edited_migrations(desired: Sequence[Migration], live: Sequence[Migration]) -> list[Migration]:
    """The desired migrations whose statements differ from those applied."""
    applied = {m.version: m for m in live if m.units_done}
    return [m for m in desired if (found := applied.get(m.version)) and statements_differ(m, found)]


def _edited_problems(desired: Sequence[Migration], live: Sequence[Migration]) -> list[Problem]:
    applied = {m.version: m for m in live}
    return [
        Problem(
            _edit_message(applied[wanted.version]),
            Location(wanted.file),
            hint=_restore_hint(applied[wanted.version]),
        )
        for wanted in edited_migrations(desired, live)
    ]


def _edit_message(found: Migration) -> str:
    if found.applied and found.has_no_statements:
        return "was edited after it was applied without any statements, so nothing has run"
    applied = "it" if found.applied else f"step {found.units_done} of {found.units}"
    return f"was edited after {applied} was applied"


def _restore_hint(found: Migration) -> str:
    if found.applied and found.has_no_statements:
        return f"`mosaic-deploy migrate repair --forget {found.version}` makes it pending again"
    if found.applied:
        return "restore the file as it was applied"
    return "restore its applied steps; only the remaining steps may still change"


def statements_differ(wanted: Migration, found: Migration) -> bool:
    """Whether a file's statements differ from those in the ledger. If the checksums differ, it must be parsed."""
    if wanted.checksum == found.checksum:
        return False
    if found.applied:
        return wanted.semantic != found.semantic
    return wanted.prefix_checksums[found.units_done - 1 : found.units_done] != (found.semantic,)


def _out_of_order_problems(
    desired: Sequence[Migration], applied: dict[str, Migration], newest: int
) -> list[Problem]:
    return [
        Problem(
            f"is pending, but version {newest} is already applied",
            Location(wanted.file),
            hint="renumber it after the newest applied version, or pass --allow-out-of-order",
        )
        for wanted in desired
        if wanted.version not in applied and wanted.order < newest
    ]


def _missing_problems(desired: Sequence[Migration], applied: dict[str, Migration]) -> list[Problem]:
    versions = {m.version for m in desired}
    return [
        Problem("was applied, but is no longer in the folder", Location(found.file), hint="restore the file")
        for found in applied.values()
        if found.version not in versions
    ]


def _cosmetic_edit_notes(desired: Sequence[Migration], applied: dict[str, Migration]) -> list[Note]:
    notes = []
    for wanted in desired:
        found = applied.get(wanted.version)
        if found and found.applied and wanted.checksum != found.checksum:
            message = f"{wanted.file}: applied; comments or layout changed since"
            notes.append(
                Note("migration_edited_cosmetic", message, Severity.WARNING, (f"migration:{wanted.file}",))
            )
        elif found and wanted.file != found.file:
            message = f"{wanted.file} was applied as {found.file}"
            notes.append(Note("migration_renamed", message, Severity.INFO, (f"migration:{wanted.file}",)))
    return notes
