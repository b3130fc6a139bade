"""Taking over a database that already has its schema: files recorded as applied, and none of them run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mosaic_deploy.deploy.history.read import Known, meant, parsed_or_none, path_of, planned, require_project
from mosaic_deploy.deploy.planning.planned import Planned
from mosaic_deploy.diff.other_tools import gaps, matched, repeatable
from mosaic_deploy.errors import AdoptionRefused, Location, NextAction, Problem
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger.other_tools import read_foreign
from mosaic_deploy.model.change import Action, RecordMigration
from mosaic_deploy.model.migration_status import Entry
from mosaic_deploy.model.other_tools import Tool
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.source.migrations.files import MigrationFile

BASELINE, IMPORT = "baseline", "import"
"""The kinds of runs that the ledger keeps for rows that were recorded without being run."""


def plan_baseline(known: Known, version: str) -> Planned:
    """All files up to and including `version` recorded as applied. Changes nothing.

    Raises AdoptionRefused where there is no such file, where the ledger has migrations that ran, and where the
    database has nothing in it; ProjectNotFound.
    """
    require_project(known)
    if version not in known.by_version:
        newest = known.files[-1].migration.file if known.files else "none: the folder is empty"
        raise AdoptionRefused(f"the folder has no migration {version}", hint=f"its newest is {newest}")
    if not known.told.populated:
        raise AdoptionRefused(
            "this database has no tables, views or functions, so nothing in the folder can have been applied",
            hint="is it the right project? `mosaic-deploy apply` runs the migrations",
        )
    files = [file for file in known.files if file.migration.order <= int(version)]
    return _adopt(known, files, "the database has it already")


def plan_import(api: Api, known: Known, tool: Tool, table: str | None) -> Planned:
    """The files that `tool`'s history says it has applied, recorded as applied. Reads only.

    Raises AdoptionRefused where that history can't be followed file by file; ProjectNotFound.
    """
    require_project(known)
    rows = read_foreign(api, known.project.id, tool, table)
    folder = [file.migration for file in known.files]
    applied = matched(tool, rows, folder)
    files = [file for file in known.files if file.migration.version in applied]
    notes = (*gaps(tool, applied, folder), *repeatable(tool, rows))
    return _adopt(known, files, f"applied by {tool.name}", notes)


def _adopt(known: Known, files: Sequence[MigrationFile], why: str, notes: Sequence[Note] = ()) -> Planned:
    recorded = _recorded_earlier(known, files)
    left = [file for file in files if file.migration.version not in recorded]
    return planned(known, (_record(file, why) for file in left), (*notes, *_unreadable(left)))


def _recorded_earlier(known: Known, files: Sequence[MigrationFile]) -> set[str]:
    """Versions that an earlier, perhaps interrupted, run like this has recorded.

    Raises AdoptionRefused for any other row: then this database has a history of its own.
    """
    wanted = {file.migration.version: file.migration.checksum for file in files}
    others = [entry for entry in known.told.entries if not _alike(entry, wanted)]
    if others:
        problems = [
            Problem(
                f"is in the ledger already ({e.origin} by {e.by})", Location(path_of(known, e.migration.file))
            )
            for e in others
        ]
        raise AdoptionRefused(
            "this database has a history already",
            problems=problems,
            hint="single files can be recorded with `mosaic-deploy migrate repair`",
            next_actions=[NextAction("see it", "mosaic-deploy migrate status")],
        )
    return {entry.migration.version for entry in known.told.entries}


def _alike(entry: Entry, wanted: dict[str, str]) -> bool:
    row = entry.migration
    return entry.origin in (BASELINE, IMPORT) and wanted.get(row.version) == row.checksum


def _record(file: MigrationFile, why: str) -> RecordMigration:
    m = meant(file)
    return RecordMigration(m.version, m.file, m.checksum, m.semantic, m.units, m.units, Action.ADD, why)


def _unreadable(files: Sequence[MigrationFile]) -> Iterator[Note]:
    for file in files:
        if parsed_or_none(file) is None:
            message = f"{file.migration.file} can't be read as PostgreSQL; it is recorded as it is"
            address = f"history:{file.migration.file}"
            yield Note("adopted_unread", message, Severity.WARNING, (address,))
