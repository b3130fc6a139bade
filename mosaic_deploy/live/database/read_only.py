"""Runs queries in a transaction that is verified to be read-only, whatever the SQL endpoint supports."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mosaic_deploy.errors import OperationUnknown, SqlFailed
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.error_mapping import MULTIPLE_COMMANDS_ERROR
from mosaic_deploy.live.api.responses import Row
from mosaic_deploy.sql.read_only import (
    DOCUMENT_COLUMN,
    NOT_READ_ONLY_MESSAGE,
    OWN_COLUMNS,
    ROW_NUMBER_COLUMN,
    TOTAL_COLUMN,
    ReadOnlyQuery,
)


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The rows of a query. `total` also counts rows that were too large to return."""

    rows: list[Row]
    total: int


def run_read_only(api: Api, project: str, query: ReadOnlyQuery) -> ReadResult:
    """The result of a query. Raises OperationUnknown if the endpoint has no read-only transactions, SqlFailed, ApiError."""
    rows = _run_multi_statement(api, project, query)
    if rows is None:
        rows = _run_single_statement(api, project, query)
    if query.marker_column != TOTAL_COLUMN:
        return ReadResult(rows, len(rows))
    total = int(rows[0][TOTAL_COLUMN])
    # Without rows, or if none fits, a single row has only the total.
    return ReadResult(
        [_without_own_columns(row) for row in rows if row.get(ROW_NUMBER_COLUMN) is not None], total
    )


def _without_own_columns(row: Row) -> Row:
    return Row((name, value) for name, value in row.items() if name not in OWN_COLUMNS)


def _run_multi_statement(api: Api, project: str, query: ReadOnlyQuery) -> list[Row] | None:
    """The rows; None if the endpoint accepts one statement only, runs each on its own, or returns rows of another."""
    try:
        rows = api.sql(project, query.text)
    except SqlFailed as error:
        if MULTIPLE_COMMANDS_ERROR in error.message or NOT_READ_ONLY_MESSAGE in error.message:
            return None
        raise
    if query.marker_column is None:
        return rows
    return rows if rows and all(query.marker_column in row for row in rows) else None


def _run_single_statement(api: Api, project: str, query: ReadOnlyQuery) -> list[Row]:
    if query.single_statement is None:
        raise OperationUnknown(
            "this platform has no read-only transactions, so EXPLAIN can't be run read-only",
            hint="planning a query may run functions; if you trust them, run it without --read-only",
        )
    try:
        rows = api.sql(project, query.single_statement)
    except SqlFailed as error:
        # It is a position in the wrapper, which contains the query as a literal.
        error.position = None
        raise
    document = rows[0].get(DOCUMENT_COLUMN) if rows else None
    found = json.loads(document, parse_float=_lossless) if isinstance(document, str) else None
    if not found:
        raise OperationUnknown("this platform has no read-only transactions; the query wasn't run")
    return [Row(row) for row in found]


def _lossless(text: str) -> Any:
    """A number, or its text if a float would lose digits."""
    number = float(text)
    return number if repr(number) == text else text
