"""Running SQL for a project: `POST /{id}/sql`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult
from psycopg.types.json import Jsonb

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.sessions import Session
from mosaic_deploy.platform.variants import Variants

Row = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """The last statement's rows, or one row with its command tag where it has none."""

    rows: list[Row]
    row_count: int


async def run(session: Session, query: str, params: list[Any] | None, variants: Variants) -> Result:
    """Run one call's statements. Without `params` they go as one simple-protocol message, many allowed;
    with them as one statement with `$1`, `$2` … in it."""
    if variants.one_statement:
        # Prepared first: PostgreSQL's extended protocol takes one statement.
        session.prepare_threshold = 0
    try:
        if not variants.wrapped:
            return await _execute(session, query, params)
        await session.execute("BEGIN")
        result = await _execute(session, query, params)
        await session.execute("COMMIT")
    except psycopg.Error as error:
        raise _sql_fault(error) from error
    return result


async def _execute(session: Session, query: str, params: list[Any] | None) -> Result:
    cursor = psycopg.AsyncRawCursor(session)
    if params is None:
        await cursor.execute(query.encode("utf-8"))
    else:
        await cursor.execute(query.encode("utf-8"), [_parameter(value) for value in params])
    while cursor.nextset():
        pass
    assert cursor.pgresult is not None
    return _read_result(cursor.pgresult, session.info.encoding)


def _parameter(value: Any) -> Any:
    """Scalars travel as untyped text, so that PostgreSQL gives them the type the statement wants."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, dict) or any(isinstance(item, dict | list) for item in value):
        return Jsonb(value)
    return [_parameter(item) for item in value]


def _read_result(result: PGresult, encoding: str) -> Result:
    if result.status == ExecStatus.TUPLES_OK:
        return Result(_read_rows(result, encoding), result.ntuples)
    if result.status == ExecStatus.EMPTY_QUERY:
        return Result([], 0)
    tag = (result.command_status or b"").decode()
    return Result([{"result": tag}], result.command_tuples or 0)


def _read_rows(result: PGresult, encoding: str) -> list[Row]:
    names = _column_names(result, encoding)
    readers = [_READERS.get(result.ftype(column), _as_text) for column in range(result.nfields)]
    columns = list(enumerate(zip(names, readers, strict=True)))

    def cell(row: int, column: int, reader: Callable[[str], Any]) -> Any:
        raw = result.get_value(row, column)
        return None if raw is None else reader(raw.decode(encoding, "replace"))

    return [
        {name: cell(row, column, reader) for column, (name, reader) in columns}
        for row in range(result.ntuples)
    ]


def _column_names(result: PGresult, encoding: str) -> list[str]:
    """A name that comes again gets a number, so that no column is lost: id, id_2."""
    wanted = [(result.fname(column) or b"").decode(encoding, "replace") for column in range(result.nfields)]
    taken = set(wanted)
    seen: set[str] = set()
    names = []
    for name in wanted:
        unique, number = name, 1
        while unique in seen or (number > 1 and unique in taken):
            number += 1
            unique = f"{name}_{number}"
        seen.add(unique)
        names.append(unique)
    return names


def _as_text(value: str) -> Any:
    return value


def _as_float(value: str) -> float | str:
    """JSON has no NaN and no infinity; they stay PostgreSQL's words."""
    number = float(value)
    return number if math.isfinite(number) else value


def _as_json(value: str) -> Any:
    """A document with a number that Python can't hold stays text."""
    try:
        document = json.loads(value)
        json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return value
    return document


# By type OID: bool; int8, int2, int4, oid; float4, float8; json, jsonb. All else is PostgreSQL's text form.
_READERS: dict[int, Callable[[str], Any]] = {
    16: lambda value: value == "t",
    **dict.fromkeys((20, 21, 23, 26), int),
    **dict.fromkeys((700, 701), _as_float),
    **dict.fromkeys((114, 3802), _as_json),
}


def _sql_fault(error: psycopg.Error) -> Fault:
    diagnosis = error.diag
    if diagnosis.message_primary is None and isinstance(error, psycopg.OperationalError):
        return Fault(503, "database_unavailable", f"the connection to the database was lost: {error}".strip())
    message = diagnosis.message_primary or str(error)
    if diagnosis.sqlstate is None and message.startswith("COPY "):
        message = "COPY from or to the client is not possible through this endpoint; use a direct connection"
    position = diagnosis.statement_position
    details = {
        "sqlstate": diagnosis.sqlstate,
        "detail": diagnosis.message_detail,
        "hint": diagnosis.message_hint,
        "position": int(position) if position else None,
        "where": diagnosis.context,
    }
    return Fault(400, "sql_error", message, details=details)
