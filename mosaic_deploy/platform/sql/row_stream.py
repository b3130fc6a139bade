"""PostgreSQL's protocol, one result at a time: rows are read as they come, and never more than there is room for.

psycopg's cursors hold a whole result; one statement may make more rows than this machine has memory.
"""

from __future__ import annotations

import array
import fcntl
import termios
from collections.abc import AsyncGenerator, Sequence

import psycopg
from psycopg import errors
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

from mosaic_deploy.platform.postgres.connections import Session

_ROWS_PER_CHUNK = 64
_ERROR_STATUSES = (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE, ExecStatus.NONFATAL_ERROR)
COPY_STATUSES = (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH)


class ResultTooLarge(Exception):
    """More arrives than there is room for. The session can't be used any more."""


async def stream_results(
    session: Session, query: bytes, params: Sequence[bytes | None] | None, max_bytes: int
) -> AsyncGenerator[PGresult, None]:
    """The results of one call: of each statement its rows in pieces, then its end. Raises psycopg.Error, ResultTooLarge.

    Without `params` the query goes by the simple protocol, which takes several statements; with them by the
    extended one. After a COPY's result nothing more comes, and the session is in the middle of it.
    """
    connection = session.pgconn
    if params is None:
        connection.send_query(query)
    else:
        connection.send_query_params(query, params)
    connection.set_chunked_rows_mode(_ROWS_PER_CHUNK)
    await session.wait(_flush(connection))
    while (result := await session.wait(_next_result(connection, max_bytes))) is not None:
        if result.status in _ERROR_STATUSES:
            raise errors.error_from_result(result, encoding=encoding(session))
        yield result
        if result.status in COPY_STATUSES:
            return


async def fetch_parameter_types(session: Session, query: bytes) -> list[int]:
    """The type OIDs that PostgreSQL gives the parameters of a statement. Raises psycopg.Error."""
    connection = session.pgconn
    connection.send_prepare(b"", query)
    await _read_single_result(session)
    connection.send_describe_prepared(b"")
    described = await _read_single_result(session)
    return [described.param_type(number) for number in range(described.nparams)]


def encoding(session: Session) -> str:
    """Python's name of the session's client encoding, which a statement may have changed."""
    try:
        return session.info.encoding
    except psycopg.Error:
        return "utf-8"


async def _read_single_result(session: Session) -> PGresult:
    connection = session.pgconn
    await session.wait(_flush(connection))
    found: PGresult | None = None
    while (result := await session.wait(_next_result(connection, 1 << 20))) is not None:
        if result.status in _ERROR_STATUSES:
            raise errors.error_from_result(result, encoding=encoding(session))
        found = result
    assert found is not None
    return found


def _flush(connection: PGconn) -> PQGen[None]:
    while connection.flush():
        while not (ready := (yield Wait.RW)):
            continue
        if ready & Ready.R:
            connection.consume_input()


def _next_result(connection: PGconn, max_bytes: int) -> PQGen[PGresult | None]:
    """libpq keeps what it reads until a piece is whole; a single row may be a gigabyte."""
    received = 0
    while connection.is_busy():
        while not (yield Wait.R):
            continue
        received += _readable_bytes(connection.socket)
        if received > max_bytes:
            raise ResultTooLarge
        connection.consume_input()
    while connection.notifies() is not None:
        continue
    return connection.get_result()


def _readable_bytes(handle: int) -> int:
    """Bytes that wait to be read. libpq may read some more that arrive meanwhile; the bound is a rough one."""
    count = array.array("i", [0])
    fcntl.ioctl(handle, termios.FIONREAD, count)
    return count[0]
