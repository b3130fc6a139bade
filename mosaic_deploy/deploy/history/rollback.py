"""Rolling back: applied migrations undone by their own ways down, the newest first, each in one transaction."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Iterator
from dataclasses import replace

from mosaic_deploy.deploy.applying.apply import ApplyOptions, Job, run_job
from mosaic_deploy.deploy.applying.run import Run
from mosaic_deploy.deploy.applying.sql_files import FileStep, run_file_steps
from mosaic_deploy.deploy.history.read import HistoryContext, history_plan, migration_path, require_project
from mosaic_deploy.deploy.planning.hazards import find_hazards
from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.diff.policy import apply_policy
from mosaic_deploy.errors import Location, MigrationInvalid, Problem, RollbackRefused
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.change import RollBackMigration
from mosaic_deploy.model.event import Event
from mosaic_deploy.model.migration_status import HistoryEntry
from mosaic_deploy.source.manifest.folders import migrations_folder
from mosaic_deploy.source.migrations.down import DownMigration, read_down_migrations
from mosaic_deploy.source.migrations.files import MigrationFile, ParsedFile, parse_migrations
from mosaic_deploy.sql.execution.step import Purpose, Step
from mosaic_deploy.sql.execution.units import ExecutionMode

ROLLBACK = "rollback"


def plan_rollback(
    api: Api, context: HistoryContext, *, to: str | None = None, steps: int = 1
) -> PreparedPlan:
    """The migrations after version `to`, or the newest `steps`, to be undone. Changes nothing.

    Its hazards are told, and judged by the manifest's policy as those of an apply are. Raises RollbackRefused with
    every migration that can't be undone.
    """
    require_project(context)
    chosen = _entries_to_roll_back(context, to, steps)
    problems: list[Problem] = []
    downs: list[tuple[HistoryEntry, DownMigration, ParsedFile]] = []
    for entry in chosen:
        try:
            downs.append((entry, *_down_migration(context, entry)))
        except _RollbackImpossible as refused:
            problems.append(
                Problem(refused.message, Location(migration_path(context, refused.file)), hint=refused.hint)
            )
        except MigrationInvalid as invalid:
            problems += invalid.problems
    if problems:
        raise RollbackRefused("this can't be rolled back, and nothing was", problems=problems)
    changes = [
        RollBackMigration(
            e.migration.version, e.migration.file, down.description, len(parsed.units[0].statements)
        )
        for e, down, parsed in downs
    ]
    made = history_plan(context, changes, parsed=[parsed for _, _, parsed in downs])
    # Hazards leave out what is committed; the ways up are, the ways down aren't.
    live = replace(made.live.snapshot, migrations=())
    hazards = find_hazards(api, live, made.parsed, context.manifest.policy)
    return replace(made, plan=apply_policy(made.plan, hazards, context.manifest))


def roll_back(api: Api, planned: PreparedPlan, options: ApplyOptions) -> Generator[Event, None, None]:
    """Undoes what `planned.plan` names, in its order. The last event is ApplyDone or ApplyFailed."""
    return run_job(api, planned, options, Job(_rollback_steps, ROLLBACK))


class _RollbackImpossible(Exception):
    def __init__(self, file: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.file, self.message, self.hint = file, message, hint


def _entries_to_roll_back(context: HistoryContext, to: str | None, steps: int) -> list[HistoryEntry]:
    """The rows to undo, the newest version first."""
    newest_first = [
        entry for entry in reversed(context.ledger.entries) if entry.attempt or entry.migration.units_done
    ]
    if to is None:
        return newest_first[:steps]
    if int(to) and to not in {entry.migration.version for entry in context.ledger.entries}:
        raise RollbackRefused(f"version {to} is not applied", hint="--to 0 rolls back everything")
    return [entry for entry in newest_first if entry.migration.order > int(to)]


def _down_migration(context: HistoryContext, entry: HistoryEntry) -> tuple[DownMigration, ParsedFile]:
    row = entry.migration
    file = context.by_version.get(row.version)
    if file is None:
        forget = f"mosaic-deploy migrate repair --forget {row.version}"
        hint = f"restore the file, or undo it by hand and forget it with `{forget}`"
        raise _RollbackImpossible(row.file, "is applied, but no longer in the folder", hint)
    name = file.migration.file
    if entry.unknown or not row.applied:
        hint = "apply the rest first, or correct it with `mosaic-deploy migrate repair`"
        raise _RollbackImpossible(
            name, f"only {row.units_done} of its {row.units} parts are known to be applied", hint
        )
    if file.migration.checksum != row.checksum:
        accept = f"mosaic-deploy migrate repair --accept {shlex.quote(name)}"
        hint = f"restore it, or accept it as it is with `{accept}`"
        raise _RollbackImpossible(name, "was edited after it was applied: its way down may not fit", hint)
    found = read_down_migrations(context.manifest.root, migrations_folder(context.manifest), file)
    if not found:
        hint = "write one: a section `-- migrate:down` in the file, or a file of its name ending in .down.sql"
        raise _RollbackImpossible(name, "has no way down", hint)
    if len(found) > 1:
        raise _RollbackImpossible(
            name, f"has two ways down: {' and '.join(down.description for down in found)}", "keep one"
        )
    return found[0], _parse_down(file, found[0])


def _parse_down(file: MigrationFile, down: DownMigration) -> ParsedFile:
    """The way down as one unit. Raises _Refused where it is none, MigrationInvalid."""
    [parsed] = parse_migrations([down.file])
    name = file.migration.file
    if not parsed.units:
        raise _RollbackImpossible(
            name, f"has an empty way down ({down.description})", "SELECT 1; says that nothing is to be undone"
        )
    statements = sum(len(unit.statements) for unit in parsed.units)
    reasons = [unit.reason for unit in parsed.units if unit.reason]
    apart = len(parsed.units) > 1 or parsed.units[0].execution_mode is ExecutionMode.OUTSIDE_TRANSACTION
    if apart or (down.no_transaction and statements > 1):
        why = reasons[0] if reasons else "it has transactions of its own"
        raise _RollbackImpossible(
            name, f"can't be undone in one transaction ({down.description}): {why}", "undo it by hand"
        )
    return ParsedFile(down.file, parsed.units)


def _rollback_steps(run: Run) -> Iterator[Event]:
    parsed = {p.file.migration.version: p for p in run.planned.parsed}
    changes = [change for change in run.changes if isinstance(change, RollBackMigration)]
    yield from run_file_steps(run, [_file_step(change, parsed[change.version]) for change in changes])


def _file_step(change: RollBackMigration, parsed: ParsedFile) -> FileStep:
    step = Step(
        version=change.version,
        file=change.file,
        checksum="",
        semantic="",
        semantic_before="",
        source=parsed.file.text,
        number=1,
        units=1,
        unit=parsed.units[0],
        purpose=Purpose.ROLLBACK,
    )
    return FileStep(change, step, parsed.file)
