"""Which files of the folder another migration tool has applied, according to its history."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mosaic_deploy.errors import HistoryImportRefused, Location, Problem
from mosaic_deploy.model.other_tools import HistoryState, MigrationTool, OtherToolRow
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import Migration

_DIGITS = re.compile(r"[0-9]+")


def applied_versions(
    tool: MigrationTool, rows: Sequence[OtherToolRow], folder: Sequence[Migration]
) -> frozenset[str]:
    """Versions of the files that the tool has applied.

    Raises HistoryImportRefused with every row that failed, or that has no file in the folder.
    """
    problems = [_failed_problem(row) for row in rows if row.state is HistoryState.FAILED]
    if problems:
        message = f"{tool.name}'s history contains a failed migration"
        hint = f"resolve it with {tool.name} first, then import"
        raise HistoryImportRefused(message, problems=problems, hint=hint)
    if tool.cumulative and len(rows) > 1:
        heads = [Problem("is one of several heads", Location(row.version)) for row in rows]
        hint = f"merge them into one head with {tool.name} first"
        raise HistoryImportRefused(f"{tool.name}'s history has {len(rows)} heads", problems=heads, hint=hint)
    applied: set[str] = set()
    for row in rows:
        if row.state is HistoryState.REPEATABLE:
            continue
        found = _find_file(tool, row, folder)
        if found is None:
            problems.append(
                Problem("has no file in the migrations folder", Location(row.name or row.version))
            )
        elif row.state is HistoryState.ROLLED_BACK:
            applied.discard(found.version)
        else:
            upto = tool.cumulative or row.state is HistoryState.BASELINE
            applied |= {m.version for m in folder if upto and m.order <= found.order} or {found.version}
    if problems:
        message = f"{tool.name} has applied migrations that aren't in the folder"
        hint = "add the files under their version numbers: 0001_name.sql or 20261123120000_name.sql"
        raise HistoryImportRefused(message, problems=problems, hint=hint)
    return frozenset(applied)


def gap_notes(tool: MigrationTool, applied: frozenset[str], folder: Sequence[Migration]) -> Iterator[Note]:
    """Notes on files that the tool skipped, which would be pending before applied ones."""
    newest = max((int(version) for version in applied), default=-1)
    for file in folder:
        if file.version not in applied and file.order < newest:
            message = (
                f"{file.file} isn't in {tool.name}'s history, but newer migrations are; the next plan will fail "
                "unless you pass --allow-out-of-order"
            )
            yield Note("import_gap", message, Severity.WARNING, (f"history:{file.file}",))


def repeatable_notes(tool: MigrationTool, rows: Sequence[OtherToolRow]) -> Iterator[Note]:
    """A note on repeatable migrations, which have no version and can't be imported."""
    names = sorted({row.name for row in rows if row.state is HistoryState.REPEATABLE})
    if names:
        message = f"{tool.name} runs {', '.join(names)} again on every change; repeatable migrations aren't imported"
        yield Note("import_repeatable", message, Severity.WARNING)


def _failed_problem(row: OtherToolRow) -> Problem:
    return Problem("failed", Location(row.name or row.version))


def _find_file(tool: MigrationTool, row: OtherToolRow, folder: Sequence[Migration]) -> Migration | None:
    """The file of a history row. Raises HistoryImportRefused if several files have its revision in their name."""
    if not tool.revisions:
        version = _version_number(row.version, whole=row.version != row.name)
        return next((m for m in folder if m.version == version), None)
    pattern = re.compile(rf"(?<![0-9A-Za-z]){re.escape(row.version)}(?![0-9A-Za-z])")
    found = [m for m in folder if pattern.search(m.file)]
    if len(found) > 1:
        problems = [Problem(f"has the revision {row.version} in its name", Location(m.file)) for m in found]
        raise HistoryImportRefused("several files have the same revision", problems=problems)
    return found[0] if found else None


def _version_number(version: str, *, whole: bool) -> str | None:
    """The version as a file's number. Unless `whole`, `version` is a name (Prisma) that begins with it."""
    found = (_DIGITS.fullmatch if whole else _DIGITS.match)(version)
    return str(int(found.group())) if found else None
