"""What projects' roles hold of the server that all share: sessions and locks. Finds those who hold too much.

The server's lock table has one size for everybody, and an advisory lock needs no rights. Once it is full, no statement
runs any more, not even a login. So the connection that looks keeps an open transaction with locks on all catalogs:
PostgreSQL then needs no new entry in the table to look again, and to end the sessions that fill it. All, because it reads
more of them than its queries name whenever it has dropped its caches, as it does after many changes by others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from mosaic_deploy.platform.postgres.server import Connection, Server

# The views' own functions: views read catalogs of all databases. Predicate locks of SERIALIZABLE transactions outlive their
# sessions while an older transaction runs in their database: they count as held by a session that is there.
_SESSIONS = """
WITH activity AS MATERIALIZED (
    SELECT pid, usesysid, datid,
           -- Null for a role that was just created and isn't the platform's to see into yet.
           coalesce(extract(epoch FROM backend_start), 0)::float8 AS started,
           row_number() OVER (PARTITION BY datid ORDER BY pid) AS number
    FROM pg_stat_get_activity(NULL) WHERE usesysid IS NOT NULL AND datid <> 0
), held AS MATERIALIZED (
    SELECT pid, database, count(*) AS locks FROM pg_lock_status() GROUP BY pid, database
), own AS (
    SELECT pid, sum(locks) AS locks FROM held GROUP BY pid
), left_over AS (
    SELECT database AS datid, sum(locks) AS locks FROM held
    WHERE NOT EXISTS (SELECT FROM activity WHERE activity.pid = held.pid) GROUP BY database
)
SELECT pid, usesysid, datid,
       (coalesce(own.locks, 0) + CASE WHEN number = 1 THEN coalesce(left_over.locks, 0) ELSE 0 END)::bigint, started
FROM activity LEFT JOIN own USING (pid) LEFT JOIN left_over USING (datid) WHERE pid <> pg_backend_pid()
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
SELECT current_setting('max_locks_per_transaction')::int
     * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int),
       current_setting('max_connections')::int
"""
SHARE = 4
"""One account may hold this part, a quarter, of the server's locks and connections."""


@dataclass(frozen=True)
class Session:
    pid: int
    role: int
    database: int
    locks: int
    started: float


@dataclass(frozen=True)
class Role:
    """A project's role: its account, and the databases that are its own."""

    oid: int
    project_id: str
    account: int
    databases: frozenset[int]


@dataclass(frozen=True)
class AccountShare:
    """The locks and sessions that one account may hold."""

    locks: int
    sessions: int


@dataclass(frozen=True)
class Offence:
    """Sessions to end. `locks` is set if the project is to be suspended because it holds too many."""

    role: Role
    pids: tuple[int, ...]
    locks: int = 0


class ActivityConnection:
    """The standing connection that looks, to the control database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, server: Server, database: str) -> ActivityConnection:
        return cls(await server.connect(database, idle_in_transaction_session_timeout=0, statement_timeout=0))

    async def close(self) -> None:
        with suppress(psycopg.Error):
            await self._connection.close()

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
        return AccountShare(row[0] // SHARE, row[1] // SHARE)

    async def roles(self) -> dict[int, Role]:
        """Projects' roles by OID."""
        rows = await self._fetch(_ROLES)
        return {oid: Role(oid, name, account, frozenset(own)) for oid, name, account, own in rows}

    async def sessions(self) -> list[Session]:
        """Of all roles."""
        await self._fetch("SELECT pg_stat_clear_snapshot()")
        return [Session(*row) for row in await self._fetch(_SESSIONS)]

    async def end(self, pids: Iterable[int]) -> None:
        """Also waits until they have ended, up to a second in all: a session takes a while to release many locks.

        One in a computation that PostgreSQL doesn't interrupt ends only after that.
        """
        ended = list(pids)
        await self._fetch("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", ended)
        await self._fetch(_AWAIT_END, ended)

    async def _fetch(self, query: str, *parameters: list[int]) -> list[tuple[Any, ...]]:
        """An error leaves the transaction, and the locks it has, as they were."""
        await self._connection.execute("SAVEPOINT look")
        try:
            cursor = await self._connection.execute(query.encode(), parameters or None)
            rows = await cursor.fetchall()
        except psycopg.Error:
            await self._connection.execute("ROLLBACK TO look")
            raise
        await self._connection.execute("RELEASE look")
        return rows


def find_offences(
    sessions: Iterable[Session], roles: Mapping[int, Role], share: AccountShare
) -> list[Offence]:
    """Which sessions of the given roles must end: those in databases that aren't the role's own, the newest beyond an
    account's share, and all of the projects that hold most of the locks, until their account is within its share."""
    by_account: dict[int, list[Session]] = defaultdict(list)
    offences = []
    for session in sessions:
        role = roles.get(session.role)
        if role is None:
            continue
        if session.database not in role.databases:
            offences.append(Offence(role, (session.pid,)))
        else:
            by_account[role.account].append(session)
    for held in by_account.values():
        kept = sorted(held, key=lambda session: session.started)
        offences += [Offence(roles[one.role], (one.pid,)) for one in kept[share.sessions :]]
        offences += _lock_offences(kept[: share.sessions], roles, share.locks)
    return offences


def _lock_offences(sessions: list[Session], roles: Mapping[int, Role], limit: int) -> list[Offence]:
    by_role: dict[int, list[Session]] = defaultdict(list)
    for session in sessions:
        by_role[session.role].append(session)
    locks = {role: sum(session.locks for session in held) for role, held in by_role.items()}
    total, offences = sum(locks.values()), []
    for role in sorted(locks, key=lambda role: -locks[role]):
        if total <= limit:
            break
        total -= locks[role]
        pids = tuple(session.pid for session in by_role[role])
        offences.append(Offence(roles[role], pids, locks[role]))
    return offences
