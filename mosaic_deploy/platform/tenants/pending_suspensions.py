"""Suspends projects beside the watch: that can take long, and the watch must go on meanwhile."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable

from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.tenants import suspension
from mosaic_deploy.platform.tenants.offences import Offence, Session

_RETRY_SECONDS = 0.025

log = logging.getLogger(__name__)


class PendingSuspensions:
    """Projects that are being suspended, by their role's OID.

    A suspension needs locks itself, and waits for a transaction that holds its role. Until it is done, the watch ends the
    role's sessions whenever it looks.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def begin(self, offences: Iterable[Offence], limit: int) -> None:
        """Suspend those who hold too many locks; `limit` is what an account may hold."""
        for offence in offences:
            if offence.locks and offence.role.oid not in self._tasks:
                reason = f"it held {offence.locks:,} locks; an account may hold {limit:,}"
                work = _suspend(self._platform, offence.role.project_id, reason)
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

    async def cancel(self) -> None:
        """Also waits for their end: the next watch may be another worker's."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


async def _suspend(platform: Platform, project_id: str, reason: str) -> None:
    """Tries for as long as the suspension would last: the watch ends the role's sessions meanwhile, which is as good."""
    until = time.monotonic() + suspension.LOCKS_PENALTY.total_seconds()
    while True:
        try:
            await suspension.suspend(platform, project_id, reason, suspension.LOCKS_PENALTY)
        except Exception as error:  # Nobody else would see one that isn't PostgreSQL's.
            if time.monotonic() >= until:
                log.warning("can't suspend project %s: %s", project_id, " ".join(str(error).split()))
                return
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            log.warning("suspended the database of project %s: %s", project_id, reason)
            return
