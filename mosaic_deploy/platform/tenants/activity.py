"""What projects' roles hold of the server that all share: sessions and locks.

The server's lock table has one size for everybody, and an advisory lock needs no rights. Once it is full, no statement
runs any more, not even a login. So the connection that looks keeps an open transaction with locks on all catalogs:
PostgreSQL then needs no new entry in the table to look again, and to end the sessions that fill it. All, because it reads
more of them than its queries name whenever it has dropped its caches, as it does after many changes by others.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from mosaic_deploy.platform.postgres.server import Connection, Server
from mosaic_deploy.platform.tenants.offences import (
    SHARE,
    AccountShare,
    OpenTransaction,
    PredicateLocks,
    Role,
    Session,
)

# The views' own functions: views read catalogs of all databases. Times and transactions are null for a role that was just
# created and isn't the platform's to see into yet.
_SESSIONS = """
WITH held AS MATERIALIZED (
    SELECT pid, count(*) AS locks FROM pg_lock_status() WHERE mode <> 'SIReadLock' GROUP BY pid
)
SELECT pid, usesysid, datid, coalesce(locks, 0), coalesce(extract(epoch FROM backend_start), 0)::float8
FROM pg_stat_get_activity(NULL) LEFT JOIN held USING (pid)
WHERE usesysid IS NOT NULL AND datid <> 0 AND pid <> pg_backend_pid()
"""
# They outlive their transactions and sessions. Each transaction locks its own virtual ID until it ends.
_PREDICATE_LOCKS = """
WITH held AS MATERIALIZED (
    SELECT database, virtualtransaction, locktype, mode FROM pg_lock_status()
    WHERE mode = 'SIReadLock' OR locktype = 'virtualxid' AND mode = 'ExclusiveLock'
)
SELECT database, virtualtransaction, count(*),
       virtualtransaction IN (SELECT virtualtransaction FROM held WHERE locktype = 'virtualxid')
FROM held WHERE mode = 'SIReadLock' GROUP BY 1, 2
"""
_TRANSACTIONS = """
SELECT pid, usesysid, coalesce(extract(epoch FROM clock_timestamp() - xact_start), 0)::float8
FROM unnest(%s::int[]) AS pid JOIN pg_stat_get_activity(NULL) USING (pid) WHERE usesysid IS NOT NULL
"""
# A transaction learns of others' changes to roles and memberships only as it takes a lock that it doesn't hold. Without
# this, a project's new role wouldn't be found, or its sessions couldn't be ended. As the table is locked in another mode,
# it needs no new entry in the table of locks.
_CATCH_UP = "SAVEPOINT look; LOCK TABLE public.project IN ROW SHARE MODE NOWAIT; ROLLBACK TO look"
_SNAPSHOTS = """
SELECT pid, usesysid, coalesce(extract(epoch FROM clock_timestamp() - xact_start), 0)::float8
FROM pg_stat_get_activity(NULL) WHERE usesysid IS NOT NULL AND backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
"""
_WRITERS = "SELECT unnest(pg_safe_snapshot_blocking_pids(%s))"
# Predicate locks of earlier transactions have the same PID.
_HOLDERS = """
SELECT pid FROM pg_lock_status() WHERE pid IS NOT NULL GROUP BY pid, virtualtransaction
HAVING bool_or(mode = 'SIReadLock') AND bool_or(locktype = 'virtualxid' AND mode = 'ExclusiveLock')
"""
_ROLES = """
SELECT role::oid, id, account_id, ARRAY(SELECT oid FROM pg_database WHERE datdba = role)
FROM public.project, to_regrole(quote_ident('tenant_' || replace(id, '-', '_'))) AS role
WHERE role IS NOT NULL
"""
# Locks them and, as the planner opens these, their indexes. LOCK would not, and PostgreSQL reads most through an index.
_LOCK_CATALOGS = """
DO $$
DECLARE catalog regclass;
BEGIN
    FOR catalog IN
        SELECT oid FROM pg_class
        WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' AND has_table_privilege(oid, 'SELECT')
    LOOP
        EXECUTE format('SELECT FROM %s LIMIT 0', catalog);
    END LOOP;
    -- pg_authid and pg_statistic, which the platform's role can't read.
    PERFORM FROM pg_roles LIMIT 0;
    PERFORM FROM pg_stats LIMIT 0;
END $$
"""
# Waits for less, the longer it has waited for those before.
_AWAIT_END = """
SELECT pg_terminate_backend(
    pid, greatest(1, 1000 - 1000 * extract(epoch FROM clock_timestamp() - statement_timestamp()))::bigint
) FROM unnest(%s::int[]) AS pid
"""
_CAPACITY = """
SELECT current_setting('max_locks_per_transaction')::int * processes,
       current_setting('max_pred_locks_per_transaction')::int * processes,
       current_setting('max_connections')::int
