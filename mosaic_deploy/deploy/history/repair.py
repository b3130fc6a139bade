"""`migrate repair`: turns requested repairs into a plan of corrected rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mosaic_deploy.deploy.history.read import (
    HistoryContext,
    history_plan,
    lost_steps_of,
    migration_path,
    read_own_history,
    try_parse,
    with_checksums,
)
from mosaic_deploy.deploy.planning.history_evidence import (
    files_with_moved_statements,
    lost_step_problem,
)
from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.diff.history.identity import find_version
from mosaic_deploy.diff.history.repair_order import order_notes
from mosaic_deploy.diff.history.repairs import RepairRequest, repair_changes
from mosaic_deploy.errors import Location, Problem, RepairRefused
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.indexes import IndexState, read_index, read_indexes_dropped
from mosaic_deploy.live.database.names import qualify_names
from mosaic_deploy.live.ledger.applied_sources import read_applied_sources
from mosaic_deploy.model.plan import Note, Severity
from mosaic_deploy.model.snapshot import Migration
from mosaic_deploy.source.migrations.files import MigrationFile, statement_location
from mosaic_deploy.sql.describe import describe_statements
from mosaic_deploy.sql.execution.split import ExecutionMode
from mosaic_deploy.sql.parse import Statement

REPAIR = "repair"
_APPLY_HINT = "`mosaic-deploy apply` does it, and replaces an invalid index of a failed build"


def plan_repair(api: Api, context: HistoryContext, request: RepairRequest) -> PreparedPlan:
    """A plan of the requested repairs. Raises RepairRefused and as `read_own_history`. Reads only."""
    own = read_own_history(api, context)
    request = _resolved(request, context)
    rows = [entry.migration for entry in context.ledger.entries]
    begun = {row.version for row in rows}
    named = {*request.accept, *request.squash, *(version for version, _ in request.applied)}
    folder = [_parse_if_needed(file, rows, begun | named) for file in context.files]
    try:
        changes = repair_changes(request, own.found.matches, context.ledger.entries, folder)
    except RepairRefused as error:
        error.problems = tuple(_with_path(problem, context) for problem in error.problems)
        raise
    _refuse_lost(api, context, request)
    _refuse_unapplied(api, context, request)
    _refuse_split(api, context, request)
    notes = (*order_notes(own.found.matches, changes), *_unrun_notes(context, request))
    return history_plan(own, changes, notes)


def _unrun_notes(context: HistoryContext, request: RepairRequest) -> Iterator[Note]:
    """What the steps do that are recorded as applied, because they will never run."""
    rows = [entry.migration for entry in context.ledger.entries]
    done = {row.version: row.steps_done for row in rows}
    for version, number in request.applied:
        file = context.by_version[version]
        parsed = try_parse(file, rows)
        steps = parsed.steps[done.get(version, 0) : number] if parsed else ()
        if statements := [statement for step in steps for statement in step.statements]:
            line = statement_location(file, statements[0]).line
            message = f"{file.migration.file}:{line}: won't run: {describe_statements(statements).removeprefix('runs ')}"
            yield Note("steps_not_run", message, Severity.WARNING, (f"migration:{file.migration.file}",))


def _resolved(request: RepairRequest, context: HistoryContext) -> RepairRequest:
    """The request with files' names and the history's versions for what is given, as in `find_version`."""
    folder = [file.migration for file in context.files]
    names = {migration.version: migration.file for migration in folder}
    accept, squash = (
        [names.get(find_version(each, folder), each) for each in given]
        for given in (request.accept, request.squash)
    )
    forget, rename = (
        [context.find_version(each) for each in given] for given in (request.forget, request.rename)
    )
    applied, not_applied = (
        [(context.find_version(version), step) for version, step in given]
        for given in (request.applied, request.not_applied)
    )
    return RepairRequest(accept, squash, forget, rename, applied, not_applied)


def _with_path(problem: Problem, context: HistoryContext) -> Problem:
    """The problem with its file's path relative to the project folder; unchanged for a version without a file."""
    name = problem.location.file
    return (
        replace(problem, location=Location(migration_path(context, name)))
        if name.endswith(".sql")
        else problem
    )


def _refuse_unapplied(api: Api, context: HistoryContext, request: RepairRequest) -> None:
    """Raises RepairRefused if an index that should be created or dropped isn't, by the database's catalog."""
    rows = [entry.migration for entry in context.ledger.entries]
    done = {row.version: row.steps_done for row in rows}
    problems = [
        Problem(message, statement_location(file, statement), hint=_APPLY_HINT)
        for version, number in request.applied
        if (file := context.by_version[version]) and (parsed := try_parse(file, rows))
        for step in parsed.steps[done.get(version, 0) : number]
        if step.execution_mode is ExecutionMode.OUTSIDE_TRANSACTION
        for statement in qualify_names(api, context.project.id, step).sql.statements
        if (message := _index_mismatch(api, context.project.id, statement))
    ]
    if problems:
        raise RepairRefused("this step did not take effect", problems=problems)


def _refuse_lost(api: Api, context: HistoryContext, request: RepairRequest) -> None:
    """Raises RepairRefused if a step to record as applied isn't the one that was begun: its file was edited since."""
    files = [context.by_version[version] for version, _ in request.applied]
    if lost := lost_steps_of(api, context, files):
        problems = [lost_step_problem(file, row) for file, row in lost]
        raise RepairRefused("this repair isn't possible", problems=problems)


def _refuse_split(api: Api, context: HistoryContext, request: RepairRequest) -> None:
    """Raises RepairRefused if a file to accept lost statements to pending files: they would run a second time."""
    rows = {entry.migration.version: entry.migration for entry in context.ledger.entries}
    accepted = [file for file in context.files if file.migration.file in request.accept]
    if not accepted:
        return
    recorded = {*rows, *(version for version, _ in request.applied)}
    pending = [file for file in context.files if file.migration.version not in recorded]
    texts = read_applied_sources(api, context.project.id, {file.migration.version for file in accepted})
    problems = [
        Problem(
            f"has statements that were applied as part of {row.file}, and would run them again",
            Location(migration_path(context, part.file)),
            hint=f"`mosaic-deploy migrate restore-file {row.version}` undoes the split; if {part.file} has nothing else, "
            f"record it with --applied {part.version}:N for its last step N",
        )
        for file in accepted
        if (row := rows[file.migration.version]).version in texts
        for part in files_with_moved_statements(row, texts[row.version], file, pending)
    ]
    if problems:
        raise RepairRefused("this repair isn't possible", problems=problems)


def _index_mismatch(api: Api, project: str, statement: Statement) -> str:
    """How the index differs from the statement's result; empty if it doesn't, or that can't be read."""
    if statement.kind == "DropStmt":
        return "" if read_indexes_dropped(api, project, statement) else "the index still exists"
    if statement.kind != "IndexStmt":
        return ""
    found = read_index(api, project, statement)
    if found.state is IndexState.INVALID:
        return f"the index {found.name} exists but is invalid: its build failed, and no query uses it"
    return f"the index {found.name} doesn't exist on its table" if found.state is IndexState.ABSENT else ""


def _parse_if_needed(file: MigrationFile, rows: Sequence[Migration], wanted: set[str]) -> Migration:
    """The migration, parsed only if a repair may be about it."""
    needed = {file.migration.version, file.migration.file} & wanted
    return with_checksums(file, rows) if needed else file.migration
