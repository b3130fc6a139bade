"""Asking the database in a transaction that is known to be read-only, on SQL endpoints of every kind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mosaic_deploy.errors import SqlFailed, SqlRefused
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.error_mapping import ONE_STATEMENT
from mosaic_deploy.live.api.responses import Row
from mosaic_deploy.sql.read_only import DOCUMENT, NOT_IN_FORCE, OWN_COLUMNS, PLACE, TOTAL, Reading


@dataclass(frozen=True, slots=True)
class Found:
    """Rows that were asked for. `total` counts those found, also the ones that were too large to be sent."""

    rows: list[Row]
    total: int


def read(api: Api, project: str, reading: Reading) -> Found:
    """What a reading answers. Raises SqlRefused where no read-only transaction can be had, SqlFailed, ApiError."""
    rows = _together(api, project, reading)
    if rows is None:
        rows = _alone(api, project, reading)
    if reading.mark != TOTAL:
        return Found(rows, len(rows))
    total = int(rows[0][TOTAL])
    # Where none fits, or there is none, one row says only how many were found.
    return Found([_bare(row) for row in rows if row.get(PLACE) is not None], total)


def _bare(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in OWN_COLUMNS}


def _together(api: Api, project: str, reading: Reading) -> list[Row] | None:
    """The rows; None of an endpoint that takes one statement only, runs each by itself, or answers another's rows."""
    try:
        rows = api.sql(project, reading.text)
    except SqlFailed as error:
        if ONE_STATEMENT in error.message or NOT_IN_FORCE in error.message:
            return None
        raise
    if reading.mark is None:
        return rows
    return rows if rows and all(reading.mark in row for row in rows) else None


def _alone(api: Api, project: str, reading: Reading) -> list[Row]:
    if reading.alone is None:
        raise SqlRefused(
            "this SQL endpoint runs statements one by one, and EXPLAIN can't be made read-only there",
            hint="planning may run functions; a person who trusts them can ask with mosaic-deploy sql, without --read-only",
        )
    try:
        rows = api.sql(project, reading.alone)
    except SqlFailed as error:
        # It counts in our text, where the query is a literal.
        error.position = None
        raise
    document = rows[0].get(DOCUMENT) if rows else None
    found = json.loads(document, parse_float=_lossless) if isinstance(document, str) else None
    if not found:
        raise SqlRefused("this SQL endpoint runs no query in a read-only transaction; nothing was read")
    return [dict(row) for row in found]


def _lossless(text: str) -> Any:
    """A number, or its text where Python's would lose digits."""
    number = float(text)
    return number if repr(number) == text else text
