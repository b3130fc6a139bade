"""Streams query results from PostgreSQL in chunks of rows, within a memory limit.

psycopg's cursors would hold the whole result, which can be larger than this machine's memory.
"""

from __future__ import annotations

import array
import fcntl
import termios
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial

import psycopg
from psycopg import errors
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

from mosaic_deploy.platform.copying import LARGE_BYTES, in_thread
from mosaic_deploy.platform.postgres.connections import Session

_ROWS_PER_CHUNK = 64
_ERROR_STATUSES = (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE, ExecStatus.NONFATAL_ERROR)
COPY_STATUSES = (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH)


class ResultTooLarge(Exception):
    """The result exceeds the limit. The session is unusable after this."""


async def stream_results(
    session: Session, query: bytes, params: Sequence[bytes | None] | None, max_bytes: int
) -> AsyncGenerator[PGresult, None]:
    """The results of one call: for each statement chunks of rows, then its final result.

    Without `params` the query uses the simple protocol, which allows several statements; with them the extended one.
    A COPY's result is the last one and leaves the session in the middle of the COPY. Raises psycopg.Error and
    ResultTooLarge.
    """
    connection = session.pgconn
    send = partial(connection.send_query, query)
    if params is not None:
        send = partial(connection.send_query_params, query, params)
    await _begin(send, len(query) + sum(len(value or b"") for value in params or ()))
    connection.set_chunked_rows_mode(_ROWS_PER_CHUNK)
    await session.wait(_flush(connection))
    while (result := await session.wait(_next_result(connection, max_bytes))) is not None:
        if result.status in _ERROR_STATUSES:
            raise errors.error_from_result(result, encoding=encoding(session))
        yield result
        if result.status in COPY_STATUSES:
            return


async def fetch_parameter_types(session: Session, query: bytes) -> list[int]:
    """The type OIDs that PostgreSQL infers for a statement's parameters. Raises psycopg.Error."""
    connection = session.pgconn
    await _begin(partial(connection.send_prepare, b"", query), len(query))
    await _read_single_result(session)
    connection.send_describe_prepared(b"")
    described = await _read_single_result(session)
    return [described.param_type(number) for number in range(described.nparams)]


def encoding(session: Session) -> str:
    """Python's name for the session's client encoding, which a statement may have changed."""
    try:
        return session.info.encoding
    except psycopg.Error:
        return "utf-8"


async def _begin(send: Callable[[], None], size: int) -> None:
    """Start to send `size` bytes; what PostgreSQL doesn't take at once is left to `_flush`.

    libpq copies all of them before, a query's text even twice. It doesn't wait: an asynchronous connection is non-blocking.
    """
    if size < LARGE_BYTES:
        send()
    else:
        await in_thread(send)


async def _read_single_result(session: Session) -> PGresult:
    connection = session.pgconn
    await session.wait(_flush(connection))
    last: PGresult | None = None
    while (result := await session.wait(_next_result(connection, 1 << 20))) is not None:
        if result.status in _ERROR_STATUSES:
            raise errors.error_from_result(result, encoding=encoding(session))
        last = result
    assert last is not None
    return last


def _flush(connection: PGconn) -> PQGen[None]:
    while connection.flush():
        while not (ready := (yield Wait.RW)):
            continue
        if ready & Ready.R:
            connection.consume_input()


def _next_result(connection: PGconn, max_bytes: int) -> PQGen[PGresult | None]:
    """The next chunk. Counts bytes as they arrive, because libpq buffers whole rows and one may be a gigabyte."""
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
    """Bytes ready to be read. More may arrive before libpq reads them, so the limit is approximate."""
    count = array.array("i", [0])
    fcntl.ioctl(handle, termios.FIONREAD, count)
    return count[0]
