"""The pool of connections to project databases: bounded, reused, and reset after every call."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.postgres.control_database import Pool, fetch
from mosaic_deploy.platform.postgres.databases import ROLE_CONNECTION_LIMIT, database_name, restore_access
from mosaic_deploy.platform.postgres.passwords import working_password
from mosaic_deploy.platform.postgres.server import Server, was_closed_by_server

Session = psycopg.AsyncConnection[TupleRow]

CONNECTION_LIMIT = 80
PROJECT_LIMIT = 12
IDLE_SECONDS = 20.0
ACQUIRE_TIMEOUT_SECONDS = 60.0
RESET_TIMEOUT_SECONDS = 10.0
CLOSE_SECONDS = 5.0
_END_PAUSES = (0.01, 1.0)
"""The first and the longest, in seconds, between two looks at a backend that ends."""
_TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %(pid)s AND usename = %(role)s"
)
STATEMENT_TIMEOUT_MS = 300_000
# Stronger than the role's own settings, some of which would end every session at once.
_OPTIONS = (
    f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c idle_session_timeout=0"
    " -c idle_in_transaction_session_timeout=600000"
)
# PostgreSQL 17 and newer.
_TRANSACTION_TIMEOUT = " -c transaction_timeout=0"

log = logging.getLogger(__name__)


class SessionPool:
    """At most `limit` connections in all, busy or idle, `account_limit` of an account, and `PROJECT_LIMIT` of a project."""

    def __init__(
        self,
        server: Server,
        pool: Pool,
        *,
        reuse: bool = True,
        reset: bool = True,
        limit: int = CONNECTION_LIMIT,
        account_limit: int | None = None,
    ) -> None:
        self._server = server
        self._pool = pool
        self._reuse = reuse
        self._reset = reset
        self._limit = limit
        self._semaphore = asyncio.Semaphore(limit)
        self._account_limit = account_limit or limit
        self._account_semaphores: dict[int, asyncio.Semaphore] = {}
        self._project_semaphores: dict[str, asyncio.Semaphore] = {}
        self._idle: list[tuple[str, Session, float]] = []
        # asyncio itself keeps only weak references to them.
        self._endings: set[asyncio.Task[None]] = set()
        self._in_use = 0
        self._options = _OPTIONS

    @asynccontextmanager
    async def session(
        self, project_id: str, account_id: int, password: str, database: str | None = None
    ) -> AsyncIterator[Session]:
        """A clean connection of the project's role, in autocommit mode.

        It is to the project's own database, or to `database`, a clone of it. Raises Fault (503) if none is free.
        """
        name = database or database_name(project_id)
        semaphore = self._project_semaphores.setdefault(project_id, asyncio.Semaphore(PROJECT_LIMIT))
        # In this order: a call that waits for its project's or account's turn takes nobody else's.
        account = self._account_semaphores.setdefault(account_id, asyncio.Semaphore(self._account_limit))
        async with AsyncExitStack() as places:
            for limit in (semaphore, account, self._semaphore):
                await places.enter_async_context(_acquired(limit))
            self._in_use += 1
            places.callback(self._count_out)
            connection = self._take_idle(name) or await self._open(project_id, password, name)
            backend = connection.info.backend_pid
            try:
                yield connection
            finally:
                if not await self._release(project_id, name, connection):
                    ending = asyncio.create_task(self._end(project_id, backend, places.pop_all()))
                    self._endings.add(ending)
                    ending.add_done_callback(self._endings.discard)

    async def close(self) -> None:
        """At shutdown: close idle connections, and wait a few seconds for calls that were dropped to end."""
        await self.close_idle(older_than=0)
        if self._endings:
            await asyncio.wait(self._endings, timeout=CLOSE_SECONDS)

    async def close_idle(self, older_than: float = IDLE_SECONDS) -> None:
        """Close connections that have been idle for `older_than` seconds."""
        cutoff = time.monotonic() - older_than
        expired = [entry for entry in self._idle if entry[2] <= cutoff]
        self._idle = [entry for entry in self._idle if entry[2] > cutoff]
        for _, connection, _ in expired:
            await _close(connection)

    def counts(self) -> dict[str, int]:
        """Number of connections by state."""
        return {"busy": self._in_use, "idle": len(self._idle)}

    async def close_project(self, project_id: str) -> None:
        """Close the idle connections of a project that is being deleted."""
        self._project_semaphores.pop(project_id, None)
        await self.close_database(database_name(project_id))

    async def close_database(self, name: str) -> None:
        """Close the idle connections to one database."""
        matching = [entry for entry in self._idle if entry[0] == name]
        self._idle = [entry for entry in self._idle if entry[0] != name]
        for _, connection, _ in matching:
            await _close(connection)

    def _take_idle(self, name: str) -> Session | None:
        for index in range(len(self._idle) - 1, -1, -1):
            database, connection, _ = self._idle[index]
            if database == name:
                del self._idle[index]
                if not connection.closed and not was_closed_by_server(connection):
                    return connection
        return None

    async def _open(self, project_id: str, password: str, name: str) -> Session:
        # This one is already in use.
        while self._idle and self._in_use + len(self._idle) > self._limit:
            _, oldest, _ = self._idle.pop(0)
            await _close(oldest)
        try:
            try:
                return await self._connect(name, project_id, password)
            except psycopg.OperationalError as error:
                if _is_connection_limit(error):
                    raise
                # A role can lock itself out by changing its password or closing its database.
                await restore_access(self._server, project_id)
                password = await working_password(self._pool, self._server, project_id)
                return await self._connect(name, project_id, password)
        except psycopg.Error as error:
            raise _connection_fault(error) from error
        except LookupError as error:
            raise Fault(404, "project_not_found", f"project {project_id} was deleted") from error

    async def _connect(self, name: str, project_id: str, password: str) -> Session:
        connection = await psycopg.AsyncConnection.connect(
            self._server.project_conninfo(
                database_name(project_id),
                password,
                dbname=name,
                application_name="mosaic-sql",
                options=self._options,
            ),
            autocommit=True,
            # DISCARD ALL after each call would drop prepared statements behind psycopg's back.
            prepare_threshold=None,
        )
        if connection.info.server_version >= 170_000 and _TRANSACTION_TIMEOUT not in self._options:
            self._options += _TRANSACTION_TIMEOUT
        return connection

    async def _release(self, project_id: str, name: str, connection: Session) -> bool:
        """Reset the connection for reuse, unless sessions are shared; close it if that fails.

        False if its backend may still be at work then: the call was dropped, or its result was too large.
        """
        try:
            async with asyncio.timeout(RESET_TIMEOUT_SECONDS):
                if connection.pgconn.transaction_status in (
                    TransactionStatus.INTRANS,
                    TransactionStatus.INERROR,
                ):
                    await connection.rollback()
                if self._reset:
                    await connection.execute("DISCARD ALL")
        except (psycopg.Error, TimeoutError, asyncio.CancelledError):
            await _close(connection)
            return False
        is_clean = connection.pgconn.transaction_status == TransactionStatus.IDLE
        if self._reuse and is_clean and project_id in self._project_semaphores:
            self._idle.append((name, connection, time.monotonic()))
        else:
            await _close(connection)
        return is_clean

    async def _end(self, project_id: str, backend: int, places: AsyncExitStack) -> None:
        """End a backend whose connection is closed. The call keeps its places in the limits until it has ended.

        A backend that waits for a lock, or computes, doesn't notice that its client is gone. A cancel request isn't enough: it
        is lost if the statement hasn't begun, and functions may ignore it.
        """
        parameters = {"pid": backend, "role": database_name(project_id)}
        pause, failed = _END_PAUSES[0], False
        async with places:
            while True:
                try:
                    # Doesn't wait in PostgreSQL, which would keep one of the control database's connections.
                    if not await fetch(self._pool, _TERMINATE, parameters):
                        return
                except (psycopg.Error, OSError) as error:
                    if not failed:
                        reason = " ".join(str(error).split())
                        log.warning("can't end a session of project %s yet: %s", project_id, reason)
                    failed = True
                await asyncio.sleep(pause)
                pause = min(2 * pause, _END_PAUSES[1])

    def _count_out(self) -> None:
        self._in_use -= 1


@asynccontextmanager
async def _acquired(semaphore: asyncio.Semaphore) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(ACQUIRE_TIMEOUT_SECONDS):
            await semaphore.acquire()
    except TimeoutError as error:
        message = "all database connections are in use; try again"
        raise Fault(503, "database_busy", message, headers={"Retry-After": "1"}) from error
    try:
        yield
    finally:
        semaphore.release()


def _is_connection_limit(error: psycopg.Error) -> bool:
    """Whether the role or the server is out of connections. libpq reports no SQLSTATE for failed connections."""
    message = str(error)
    return any(
        words in message
        for words in ("too many connections for role", "too many clients", "slots are reserved")
    )


def _connection_fault(error: psycopg.Error) -> Fault:
    if _is_connection_limit(error):
        message = (
            f"too many connections: all {ROLE_CONNECTION_LIMIT} of the project, or all of the server, are in use; "
            "close some and try again"
        )
        return Fault(503, "too_many_connections", message, headers={"Retry-After": "1"})
    message = f"can't connect to the database: {error}".strip()
    return Fault(503, "database_unavailable", message, headers={"Retry-After": "1"})


async def _close(connection: Session) -> None:
    with contextlib.suppress(psycopg.Error, OSError):
        await connection.close()
