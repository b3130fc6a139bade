"""Asking the database in a transaction that is known to be read-only, on SQL endpoints of every kind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mosaic_deploy.errors import SqlFailed, SqlNotReadOnly
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
    """Rows that were asked for. `total` counts those found, also the ones that were too large to be sent."""

    rows: list[Row]
    total: int


def run_read_only(api: Api, project: str, reading: ReadOnlyQuery) -> ReadResult:
    """What a reading answers. Raises SqlNotReadOnly where no read-only transaction can be had, SqlFailed, ApiError."""
    rows = _run_multi_statement(api, project, reading)
    if rows is None:
        rows = _run_single_statement(api, project, reading)
    if reading.marker_column != TOTAL_COLUMN:
        return ReadResult(rows, len(rows))
    total = int(rows[0][TOTAL_COLUMN])
    # Where none fits, or there is none, one row says only how many were found.
    return ReadResult(
        [_without_own_columns(row) for row in rows if row.get(ROW_NUMBER_COLUMN) is not None], total
    )


def _without_own_columns(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in OWN_COLUMNS}


def _run_multi_statement(api: Api, project: str, reading: ReadOnlyQuery) -> list[Row] | None:
    """The rows; None of an endpoint that takes one statement only, runs each by itself, or answers another's rows."""
    try:
        rows = api.sql(project, reading.text)
    except SqlFailed as error:
        if MULTIPLE_COMMANDS_ERROR in error.message or NOT_READ_ONLY_MESSAGE in error.message:
            return None
        raise
    if reading.marker_column is None:
        return rows
    return rows if rows and all(reading.marker_column in row for row in rows) else None


def _run_single_statement(api: Api, project: str, reading: ReadOnlyQuery) -> list[Row]:
    if reading.single_statement is None:
        raise SqlNotReadOnly(
            "this SQL endpoint runs statements one by one, and EXPLAIN can't be made read-only there",
            hint="planning may run functions; a person who trusts them can ask with mosaic-deploy sql, without --read-only",
        )
    try:
        rows = api.sql(project, reading.single_statement)
    except SqlFailed as error:
        # It counts in our text, where the query is a literal.
        error.position = None
        raise
    document = rows[0].get(DOCUMENT_COLUMN) if rows else None
    found = json.loads(document, parse_float=_lossless) if isinstance(document, str) else None
    if not found:
        raise SqlNotReadOnly("this SQL endpoint runs no query in a read-only transaction; nothing was read")
    return [dict(row) for row in found]


def _lossless(text: str) -> Any:
    """A number, or its text where Python's would lose digits."""
    number = float(text)
    return number if repr(number) == text else text
