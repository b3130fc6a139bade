"""Runs the statements of one SQL call; returns the last one's rows and the notices, and translates PostgreSQL's errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.pq import ExecStatus, TransactionStatus

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.postgres.connections import Session
from mosaic_deploy.platform.sql import row_stream
from mosaic_deploy.platform.sql.modes import SqlModes
from mosaic_deploy.platform.sql.notices import Notices, collected
from mosaic_deploy.platform.sql.rows import Rows
from mosaic_deploy.platform.sql.values import (
    BUILTIN_ARRAYS,
    JSON_TYPES,
    KNOWN_TYPES,
    array_literal,
    scalar_text,
)

PARAMETER_LIMIT = 65_535


@dataclass(frozen=True)
class CallLimits:
    """Limits of one call: bytes of its result as JSON, and seconds of its duration."""

    result_bytes: int = 32 * 1024 * 1024
    seconds: float = 600.0


@dataclass(frozen=True)
class SqlResult:
    """The last statement's rows, and what PostgreSQL reported during the call."""

    rows: Rows
    notices: Notices


_LEFT_OPEN = "the call began a transaction and didn't end it, so it was rolled back"


async def run(
    session: Session,
    query: bytes,
    params: list[Any] | None,
    modes: SqlModes,
    limits: CallLimits | None = None,
) -> SqlResult:
    """Run one call's statements, in UTF-8; raises Fault for errors.

    Without `params` the query may have several statements; with them only one, which uses `$1`, `$2` and so on.
    """
    limits = limits or CallLimits()
    call = _Call(session, limits)
    notices = Notices()
    try:
        async with _call_timeout(limits.seconds):
            with collected(session, notices):
                rows = await call.run(query, params, modes)
            if session.pgconn.transaction_status == TransactionStatus.INTRANS:
                notices.warn(_LEFT_OPEN)
            return SqlResult(rows, notices)
    except psycopg.Error as error:
        raise _sql_fault(error, call.completed, notices) from error
    except row_stream.ResultTooLarge as error:
        await session.close()
        raise _too_large(limits) from error


class _Call:
    def __init__(self, session: Session, limits: CallLimits) -> None:
        self._session = session
        self._limits = limits
        self.completed = 0
        """Number of completed statements."""

    async def run(self, query: bytes, params: list[Any] | None, modes: SqlModes) -> Rows:
        values = None if params is None else await self._encode_params(query, params)
        if modes.one_statement:
            values = values or []
        if not modes.wrapped:
            return await self._last_rows(query, values)
        await self._session.execute("BEGIN")
        rows = await self._last_rows(query, values)
        await self._session.execute("COMMIT")
        return rows

    async def _last_rows(self, query: bytes, values: list[bytes | None] | None) -> Rows:
        rows = Rows(self._limits.result_bytes)
        stream = row_stream.stream_results(self._session, query, values, self._limits.result_bytes)
        async with aclosing(stream):
            async for result in stream:
                if result.status in row_stream.COPY_STATUSES:
                    raise await self._copy_not_supported()
                if result.status == ExecStatus.TUPLES_CHUNK:
                    rows.add(result, row_stream.encoding(self._session))
                elif result.status != ExecStatus.EMPTY_QUERY:
                    self.completed += 1
                    rows.end_statement(result, row_stream.encoding(self._session))
        rows.write_pending(await self._fetch_custom_arrays(rows.unknown_types))
        return rows

    async def _encode_params(self, query: bytes, params: list[Any]) -> list[bytes | None]:
        """Parameters as text. A list becomes an array or JSON, depending on the parameter's type in the statement."""
        if len(params) > PARAMETER_LIMIT:
            raise Fault(400, "field_invalid", f"`params` has more than {PARAMETER_LIMIT:,} values")
        types: list[int] = []
        arrays: dict[int, tuple[int, str]] = {}
        if any(isinstance(value, list) for value in params):
            types = await row_stream.fetch_parameter_types(self._session, query)
            arrays = BUILTIN_ARRAYS | await self._fetch_custom_arrays(set(types) - KNOWN_TYPES)
        encoded: list[bytes | None] = []
        for number, value in enumerate(params):
            array = arrays.get(types[number]) if number < len(types) else None
            if isinstance(value, list) and array is not None:
                element, delimiter = array
                items = [_json_item(item) for item in value] if element in JSON_TYPES else value
                encoded.append(array_literal(items, delimiter).encode())
            else:
                encoded.append(None if value is None else scalar_text(value).encode())
        return encoded

    async def _fetch_custom_arrays(self, oids: set[int]) -> dict[int, tuple[int, str]]:
        """Element type and delimiter of those types that are arrays.

        Looked up in this session, because only it sees types that it hasn't committed yet.
        """
        if not oids:
            return {}
        await self._session.execute("SELECT pg_catalog.set_config('statement_timeout', '10s', false)")
        cursor = await self._session.execute(_ARRAYS_QUERY, [list(oids)])
        return {oid: (element, delimiter) for oid, element, delimiter in await cursor.fetchall()}

    async def _copy_not_supported(self) -> Fault:
        """The error for a COPY. Closes the session, which is in the middle of the COPY and unusable."""
        await self._session.close()
        message = "COPY FROM STDIN and COPY TO STDOUT don't work through this endpoint; connect with the database_url"
        return Fault(400, "copy_not_supported", message, details={"statement": self.completed + 1})


