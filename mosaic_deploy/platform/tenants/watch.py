"""Watches over what projects take of a served platform's PostgreSQL: locks, sessions, disk. One worker at a time does.

PostgreSQL itself limits none of these per account.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Iterable

import psycopg

from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.tenants import suspension
from mosaic_deploy.platform.tenants.activity import ActivityConnection
from mosaic_deploy.platform.tenants.database_sizes import check_sizes
from mosaic_deploy.platform.tenants.offences import (
    AccountShare,
    Offence,
    Role,
    Session,
    find_offences,
    only_sessions,
)
from mosaic_deploy.platform.tenants.pending_suspensions import PendingSuspensions
from mosaic_deploy.platform.tenants.predicate_lock_watch import PredicateLockWatch

_TICK_SECONDS = 0.25
_ROLES_SECONDS = 2.0
_UPKEEP_SECONDS = 10.0
_CANDIDATE_SECONDS = 2.0

log = logging.getLogger(__name__)


async def watch_projects(platform: Platform) -> None:
    """Until cancelled. Reconnects if its connection is lost."""
    while True:
        try:
            connection = await ActivityConnection.open(platform.server, control_database.DATABASE)
            try:
                while not await connection.become_leader(control_database.WATCH_LOCK):
                    await asyncio.sleep(_CANDIDATE_SECONDS)
                await _lead(platform, connection)
            finally:
                await connection.close()
        except (psycopg.Error, OSError) as error:
            _log_failure("the watch over projects", error)
            await asyncio.sleep(_TICK_SECONDS)


async def _lead(platform: Platform, connection: ActivityConnection) -> None:
    upkeep = asyncio.create_task(_upkeep(platform))
    try:
        await _watch(platform, connection)
    finally:
        upkeep.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await upkeep


async def _watch(platform: Platform, connection: ActivityConnection) -> None:
    watch = _Watch(platform, connection, await connection.begin())
    try:
        while True:
            try:
                quick = await watch.look()
            except psycopg.Error as error:
                # Not if the lock table is full: a new connection couldn't be made.
                if not connection.can_look_again():
                    raise
                _log_failure("the watch over projects", error)
                quick = bool(watch.suspensions)
            await asyncio.sleep(_TICK_SECONDS / 10 if quick else _TICK_SECONDS)
    finally:
        await watch.suspensions.cancel()


class _Watch:
    """What the watch knows from one look to the next."""

    def __init__(self, platform: Platform, connection: ActivityConnection, share: AccountShare) -> None:
        self._platform = platform
        self._connection = connection
        self._share = share
        self.suspensions = PendingSuspensions(platform)
        self._roles: dict[int, Role] = {}
        # Roles, and the databases that they are in, of the last time.
        self._known: set[tuple[int, int]] = set()
        self._roles_due = 0.0
        self._predicate_locks = PredicateLockWatch(platform.server, connection, share)

    async def look(self) -> bool:
        """End the sessions that must end. Returns whether to look again soon."""
        suspended = self.suspensions.completed()
        sessions = await self._connection.sessions()
        await self._read_roles(sessions)
        offences = find_offences(sessions, self._roles, self._share)
        self.suspensions.begin(offences, self._share.locks)
        pids = {pid for offence in offences for pid in offence.pids} | self.suspensions.sessions(sessions)
        if pids:
            ended = await self._connection.end(pids)
            _report(
                only_sessions(offences, ended),
                "beyond its account's share, or in a database that isn't its own",
            )
        keeping = await self._predicate_locks.look(self._roles)
        self.suspensions.begin(keeping, self._share.predicate_locks)
        _report(keeping, "a SERIALIZABLE transaction kept too many predicate locks")
        self.suspensions.forget(suspended)
        return bool(self.suspensions or keeping)

    async def _read_roles(self, sessions: Iterable[Session]) -> None:
        """A role or a database that is new since the last time is looked up before anything is held against it."""
        present = {(session.role, session.database) for session in sessions}
        if time.monotonic() >= self._roles_due or present - self._known:
            self._roles = await self._connection.roles()
            self._known = present
            self._roles_due = time.monotonic() + _ROLES_SECONDS


async def _upkeep(platform: Platform) -> None:
    while True:
        try:
            await suspension.lift_expired(platform)
            await check_sizes(platform)
        except (psycopg.Error, OSError) as error:
            _log_failure("measuring projects' databases", error)
        except Exception:
            # Nothing else would notice that this task has ended.
            log.exception("measuring projects' databases failed, will retry")
        await asyncio.sleep(_UPKEEP_SECONDS)


def _log_failure(what: str, error: Exception) -> None:
    log.warning("%s was interrupted, will retry: %s", what, " ".join(str(error).split()))


def _report(offences: Iterable[Offence], reason: str) -> None:
    ended = Counter(offence.role.project_id for offence in offences for _ in offence.pids)
    for project_id, number in ended.items():
        log.warning("ended %d session(s) of project %s: %s", number, project_id, reason)
