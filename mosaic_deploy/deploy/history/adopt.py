"""`migrate baseline` and `migrate import`: record files as applied without running them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from mosaic_deploy.deploy.history.expected_objects import expected_objects
from mosaic_deploy.deploy.history.missing_objects import missing_problems, references
from mosaic_deploy.deploy.history.read import (
    HistoryContext,
    OwnHistory,
    history_plan,
    migration_path,
    read_own_history,
    try_parse,
    with_checksums,
)
from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.diff.history.identity import find_version
from mosaic_deploy.diff.other_tools.applied import applied_files
from mosaic_deploy.errors import HistoryImportRefused, Location, NextAction, Problem
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.touched_objects import read_facts
from mosaic_deploy.live.ledger.other_tools import OtherTables, read_history_tables, read_other_tool_history
from mosaic_deploy.model.change import Action, Change, RecordMigration, RecordRepeatable
from mosaic_deploy.model.migration_history import HistoryEntry
from mosaic_deploy.model.other_tools.tool import MigrationTool
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import Object
from mosaic_deploy.source.manifest.folders import migrations_folder
from mosaic_deploy.source.migrations.files import MigrationFile
from mosaic_deploy.source.migrations.repeatable import read_repeatables
from mosaic_deploy.source.migrations.tool_files import read_tool_files

BASELINE, IMPORT = "baseline", "import"
"""Recorded kinds of runs that write rows without running migrations."""
_MAX_PROBLEMS = 20
"""Maximum differences shown."""


def plan_baseline(
    api: Api, context: HistoryContext, version: str, *, allow_mismatch: bool = False
) -> PreparedPlan:
    """A plan that records all files up to and including `version` as applied. Reads only.

    Raises HistoryImportRefused if there is no such file, if the history has migrations that ran, or if the database is
    empty or, unless `allow_mismatch`, lacks what the files create; and as `read_own_history`.
    """
    own = read_own_history(api, context)
    version = find_version(version, [file.migration for file in context.files], last=True)
    if version not in context.by_version:
        newest = (
            f"its newest is {context.files[-1].migration.file}" if context.files else "the folder is empty"
        )
        raise HistoryImportRefused(f"the folder has no migration {version}", hint=newest)
    if not context.ledger.populated:
        raise HistoryImportRefused(
            "this database has no tables, views or functions, so no migration can have been applied",
            hint="check that it is the right project; `mosaic-deploy apply` runs the migrations",
        )
    last = context.by_version[version].migration.order
    files = [file for file in context.files if file.migration.order <= last]
    differences = _missing_objects(api, context, files)
    _refuse_differences(differences, allow_mismatch=allow_mismatch)
    notes = _difference_notes(differences)
    return _plan_recording(own, files, "already in the database", tuple(notes))


def plan_import(
    api: Api,
    context: HistoryContext,
    tool: MigrationTool,
    table: str | None,
    *,
    allow_mismatch: bool = False,
) -> PreparedPlan:
    """A plan that records the files applied by `tool`, according to its history. Reads only.

    Raises HistoryImportRefused if that history doesn't match the folder or, unless `allow_mismatch`, a file differs from
    what the tool applied or the database lacks what the files create; and as `read_own_history`.
    """
    own = read_own_history(api, context)
    tables = read_history_tables(api, context.project.id)
    rows = read_other_tool_history(api, context.project.id, tool, table, tables)
    manifest = context.manifest
    repeatables, meanings = read_repeatables(manifest)
    found = applied_files(
        tool,
        rows,
        read_tool_files(manifest.root, migrations_folder(manifest), context.files),
        read_tool_files(manifest.root, migrations_folder(manifest), repeatables),
    )
    files = [file for file in context.files if file.migration.version in found.versions]
    differences = [
        Problem(
            f"differs from what {tool.name} applied (checksum)", Location(migration_path(context, each.file))
        )
        for each in found.different
    ]
    differences += _missing_objects(api, context, files)
    _refuse_differences(differences, allow_mismatch=allow_mismatch)
    notes = (
        *found.notes,
        *_table_notes(tables, tool, table),
        *_difference_notes(differences),
    )
    run = [file for file in repeatables if file.migration.version in found.versions]
    return _plan_recording(own, files, f"applied by {tool.name}", notes, run, meanings)


def _table_notes(tables: OtherTables, tool: MigrationTool, table: str | None) -> Iterator[Note]:
    """A note on each other history table, which this import doesn't read."""
    for name, tools in tables.beside(tool, table).items():
        message = f"this database also has {name}, a history table of {' or '.join(tools)}; it isn't read"
        yield Note("import_other_table", message, Severity.WARNING)