def _json_item(item: Any) -> str | None:
    """An element of a json[] array. JSON null becomes SQL NULL, as in every other array."""
    return None if item is None else json.dumps(item)


_ARRAYS_QUERY = """
WITH RECURSIVE base (asked, oid) AS (
  SELECT oid, oid FROM pg_catalog.pg_type WHERE oid = ANY (%s)
  UNION ALL
  SELECT base.asked, type.typbasetype FROM base JOIN pg_catalog.pg_type type USING (oid) WHERE type.typtype = 'd'
), element (asked, oid, delimiter) AS (
  SELECT base.asked, element.oid, element.typdelim::text
  FROM base JOIN pg_catalog.pg_type list USING (oid) JOIN pg_catalog.pg_type element ON element.oid = list.typelem
  WHERE list.typinput = 'pg_catalog.array_in'::pg_catalog.regproc
  UNION ALL
  SELECT element.asked, type.typbasetype, element.delimiter
  FROM element JOIN pg_catalog.pg_type type USING (oid) WHERE type.typtype = 'd'
)
SELECT element.asked, element.oid, element.delimiter FROM element JOIN pg_catalog.pg_type type USING (oid)
WHERE type.typtype <> 'd'
"""


@asynccontextmanager
async def _call_timeout(seconds: float) -> AsyncIterator[None]:
    """On timeout psycopg also cancels the statement in PostgreSQL."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        message = f"the call was cancelled because it took longer than {seconds:g} seconds"
        raise Fault(400, "call_timeout", message, details={"sqlstate": "57014"}) from error


def _too_large(limits: CallLimits) -> Fault:
    limit = limits.result_bytes // 1024 // 1024
    message = (
        f"the result is larger than {limit} MiB, so the statement was cancelled; add a LIMIT, or connect with the "
        "database_url"
    )
    return Fault(413, "result_too_large", message)


def _sql_fault(error: psycopg.Error, completed: int, notices: Notices) -> Fault:
    diagnosis = error.diag
    # FATAL ends the session, whatever the SQLSTATE: PostgreSQL stopped, crashed or terminated the connection.
    session_ended = diagnosis.severity_nonlocalized in ("FATAL", "PANIC")
    if session_ended or (diagnosis.sqlstate is None and isinstance(error, psycopg.OperationalError)):
        return Fault(503, "database_unavailable", f"lost the connection to the database: {error}".strip())
    position = diagnosis.statement_position
    # PostgreSQL parses the whole query before it runs the first statement.
    is_syntax_error = diagnosis.sqlstate == "42601" and completed == 0
    details = {
        "sqlstate": diagnosis.sqlstate,
        "detail": diagnosis.message_detail,
        "hint": diagnosis.message_hint,
        "position": int(position) if position else None,
        "statement": None if is_syntax_error else completed + 1,
        "where": diagnosis.context,
        "schema": diagnosis.schema_name,
        "table": diagnosis.table_name,
        "column": diagnosis.column_name,
        "constraint": diagnosis.constraint_name,
        "notices": notices.kept,
    }
    return Fault(400, "sql_error", diagnosis.message_primary or str(error), details=details)