FROM (SELECT current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int) AS _ (processes)
"""

log = logging.getLogger(__name__)


class ActivityConnection:
    """The standing connection that looks, to the control database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # Each is logged once, not at every look.
        self._refused: set[int] = set()

    @classmethod
    async def open(cls, server: Server, database: str) -> ActivityConnection:
        connection = await server.connect(
            database, idle_in_transaction_session_timeout=0, statement_timeout=0
        )
        # psycopg drops all prepared statements at each ROLLBACK TO.
        connection.prepare_threshold = None
        return cls(connection)

    async def close(self) -> None:
        with suppress(psycopg.Error):
            await self._connection.close()

    def can_look_again(self) -> bool:
        """Whether the transaction of `begin` is still open."""
        return self._connection.info.transaction_status == TransactionStatus.INTRANS

    async def become_leader(self, lock: int) -> bool:
        """Whether this is the only connection that looks, now or already."""
        row = await (await self._connection.execute("SELECT pg_try_advisory_lock(%s)", [lock])).fetchone()
        return bool(row and row[0])

    async def begin(self) -> AccountShare:
        """Begin the transaction that stays open. It has no snapshot between its statements, so it holds back no vacuum."""
        row = await (await self._connection.execute(_CAPACITY)).fetchone()
        assert row is not None
        await self._connection.execute("BEGIN READ ONLY")
        await self._connection.execute(_LOCK_CATALOGS)
        await self.roles()
        await self.sessions()
        await self.predicate_locks()
        await self.transactions(await self.serializable_writers(0) + await self.predicate_lock_holders())
        await self.snapshots()
        return AccountShare(*(capacity // SHARE for capacity in row))

    async def roles(self) -> dict[int, Role]:
        """Projects' roles by OID."""
        rows = await self._fetch(_ROLES)
        return {oid: Role(oid, name, account, frozenset(own)) for oid, name, account, own in rows}

    async def sessions(self) -> list[Session]:
        """Of all roles."""
        await self._fetch("SELECT pg_stat_clear_snapshot()")
        return [Session(*row) for row in await self._fetch(_SESSIONS)]

    async def predicate_locks(self) -> PredicateLocks:
        by_database, committed = Counter[int](), Counter[str]()
        for database, transaction, held, active in await self._fetch(_PREDICATE_LOCKS):
            by_database[database] += held
            if not active:
                committed[transaction] += held
        return PredicateLocks(by_database, committed)

    async def serializable_writers(self, waiting: int) -> list[int]:
        """The PIDs of the SERIALIZABLE transactions that keep the deferrable one of PID `waiting` from starting."""
        return [pid for (pid,) in await self._fetch(_WRITERS, waiting)]

    async def predicate_lock_holders(self) -> list[int]:
        """The PIDs of sessions whose present transaction has predicate locks."""
        return [pid for (pid,) in await self._fetch(_HOLDERS)]

    async def transactions(self, pids: list[int]) -> list[OpenTransaction]:
        await self._fetch("SELECT pg_stat_clear_snapshot()")
        return [OpenTransaction(*row) for row in await self._fetch(_TRANSACTIONS, pids)]

    async def snapshots(self) -> list[OpenTransaction]:
        """The transactions that have one: a SERIALIZABLE one keeps it until its end, whatever it does."""
        await self._fetch("SELECT pg_stat_clear_snapshot()")
        return [OpenTransaction(*row) for row in await self._fetch(_SNAPSHOTS)]

    async def end(self, pids: Iterable[int]) -> set[int]:
        """Also waits until they have ended, up to a second in all: a session takes a while to release many locks.

        One in a computation that PostgreSQL doesn't interrupt ends only after that. Returns those that have ended or will.
        """
        ended, refused = set(), set()
        for pid in pids:
            try:
                [(signalled,)] = await self._fetch("SELECT pg_terminate_backend(%s)", pid)
            except psycopg.errors.InsufficientPrivilege as error:
                # Also if it has ended meanwhile, and a new one of another role took its place in memory.
                if pid not in self._refused:
                    log.warning("can't end session %d: %s", pid, " ".join(str(error).split()))
                refused.add(pid)
            else:
                ended |= {pid} if signalled else set()
        with suppress(psycopg.errors.InsufficientPrivilege):
            await self._fetch(_AWAIT_END, list(ended))
        self._refused = refused
        return ended

    async def _fetch(self, query: str, *parameters: int | list[int]) -> list[tuple[Any, ...]]:
        """An error leaves the transaction, and the locks it has, as they were."""
        try:
            await self._connection.execute(_CATCH_UP)
        except (psycopg.errors.OutOfMemory, psycopg.errors.LockNotAvailable):
            await self._connection.execute("ROLLBACK TO look")
        try:
            cursor = await self._connection.execute(query.encode(), parameters or None)
            rows = await cursor.fetchall()
        except psycopg.Error:
            await self._connection.execute("ROLLBACK TO look; RELEASE look")
            raise
        await self._connection.execute("RELEASE look")
        return rows
