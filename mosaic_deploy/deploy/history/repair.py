"""Repairs of the ledger's history: from what a person asks for to a plan of corrected rows."""

from __future__ import annotations

from dataclasses import replace

from mosaic_deploy.deploy.history.read import Known, meant, parsed_or_none, path_of, planned, require_project
from mosaic_deploy.deploy.planning.planned import Planned
from mosaic_deploy.diff.repairs import Wish, repairs
from mosaic_deploy.errors import Location, Problem, RepairRefused
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.database.indexes import State, read_dropped, read_index
from mosaic_deploy.model.snapshot import Migration
from mosaic_deploy.source.migrations.files import MigrationFile, statement_location
from mosaic_deploy.sql.execution.units import Carrier
from mosaic_deploy.sql.parse import Statement

REPAIR = "repair"
_APPLY = "`mosaic-deploy apply` does it: what a failed build left is dropped, and built again"


def plan_repair(api: Api, known: Known, wish: Wish) -> Planned:
    """The corrections that grant `wish`. Raises RepairRefused, ProjectNotFound. Reads only."""
    require_project(known)
    begun = {entry.migration.version for entry in known.told.entries}
    named = set(wish.accept) | {version for version, _ in wish.applied}
    folder = [_read(file, begun, named) for file in known.files]
    try:
        granted = repairs(wish, folder, known.told.entries)
    except RepairRefused as error:
        error.problems = tuple(_placed(problem, known) for problem in error.problems)
        raise
    _refuse_unapplied(api, known, wish)
    return planned(known, granted)


def _placed(problem: Problem, known: Known) -> Problem:
    """A problem of a file, at its path from the project folder; one of a version that has no file as it is."""
    name = problem.location.file
    return replace(problem, location=Location(path_of(known, name))) if name.endswith(".sql") else problem


def _refuse_unapplied(api: Api, known: Known, wish: Wish) -> None:
    """Raises RepairRefused for indexes that are said to be made or dropped, and aren't: that can be looked up."""
    done = {entry.migration.version: entry.migration.units_done for entry in known.told.entries}
    problems = [
        Problem(message, statement_location(file, statement), hint=_APPLY)
        for version, unit in wish.applied
        if (file := known.by_version[version]) and (parsed := parsed_or_none(file))
        for part in parsed.units[done.get(version, 0) : unit]
        if part.carrier is Carrier.SOLO
        for statement in part.statements
        if (message := _not_so(api, known.project.id, statement))
    ]
    if problems:
        raise RepairRefused("this has not taken effect", problems=problems)


def _not_so(api: Api, project: str, statement: Statement) -> str:
    """Why the statement's index isn't as the statement leaves it; empty where it is, or that can't be told."""
    if statement.kind == "DropStmt":
        return "" if read_dropped(api, project, statement) else "the index is still there"
    if statement.kind != "IndexStmt":
        return ""
    found = read_index(api, project, statement)
    if found.state is State.INVALID:
        return f"the index {found.name} is there, but invalid: its build failed, and no query uses it"
    return f"there is no index {found.name} on its table" if found.state is State.ABSENT else ""


def _read(file: MigrationFile, begun: set[str], named: set[str]) -> Migration:
    """Parsed where a repair can be about it: an unchanged file's meaning is in the ledger already."""
    wanted = {file.migration.version, file.migration.file} & (begun | named)
    return meant(file) if wanted else file.migration
