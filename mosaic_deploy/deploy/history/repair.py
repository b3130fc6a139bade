"""Repairs of the ledger's history: from what a person asks for to a plan of corrected rows."""

from __future__ import annotations

from dataclasses import replace

from mosaic_deploy.deploy.history.read import (
    HistoryContext,
    history_plan,
    migration_path,
    require_project,
    try_parse,
    with_checksums,
)
from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.diff.repairs import RepairRequest, repair_changes
from mosaic_deploy.errors import Location, Problem, RepairRefused
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.indexes import IndexState, read_index, read_indexes_dropped
from mosaic_deploy.model.snapshot import Migration
from mosaic_deploy.source.migrations.files import MigrationFile, statement_location
from mosaic_deploy.sql.execution.units import ExecutionMode
from mosaic_deploy.sql.parse import Statement

REPAIR = "repair"
_APPLY_HINT = "`mosaic-deploy apply` does it: what a failed build left is dropped, and built again"


def plan_repair(api: Api, context: HistoryContext, request: RepairRequest) -> PreparedPlan:
    """The corrections that grant `request`. Raises RepairRefused, ProjectNotFound. Reads only."""
    require_project(context)
    begun = {entry.migration.version for entry in context.ledger.entries}
    named = set(request.accept) | {version for version, _ in request.applied}
    folder = [_parse_if_needed(file, begun, named) for file in context.files]
    try:
        granted = repair_changes(request, folder, context.ledger.entries)
    except RepairRefused as error:
        error.problems = tuple(_with_path(problem, context) for problem in error.problems)
        raise
    _refuse_unapplied(api, context, request)
    return history_plan(context, granted)


def _with_path(problem: Problem, context: HistoryContext) -> Problem:
    """A problem of a file, at its path from the project folder; one of a version that has no file as it is."""
    name = problem.location.file
    return (
        replace(problem, location=Location(migration_path(context, name)))
        if name.endswith(".sql")
        else problem
    )


def _refuse_unapplied(api: Api, context: HistoryContext, request: RepairRequest) -> None:
    """Raises RepairRefused for indexes that are said to be made or dropped, and aren't: that can be looked up."""
    done = {entry.migration.version: entry.migration.units_done for entry in context.ledger.entries}
    problems = [
        Problem(message, statement_location(file, statement), hint=_APPLY_HINT)
        for version, unit in request.applied
        if (file := context.by_version[version]) and (parsed := try_parse(file))
        for part in parsed.units[done.get(version, 0) : unit]
        if part.execution_mode is ExecutionMode.OUTSIDE_TRANSACTION
        for statement in part.statements
        if (message := _index_mismatch(api, context.project.id, statement))
    ]
    if problems:
        raise RepairRefused("this has not taken effect", problems=problems)


def _index_mismatch(api: Api, project: str, statement: Statement) -> str:
    """Why the statement's index isn't as the statement leaves it; empty where it is, or that can't be told."""
    if statement.kind == "DropStmt":
        return "" if read_indexes_dropped(api, project, statement) else "the index is still there"
    if statement.kind != "IndexStmt":
        return ""
    found = read_index(api, project, statement)
    if found.state is IndexState.INVALID:
        return f"the index {found.name} is there, but invalid: its build failed, and no query uses it"
    return f"there is no index {found.name} on its table" if found.state is IndexState.ABSENT else ""


def _parse_if_needed(file: MigrationFile, begun: set[str], named: set[str]) -> Migration:
    """Parsed where a repair can be about it: an unchanged file's meaning is in the ledger already."""
    wanted = {file.migration.version, file.migration.file} & (begun | named)
    return with_checksums(file) if wanted else file.migration
