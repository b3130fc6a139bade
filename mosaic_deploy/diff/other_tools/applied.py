"""Which files of the folder another migration tool has applied, according to its history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from mosaic_deploy.diff.other_tools.programs import AppFiles
from mosaic_deploy.diff.other_tools.search import FileSearch, row_number
from mosaic_deploy.errors import HistoryImportRefused, Location, Problem
from mosaic_deploy.model.other_tools.tool import MigrationTool, Naming, OtherToolRow, RowState, ToolFile
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import BEFORE_ALL, Migration, natural_order

_NO_MIGRATION = frozenset({RowState.REPEATABLE, RowState.IGNORED})
_MAX_PARTS = 3


@dataclass(frozen=True, slots=True)
class AppliedFiles:
    """Versions of the files that the tool has applied, and those of them that it applied with another content."""

    versions: frozenset[str]
    different: tuple[Migration, ...] = ()
    notes: tuple[Note, ...] = ()


def applied_files(
    tool: MigrationTool,
    rows: Sequence[OtherToolRow],
    files: Sequence[ToolFile],
    repeatables: Sequence[ToolFile] = (),
) -> AppliedFiles:
    """The files that the tool has applied, with notes on what needs attention. Of `repeatables` those that are as it ran them.

    Raises HistoryImportRefused with every row that failed, that has no file in the folder or several, and with every
    file that is applied in part.
    """
    _refuse_unresolved(tool, rows)
    done = _net_rows(rows)
    strangers = AppFiles(done, files).strangers() if tool.naming is Naming.APP else frozenset[str]()
    wanted = [row for row in done if row.name.partition(".")[0] not in strangers]
    search = FileSearch(tool, files, [row for row in wanted if row.state is not RowState.BASELINE])
    problems = [*search.problems, *_partial_files(tool, search)]
    if problems:
        message = f"the folder doesn't have the migrations that {tool.name} has applied"
        hint = f"add each file as {tool.name} ran it; of a migration that isn't SQL, write out its SQL under its number"
        raise HistoryImportRefused(message, problems=problems, hint=hint)
    folder = [file.migration for file in files]
    applied = {file.migration.version for _, file in search.found}
    if tool.cumulative:
        last = max((file.migration.order for _, file in search.found), default=BEFORE_ALL)
        applied = {each.version for each in folder if each.order <= last}
    for row in wanted:
        if row.state is RowState.BASELINE:
            applied |= set(_upto(row, folder))
    run = _run_repeatables(tool, rows, repeatables)
    notes = (
        *_gap_notes(tool, applied, folder),
        *_repeatable_notes(tool, rows, repeatables, run),
        *_stranger_notes(tool, strangers),
    )
    return AppliedFiles(frozenset(applied) | run, search.different, notes)


def _refuse_unresolved(tool: MigrationTool, rows: Sequence[OtherToolRow]) -> None:
    failed = [row for row in rows if row.state is RowState.FAILED]
    if failed:
        message = f"{tool.name}'s history contains a failed migration"
        hint = f"resolve it with {tool.name} first, then import"
        problems = [Problem("failed", Location(row.name or row.version)) for row in failed]
        raise HistoryImportRefused(message, problems=problems, hint=hint)
    if tool.cumulative and len(rows) > 1:
        heads = [Problem("is one of several heads", Location(row.version)) for row in rows]
        hint = f"merge them into one head with {tool.name} first"
        raise HistoryImportRefused(f"{tool.name}'s history has {len(rows)} heads", problems=heads, hint=hint)


def _net_rows(rows: Sequence[OtherToolRow]) -> list[OtherToolRow]:
    """The rows that count: about migrations, and not undone later."""
    kept: list[OtherToolRow] = []
    for row in rows:
        if row.state is RowState.ROLLED_BACK:
            kept = [each for each in kept if each.version != row.version]
        elif row.state not in _NO_MIGRATION:
            kept.append(row)
    return kept


def _upto(row: OtherToolRow, folder: Sequence[Migration]) -> Iterator[str]:
    """The versions up to that of a baseline, which needs no file of its own."""
    if (number := row_number(row)) is not None:
        yield from (each.version for each in folder if natural_order(each.version)[0] <= number)


def _partial_files(tool: MigrationTool, search: FileSearch) -> Iterator[Problem]:
    """Files of which the tool has applied some parts only."""
    if tool.parts is None:
        return
    done: dict[str, set[str]] = {}
    for row, file in search.found:
        done.setdefault(file.path, set()).add(row.part)
    for file in {file.path: file for _, file in search.found}.values():
        if left := sorted(tool.parts(file.content).keys() - done[file.path]):
            more = f" and {len(left) - _MAX_PARTS} more" if len(left) > _MAX_PARTS else ""
            parts = ", ".join(left[:_MAX_PARTS]) + more
            message = f"is applied only in part: {tool.name} hasn't run {parts}"
            yield Problem(message, Location(file.path))


def _gap_notes(tool: MigrationTool, applied: set[str], folder: Sequence[Migration]) -> Iterator[Note]:
    """Notes on files that the tool skipped, which would be pending before applied ones."""
    newest = max((file.order for file in folder if file.version in applied), default=BEFORE_ALL)
    for file in folder:
        if file.version not in applied and file.order < newest:
            message = (
                f"{file.file} isn't in {tool.name}'s history, but newer migrations are; the next plan will fail "
                "unless you pass --allow-out-of-order"
            )
            yield Note("import_gap", message, Severity.WARNING, (f"history:{file.file}",))


def _run_repeatables(
    tool: MigrationTool, rows: Sequence[OtherToolRow], files: Sequence[ToolFile]
) -> frozenset[str]:
    """The versions of the repeatable files whose content the tool has run last."""
    last = {row.name: row for row in rows if row.state is RowState.REPEATABLE and row.checksum}
    search = FileSearch(tool, files, list(last.values()))
    different = {each.version for each in search.different}
    return frozenset(
        version for _, file in search.found if (version := file.migration.version) not in different
    )


def _repeatable_notes(
    tool: MigrationTool, rows: Sequence[OtherToolRow], files: Sequence[ToolFile], run: frozenset[str]
) -> Iterator[Note]:
    """A note on repeatable files that the tool has run with another content, or perhaps has."""
    names = {PurePosixPath(row.name).name for row in rows if row.state is RowState.REPEATABLE}
    left = [
        file.path
        for file in files
        if file.migration.version not in run and PurePosixPath(file.path).name in names
    ]
    if left:
        message = f"changed since {tool.name} ran them, so the next apply runs them: {', '.join(left)}"
        yield Note("import_repeatable", message, Severity.WARNING)


def _stranger_notes(tool: MigrationTool, apps: frozenset[str]) -> Iterator[Note]:
    if apps:
        message = f"{tool.name} has also applied migrations of {', '.join(sorted(apps))}, of which the folder has no file"
        yield Note("import_other_apps", message, Severity.WARNING)
