"""Compares the live rows with the constraints that a rehearsal saw appear or tighten. Reads live rows in one request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mosaic_deploy.deploy.planning.planned import PreparedPlan
from mosaic_deploy.deploy.rehearsal.pending import pending_statements
from mosaic_deploy.errors import Location, MosaicError, ResponseInvalid, SqlFailed
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.error_mapping import MULTIPLE_COMMANDS_ERROR
from mosaic_deploy.live.database.clones import RehearsalDatabase
from mosaic_deploy.model.catalog import RehearsedChange, SchemaChange, SchemaObject
from mosaic_deploy.model.change import ApplyMigration
from mosaic_deploy.model.hazard import RowCheck
from mosaic_deploy.source.migrations.files import statement_location
from mosaic_deploy.sql.hazards.syntax.names import quote_if_needed
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.read_only import NOT_READ_ONLY_MESSAGE
from mosaic_deploy.sql.row_checks.facts import ConstraintFacts, Table, parse_facts
from mosaic_deploy.sql.row_checks.facts_query import FACTS_QUERY
from mosaic_deploy.sql.row_checks.pending_writes import PendingWrites, pending_writes
from mosaic_deploy.sql.row_checks.request import (
    RESULTS_COLUMN,
    RowCheckResult,
    parse_results,
    row_checks_request,
)
from mosaic_deploy.sql.row_checks.tightened import RowCheckQuery, tightened
from mosaic_deploy.sql.row_checks.violations import MAX_ROWS

_NO_READ_ONLY = "the platform has no read-only transactions"
_OTHER_FORMAT = "the SQL endpoint returned the results in an unexpected format"

_MAKING = ("AlterTableStmt", "IndexStmt")
_HIDING = ("RenameStmt", "DoStmt", "SelectStmt", "CallStmt")
"""In a file with one of these, a constraint without a name in the text may be made elsewhere, or under a table's other name."""


def read_constraints(database: RehearsalDatabase) -> ConstraintFacts:
    """The constraints of the rehearsal's database. Raises ApiError."""
    rows = database.api.sql(database.project, FACTS_QUERY)
    try:
        return parse_facts(str(rows[0]["facts"]))
    except (LookupError, ValueError):
        raise ResponseInvalid(
            "the embedded platform returned the constraints in an unexpected format"
        ) from None


def may_restrict(done: Sequence[RehearsedChange]) -> bool:
    """Whether the schema changes can include constraints on rows that exist."""
    return any(_restricts(change) for each in done for change in each.changes)


def _restricts(change: SchemaChange) -> bool:
    if change.after is None or change.object.kind not in ("constraint", "index", "domain", "column"):
        return False
    return change.object.kind != "column" or change.before is not None or "NOT NULL" in change.after


def check_rows(
    live: Api,
    project: str,
    planned: PreparedPlan,
    before: ConstraintFacts,
    after: ConstraintFacts,
    done: Sequence[RehearsedChange],
) -> tuple[RowCheck, ...]:
    """The checks with their results. One read-only request to `live`; none if no constraint was added or tightened.

    If that fails, the checks say why; nothing is raised.
    """
    wanted = tightened(before, after, _pending_writes(planned, before, after))
    queries = [each.query for each in wanted if each.query]
    results = iter(_results(live, project, queries) if queries else ())
    return tuple(
        _row_check(
            each,
            next(results) if each.query else RowCheckResult(None, reason=each.reason),
            _address(each, done),
            planned,
        )
        for each in wanted
    )


def _pending_writes(planned: PreparedPlan, before: ConstraintFacts, after: ConstraintFacts) -> PendingWrites:
    sides: list[Table] = [*before.tables.values(), *after.tables.values()]
    routines = {name for side in (before, after) for name, _ in side.routines.values()}
    names = {table.name for table in sides}
    acting = {table.name for table in sides if table.acts}
    return pending_writes(pending_statements(planned), routines, names, acting)


def _results(live: Api, project: str, queries: Sequence[str]) -> Iterator[RowCheckResult]:
    try:
        rows = live.sql(project, row_checks_request(queries))
        yield from parse_results(str(rows[0][RESULTS_COLUMN]), len(queries))
    except (LookupError, ValueError):
        yield from _all_failed(queries, _OTHER_FORMAT)
    except SqlFailed as error:
        known = MULTIPLE_COMMANDS_ERROR in error.message or NOT_READ_ONLY_MESSAGE in error.message
        yield from _all_failed(
            queries, _NO_READ_ONLY if known else f"PostgreSQL reports SQLSTATE {error.sqlstate}"
        )
    except MosaicError as error:
        yield from _all_failed(queries, error.message)


def _all_failed(queries: Sequence[str], reason: str) -> list[RowCheckResult]:
    return [RowCheckResult(None, reason=reason)] * len(queries)


def _row_check(wanted: RowCheckQuery, found: RowCheckResult, address: str, planned: PreparedPlan) -> RowCheck:
    rows = found.rows
    return RowCheck(
        wanted.constraint,
        wanted.kind,
        wanted.table,
        rows if rows is None else min(rows, MAX_ROWS),
        more=rows is not None and rows > MAX_ROWS,
        keys=found.keys,
        written=wanted.written and rows is not None,
        reason=found.reason,
        address=address,
        location=_location(wanted, address, planned),
    )


def _address(wanted: RowCheckQuery, done: Sequence[RehearsedChange]) -> str:
    """Of the last change of the plan that makes the constraint; empty if it is reported under another name."""
    kind, parent, name = wanted.object
    item = SchemaObject(kind, name, parent)
    found = [
        each
        for each in done
        if any(change.object == item and _makes(change, wanted.kind) for change in each.changes)
    ]
    return found[-1].addresses[-1] if found and len(found[-1].addresses) == 1 else ""


def _location(wanted: RowCheckQuery, address: str, planned: PreparedPlan) -> Location | None:
    """Of the migration at `address`, with the line if only one of its statements can make the constraint."""
    kind, _, file = address.partition(":")
    parsed = next((each for each in planned.parsed if each.file.migration.file == file), None)
    if kind != ApplyMigration.kind or parsed is None:
        return None
    statements = [statement for step in parsed.steps for statement in step.statements]
    found = [each for each in statements if each.kind in _MAKING and _is_about(each, wanted.table)]
    name = wanted.object[2].lower()
    named = [each for each in found if name in each.text.lower()]
    if not named and any(each.kind in _HIDING for each in statements):
        found = []
    if len(found := named or found) != 1:
        return Location(parsed.file.relative_path)
    return statement_location(parsed.file, found[0])


def _is_about(statement: Statement, table: str) -> bool:
    name = quote_if_needed(str(statement.node.get("relation", {}).get("relname", "")))
    return table == name or table.endswith(f".{name}")


def _makes(change: SchemaChange, kind: str) -> bool:
    """Whether it is the change of a column that makes it NOT NULL; true of other objects."""
    if change.after is None or kind != "not_null":
        return change.after is not None
    before, after = (
        re.search(r" NOT NULL( NOT VALID)?", f" {text or ''}") for text in (change.before, change.after)
    )
    return after is not None and (before is None or before[0] != after[0])
