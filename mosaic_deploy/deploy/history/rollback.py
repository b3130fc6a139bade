"""`migrate rollback`: runs the down migrations of applied files, newest first, each in one transaction."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import PurePosixPath

from mosaic_deploy.deploy.applying.apply import Job, run_job
from mosaic_deploy.deploy.applying.migrations import checked_step
from mosaic_deploy.deploy.applying.run import ApplyOptions, Run, agreed_effects
from mosaic_deploy.deploy.applying.schema_record import begin_schema_change, record_schema
from mosaic_deploy.deploy.applying.sql_files import FileStep, run_file_steps
from mosaic_deploy.deploy.history.read import (
    HistoryContext,
    history_plan,
    migration_path,
    read_own_history,
)
from mosaic_deploy.deploy.planning.hazards import find_hazards, with_effects
from mosaic_deploy.deploy.planning.history_evidence import AppliedTexts
from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.deploy.planning.read_target import with_recorded_policy
from mosaic_deploy.deploy.planning.unknown_names import refuse_unknown_names
from mosaic_deploy.diff.history.actions import restore_action
from mosaic_deploy.diff.history.identity import find_version
from mosaic_deploy.diff.history.matching import MatchKind
from mosaic_deploy.diff.policy import apply_policy
from mosaic_deploy.errors import Location, MigrationInvalid, NextAction, Problem, RollbackRefused
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.model.change import RollBackMigration
from mosaic_deploy.model.event import Event
from mosaic_deploy.model.migration_history import HistoryEntry
from mosaic_deploy.model.snapshot import Migration
from mosaic_deploy.source.manifest.folders import migrations_folder
from mosaic_deploy.source.migrations.down import (
    DownMigration,
    down_file_name,
    read_down_migrations,
    section_as_applied,
)
from mosaic_deploy.source.migrations.files import MigrationFile, ParsedFile, parse_migrations
from mosaic_deploy.sql.execution.split import ExecutionMode
from mosaic_deploy.sql.execution.step import Purpose, Step

ROLLBACK = "rollback"
_NO_DOWN = "no down migration"
_SECTION_HINT = (
    "a down section in the applied file would count as an edit: put `-- migrate:up` above its statements if it has no "
    "markers, `-- migrate:down` below, and record that with `mosaic-deploy migrate repair --accept {file}`"
)


def plan_rollback(
    api: Api, context: HistoryContext, *, to: str | None = None, steps: int = 1
) -> PreparedPlan:
    """A plan to roll back the migrations after version `to`, or the newest `steps`. Reads only.

    Hazards and policy apply as for an apply. Raises RollbackRefused with every migration that can't be rolled back, and as
    `read_own_history`.
    """
    own = read_own_history(api, context)
    entries = _entries_to_roll_back(context, to, steps)
    problems: list[Problem] = []
    actions: list[NextAction] = []
    downs: list[tuple[HistoryEntry, DownMigration, ParsedFile]] = []
    for entry in entries:
        try:
            downs.append((entry, *_down_migration(context, entry, own.found)))
        except _RollbackImpossible as refused:
            problems.append(
                Problem(refused.message, Location(migration_path(context, refused.file)), hint=refused.hint)
            )
            actions += [action for action in refused.actions if action not in actions]
        except MigrationInvalid as invalid:
            problems += invalid.problems
    if problems:
        files = [
            PurePosixPath(each.location.file).relative_to(migrations_folder(context.manifest)).as_posix()
            for each in problems
            if each.message.startswith(_NO_DOWN)
        ]
        named = shlex.quote(files[0]) if len(files) == 1 else "FILE"
        hint = _SECTION_HINT.format(file=named) if files else None
        raise RollbackRefused(
            "can't roll back; nothing was changed", problems=problems, hint=hint, next_actions=actions
        )
    changes = [
        RollBackMigration(
            e.migration.version,
            e.migration.file,
            down.description,
            len(parsed.steps[0].statements),
            sha256(down.file.whole_text().encode()).hexdigest(),
        )
        for e, down, parsed in downs
    ]
    down_plan = history_plan(own, changes, parsed=[parsed for _, _, parsed in downs])
    manifest = with_recorded_policy(api, down_plan.live.snapshot.project.id, context.manifest)
    # Without the applied migrations, or find_hazards would skip the down migrations as already applied.
    live = replace(down_plan.live.snapshot, migrations=())
    findings = find_hazards(api, live, down_plan.parsed, manifest.policy)
    refuse_unknown_names(api, live.project.id, findings.unknown)
    paths = {e.migration.version: parsed.file.relative_path for e, _, parsed in downs}
    plan = with_effects(down_plan.plan, findings, paths)
    desired = replace(down_plan.desired, manifest=manifest)
    return replace(
        down_plan,
        plan=apply_policy(plan, findings.hazards, manifest),
        desired=desired,
        writes=findings.writes,
    )


def roll_back(api: Api, planned: PreparedPlan, options: ApplyOptions) -> Generator[Event, None, None]:
    """Runs the plan's rollbacks. The last event is ApplyDone or ApplyFailed."""
    return run_job(api, planned, options, Job(_rollback_steps, ROLLBACK))


class _RollbackImpossible(Exception):
    def __init__(
        self, file: str, message: str, hint: str | None = None, actions: Sequence[NextAction] = ()
    ) -> None:
        super().__init__(message)
        self.file, self.message, self.hint, self.actions = file, message, hint, actions