def _missing_objects(api: Api, context: HistoryContext, files: Sequence[MigrationFile]) -> list[Problem]:
    """What the files create and the database doesn't have. One request, if they create anything."""
    expected = expected_objects([parsed for file in files if (parsed := try_parse(file))])
    wanted = references(expected)
    if not wanted:
        return []
    return missing_problems(expected, read_facts(api, context.project.id, wanted))


def _refuse_differences(differences: Sequence[Problem], *, allow_mismatch: bool) -> None:
    if differences and not allow_mismatch:
        raise HistoryImportRefused(
            "what would be recorded as applied differs from the database",
            problems=differences[:_MAX_PROBLEMS],
            hint="record only what was applied, or restore the files as they were; if this is as it should be, pass "
            "--allow-mismatch",
        )


def _difference_notes(differences: Sequence[Problem]) -> Iterator[Note]:
    for problem in differences[:_MAX_PROBLEMS]:
        yield Note("recorded_mismatch", str(problem), Severity.WARNING)


def _plan_recording(
    own: OwnHistory,
    files: Sequence[MigrationFile],
    why: str,
    notes: Sequence[Note] = (),
    repeatables: Sequence[MigrationFile] = (),
    meanings: Mapping[str, Object] = MappingProxyType({}),
) -> PreparedPlan:
    """A plan that records the files, and the repeatable ones with their meanings by path."""
    recorded = _recorded_earlier(own.context, files)
    left = [file for file in files if file.migration.version not in recorded]
    # They are written before the migrations: if none of those is left, they have been.
    objects = [meanings[file.relative_path] for file in repeatables] if left or not files else []
    changes: tuple[Change, ...] = (
        *(_record_change(file, why) for file in left),
        *(
            RecordRepeatable(each.path, each.sha256, each.size, f"run by {why.rpartition(' ')[2]}")
            for each in objects
        ),
    )
    return history_plan(own, changes, (*notes, *_unparsed_notes(left)), repeatables=repeatables)


def _recorded_earlier(context: HistoryContext, files: Sequence[MigrationFile]) -> set[str]:
    """Versions that an earlier, perhaps interrupted, baseline or import has recorded.

    Raises HistoryImportRefused for any other row.
    """
    wanted = {file.migration.version: file.migration.checksum for file in files}
    others = [entry for entry in context.ledger.entries if not _recorded_unrun(entry, wanted)]
    if others:
        problems = [
            Problem(
                f"is already in the history ({e.origin} by {e.by})",
                Location(migration_path(context, e.migration.file)),
            )
            for e in others
        ]
        raise HistoryImportRefused(
            "this database already has a migration history",
            problems=problems,
            hint="to record a file as applied without running it, use `mosaic-deploy migrate repair --applied VERSION:STEP`",
            next_actions=[NextAction("see the history", "mosaic-deploy migrate status")],
        )
    return {entry.migration.version for entry in context.ledger.entries}


def _recorded_unrun(entry: HistoryEntry, wanted: dict[str, str]) -> bool:
    row = entry.migration
    return entry.origin in (BASELINE, IMPORT) and wanted.get(row.version) == row.checksum


def _record_change(file: MigrationFile, why: str) -> RecordMigration:
    m = with_checksums(file)
    return RecordMigration(m.version, m.file, m.checksum, m.semantic, m.steps, m.steps, Action.ADD, why)


def _unparsed_notes(files: Sequence[MigrationFile]) -> Iterator[Note]:
    for file in files:
        if try_parse(file) is None:
            message = f"{file.migration.file} has a syntax error; it is recorded as it is"
            address = f"history:{file.migration.file}"
            yield Note("recorded_unparsed", message, Severity.WARNING, (address,))
