"""Running SQL for a project: one call's statements, its last result as JSON, its errors as PostgreSQL's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.pq import ExecStatus

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.postgres.connections import Session
from mosaic_deploy.platform.sql import row_stream
from mosaic_deploy.platform.sql.modes import SqlModes
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
    """What one call may take: bytes of its result as JSON, seconds until its end."""

    result_bytes: int = 32 * 1024 * 1024
    seconds: float = 600.0


async def run(
    session: Session,
    query: str,
    params: list[Any] | None,
    variants: SqlModes,
    limits: CallLimits | None = None,
) -> Rows:
    """Run one call's statements; the last one's rows. Without `params` several statements are allowed; with
    them it is one, with `$1`, `$2` … in it. What goes wrong is a Fault."""
    limits = limits or CallLimits()
    call = _Call(session, limits)
    try:
        async with _call_timeout(limits.seconds):
            return await call.run(query.encode(), params, variants)
    except psycopg.Error as error:
        raise _sql_fault(error, call.completed) from error
    except row_stream.ResultTooLarge as error:
        await session.close()
        raise _too_large(limits) from error


class _Call:
    def __init__(self, session: Session, limits: CallLimits) -> None:
        self._session = session
        self._limits = limits
        self.completed = 0
        """Statements that have come to their end."""

    async def run(self, query: bytes, params: list[Any] | None, variants: SqlModes) -> Rows:
        values = None if params is None else await self._encode_params(query, params)
        if variants.one_statement:
            values = values or []
        if not variants.wrapped:
            return await self._last_rows(query, values)
        await self._session.execute("BEGIN")
        found = await self._last_rows(query, values)
        await self._session.execute("COMMIT")
        return found

    async def _last_rows(self, query: bytes, values: list[bytes | None] | None) -> Rows:
        rows = Rows(self._limits.result_bytes)
        stream = row_stream.stream_results(self._session, query, values, self._limits.result_bytes)
        async with aclosing(stream):
            async for result in stream:
                if result.status in row_stream.COPY_STATUSES:
                    raise await self._refuse_copy()
                if result.status == ExecStatus.TUPLES_CHUNK:
                    rows.add(result, row_stream.encoding(self._session))
                elif result.status != ExecStatus.EMPTY_QUERY:
                    self.completed += 1
                    rows.end_statement(result, row_stream.encoding(self._session))
        rows.write_pending(await self._fetch_custom_arrays(rows.unknown_types))
        return rows

    async def _encode_params(self, query: bytes, params: list[Any]) -> list[bytes | None]:
        """Lists and objects are written as the statement's own types want them: as an array, or as JSON."""
        if len(params) > PARAMETER_LIMIT:
            raise Fault(400, "field_invalid", f"`params` has more than {PARAMETER_LIMIT} values")
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
        """Those of the types that are arrays. Asked on this session, which alone sees what it hasn't committed."""
        if not oids:
            return {}
        await self._session.execute("SELECT pg_catalog.set_config('statement_timeout', '10s', false)")
        cursor = await self._session.execute(_ARRAYS_QUERY, [list(oids)])
        return {oid: (element, delimiter) for oid, element, delimiter in await cursor.fetchall()}

    async def _refuse_copy(self) -> Fault:
        """The session is in the middle of a COPY, and can't be used any more."""
        await self._session.close()
        message = "COPY from or to the client is not possible through this endpoint; use the database_url"
        return Fault(400, "copy_not_supported", message, details={"statement": self.completed + 1})


def _json_item(item: Any) -> str | None:
    """An element of a json array. null is SQL's there, as in every other array."""
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
    """Leaving this early cancels the statement in PostgreSQL, too: psycopg sees to it."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        message = f"the call was cancelled: it took longer than {seconds:g} seconds"
        raise Fault(400, "call_timeout", message, details={"sqlstate": "57014"}) from error


def _too_large(limits: CallLimits) -> Fault:
    limit = limits.result_bytes // 1024 // 1024
    message = (
        f"the result is larger than {limit} MiB, and the statement was cancelled; ask for fewer rows (LIMIT), or use "
        "the database_url"
    )
    return Fault(413, "result_too_large", message)


def _sql_fault(error: psycopg.Error, completed: int) -> Fault:
    diagnosis = error.diag
    # FATAL ends the session, whatever the SQLSTATE: PostgreSQL stops, crashed, or somebody ended it.
    session_ended = diagnosis.severity_nonlocalized in ("FATAL", "PANIC")
    if session_ended or (diagnosis.sqlstate is None and isinstance(error, psycopg.OperationalError)):
        return Fault(503, "database_unavailable", f"the connection to the database was lost: {error}".strip())
    position = diagnosis.statement_position
    # A text that PostgreSQL can't read fails before any of its statements begins.
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
    }
    return Fault(400, "sql_error", diagnosis.message_primary or str(error), details=details)