def _entries_to_roll_back(context: HistoryContext, to: str | None, steps: int) -> list[HistoryEntry]:
    """The rows to roll back, newest version first."""
    newest_first = [
        entry for entry in reversed(context.ledger.entries) if entry.attempt or entry.migration.steps_done
    ]
    if to is None:
        return newest_first[:steps]
    rows = [entry.migration for entry in context.ledger.entries]
    target = find_version(to, rows, last=True)
    if target == "0" and not any(row.version == target for row in rows):
        return newest_first
    place = next((row.order for row in rows if row.version == target), None)
    if place is None:
        raise RollbackRefused(
            f"version {to} is not applied",
            hint="`mosaic-deploy migrate status` lists what is applied; --to 0 rolls back every migration",
        )
    return [entry for entry in newest_first if entry.migration.order > place]


def _down_migration(
    context: HistoryContext, entry: HistoryEntry, applied: AppliedTexts
) -> tuple[DownMigration, ParsedFile]:
    row = entry.migration
    match = applied.matches.by_version[row.version]
    name = row.file if match.file is None else match.file.file
    if entry.unknown or not row.applied:
        message = f"only {row.steps_done} of its {row.steps} steps are known to be applied"
        see = NextAction("see how to complete or fix it", "mosaic-deploy migrate status")
        raise _RollbackImpossible(name, message, "apply the rest first, or fix the history", [see])
    if match.file is None:
        return _applied_down_migration(context, row, applied)
    if match.kind is MatchKind.MOVED:
        message = f"was applied as {row.file}; its number has changed"
        rename = NextAction(
            f"to record that {row.file} is {name} now (runs nothing)",
            f"mosaic-deploy migrate repair --rename {row.version}",
            needs_person=True,
        )
        hint = "record its new number, or restore the old one"
        raise _RollbackImpossible(name, message, hint, [rename, _restore(row)])
    if match.file.checksum != row.checksum:
        accept = NextAction(
            f"to record the current text of {name} (runs nothing)",
            f"mosaic-deploy migrate repair --accept {shlex.quote(name)}",
            needs_person=True,
        )
        hint = "restore it, or accept the edit"
        edited = "was edited" if match.diverged else "its comments, layout or down section changed"
        message = f"{edited} after it was applied, so its down migration may not match"
        raise _RollbackImpossible(name, message, hint, [_restore(row), accept])
    file = context.by_version[row.version]
    found = read_down_migrations(context.manifest.root, migrations_folder(context.manifest), file)
    if not found:
        raise _RollbackImpossible(
            name,
            f"{_NO_DOWN}; write {down_file_name(name)}",
        )
    if len(found) > 1:
        raise _RollbackImpossible(
            name, f"has two down migrations: {' and '.join(down.description for down in found)}", "remove one"
        )
    return found[0], _parse_down(file, found[0])


def _applied_down_migration(
    context: HistoryContext, row: Migration, applied: AppliedTexts
) -> tuple[DownMigration, ParsedFile]:
    """The down migration in the text as applied, for a file that is no longer in the folder."""
    text = applied.texts.get(row.version)
    file = MigrationFile(row, migration_path(context, row.file), text or "")
    section = section_as_applied(file) if text else None
    if section is None:
        message = "is no longer in the folder, and was applied without a migrate:down section"
        hint = f"restore it and write {down_file_name(row.file)}, or undo it by hand and forget it"
        forget = NextAction(
            f"once {row.file} is undone by hand",
            f"mosaic-deploy migrate repair --forget {row.version}",
            needs_person=True,
        )
        raise _RollbackImpossible(row.file, message, hint, [_restore(row), forget])
    found = replace(section, description=f"{section.description}, as applied")
    return found, _parse_down(file, found)


def _restore(row: Migration) -> NextAction:
    return restore_action(row, f"to restore {row.file} as it was applied")


def _parse_down(file: MigrationFile, down: DownMigration) -> ParsedFile:
    """The down migration as a single step. Raises _RollbackImpossible, MigrationInvalid."""
    [parsed] = parse_migrations([down.file])
    name = file.migration.file
    if not parsed.has_statements:
        raise _RollbackImpossible(
            name,
            f"its down migration is empty ({down.description})",
            "if there is nothing to undo, write SELECT 1;",
        )
    statements = sum(len(step.statements) for step in parsed.steps)
    reasons = [step.reason for step in parsed.steps if step.reason]
    needs_several = (
        len(parsed.steps) > 1 or parsed.steps[0].execution_mode is ExecutionMode.OUTSIDE_TRANSACTION
    )
    if needs_several or (down.no_transaction and statements > 1):
        why = next(filter(None, (*reasons, down.no_transaction, "it has its own transactions")))
        raise _RollbackImpossible(
            name,
            f"its down migration can't run in one transaction ({down.description}): {why}",
            "undo it by hand",
        )
    return ParsedFile(down.file, parsed.steps, declared=parsed.declared)


def _rollback_steps(run: Run) -> Iterator[Event]:
    parsed = {p.file.migration.version: p for p in run.planned.parsed}
    changes = [change for change in run.changes if isinstance(change, RollBackMigration)]
    begin_schema_change(run)
    yield from run_file_steps(run, [_file_step(run, change, parsed[change.version]) for change in changes])
    yield from record_schema(run)


def _file_step(run: Run, change: RollBackMigration, parsed: ParsedFile) -> FileStep:
    step = Step(
        version=change.version,
        file=change.file,
        checksum="",
        semantic="",
        semantic_before="",
        source=parsed.file.text,
        number=1,
        steps=1,
        sql=checked_step(parsed.steps[0], 1, parsed.file, run.planned.plan.hazards),
        purpose=Purpose.ROLLBACK,
        agreed=agreed_effects(run, parsed.file, 1),
    )
    return FileStep(change, step, parsed)
