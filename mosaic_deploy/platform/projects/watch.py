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
from mosaic_deploy.platform.postgres.role_activity import (
    AccountShare,
    ActivityConnection,
    Offence,
    Role,
    Session,
    find_offences,
)
from mosaic_deploy.platform.projects import suspension
from mosaic_deploy.platform.projects.database_sizes import check_sizes
from mosaic_deploy.platform.services import Platform

_TICK_SECONDS = 0.25
_ROLES_SECONDS = 2.0
_UPKEEP_SECONDS = 10.0
_CANDIDATE_SECONDS = 2.0
_SUSPEND_ATTEMPTS = 20

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
    share = await connection.begin()
    roles: dict[int, Role] = {}
    # Roles, and the databases that they are in, of the last time.
    known: set[tuple[int, int]] = set()
    roles_due = 0.0
    suspensions = _Suspensions(platform, share)
    try:
        while True:
            try:
                suspended = suspensions.completed()
                sessions = await connection.sessions()
                present = {(session.role, session.database) for session in sessions}
                # A role or a database that is new since then is looked up before anything is held against it.
                if time.monotonic() >= roles_due or present - known:
                    roles = await connection.roles()
                    known = present
                    roles_due = time.monotonic() + _ROLES_SECONDS
                offences = find_offences(sessions, roles, share)
                suspensions.begin(offences)
                ended = {pid for offence in offences for pid in offence.pids} | suspensions.sessions(sessions)
                if ended:
                    await connection.end(ended)
                    _report(offences)
                suspensions.forget(suspended)
            except psycopg.errors.OutOfMemory as error:
                # The lock table is full. What this connection has is enough to look again.
                _log_failure("the watch over projects", error)
            await asyncio.sleep(_TICK_SECONDS / 10 if suspensions else _TICK_SECONDS)
    finally:
        suspensions.cancel()


class _Suspensions:
    """Projects that are being suspended, by their role's OID.

    A suspension needs locks itself, and waits for a transaction that holds its role: both can take long. So it runs beside
    the watch, which meanwhile ends the role's sessions whenever it looks, and all others that fill the lock table.
    """

    def __init__(self, platform: Platform, share: AccountShare) -> None:
        self._platform = platform
        self._share = share
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def begin(self, offences: Iterable[Offence]) -> None:
        """Suspend those who hold too many locks."""
        for offence in offences:
            if offence.locks and offence.role.oid not in self._tasks:
                work = _suspend(self._platform, offence, self._share)
                self._tasks[offence.role.oid] = asyncio.create_task(work)

    def sessions(self, sessions: Iterable[Session]) -> set[int]:
        """The PIDs of those that belong to these roles."""
        return {session.pid for session in sessions if session.role in self._tasks}

    def completed(self) -> list[int]:
        return [role for role, task in self._tasks.items() if task.done()]

    def forget(self, completed: Iterable[int]) -> None:
        """Only after their sessions were ended once more: the last ones began before the role couldn't log in."""
        for role in completed:
            del self._tasks[role]

    def cancel(self) -> None:
        for task in self._tasks.values():
            task.cancel()


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


def _report(offences: Iterable[Offence]) -> None:
    ended = Counter(offence.role.project_id for offence in offences for _ in offence.pids)
    for project_id, number in ended.items():
        log.warning(
            "ended %d session(s) of project %s: beyond its account's share, or in a database that isn't its own",
            number,
            project_id,
        )


async def _suspend(platform: Platform, offence: Offence, share: AccountShare) -> None:
    reason = f"it held {offence.locks:,} locks; an account may hold {share.locks:,}"
    for attempt in range(1, _SUSPEND_ATTEMPTS + 1):
        try:
            await suspension.suspend(platform, offence.role.project_id, reason, suspension.LOCKS_PENALTY)
        except (psycopg.Error, OSError) as error:
            if attempt == _SUSPEND_ATTEMPTS:
                _log_failure("suspending a project", error)
            await asyncio.sleep(_TICK_SECONDS / 10)
        else:
            return
