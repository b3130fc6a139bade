"""Finds how fast projects make predicate locks, and the SERIALIZABLE transactions that keep those of others.

No view tells how a transaction is isolated. But one that is SERIALIZABLE READ ONLY DEFERRABLE waits for all SERIALIZABLE
ones that may write, and PostgreSQL tells for whom it waits. Those that only read can keep locks as well; they are found by
their own predicate locks. One without any is found only by ending it: see `PredicateLockWatch`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from mosaic_deploy.platform.postgres.server import Server
from mosaic_deploy.platform.tenants import offences
from mosaic_deploy.platform.tenants.activity import ActivityConnection
from mosaic_deploy.platform.tenants.offences import OpenTransaction, PredicateLocks

_LOOK_SECONDS = 0.02
_LOOKS = 25
_OFTEN = 3
_OFTEN_SECONDS = 20.0
_SUSPECT_SECONDS = 3600.0

log = logging.getLogger(__name__)


class RecentPredicateLocks:
    """The predicate locks of the last second, and what they say about the present ones."""

    def __init__(self) -> None:
        self._before: deque[tuple[float, PredicateLocks]] = deque()

    def add(self, locks: PredicateLocks, now: float | None = None) -> RecentlyMade:
        """What became of them lately. `now` is a monotonic time; if calls are further apart than a second, a part in
        proportion. The first call has nothing to compare with."""
        now = time.monotonic() if now is None else now
        self._before.append((now, locks))
        # One may be older, so there is always one to compare with.
        while len(self._before) > 1 and now - self._before[1][0] >= offences.SHORT_SECONDS:
            self._before.popleft()
        at, oldest = self._before[0]
        lasting = locks.shared(oldest) if now - at >= offences.SHORT_SECONDS else {}
        return RecentlyMade(self._made(locks.by_database, now), PredicateLocks({}, lasting))

    def _made(self, locks: Mapping[int, int], now: float) -> dict[int, int]:
        return {
            database: max(
                round(
                    (held - before.by_database.get(database, 0))
                    * min(1, offences.SHORT_SECONDS / max(now - at, 0.001))
                )
                for at, before in self._before
            )
            for database, held in locks.items()
        }


@dataclass(frozen=True)
class RecentlyMade:
    """`by_database`: how many predicate locks were made within `offences.SHORT_SECONDS`: the most by which there are more
    than at an earlier time. Those released meanwhile aren't counted. `lasting`: those of transactions that had committed
    before, so a transaction keeps them that has been open for longer."""

    by_database: Mapping[int, int]
    lasting: PredicateLocks


class RecentOffenders:
    """Which accounts made everybody's transactions end, and how often: each time may be by chance."""

    def __init__(self) -> None:
        self._times: dict[int, list[float]] = {}

    def add(self, accounts: Collection[int], now: float | None = None) -> set[int]:
        """Those of the accounts for which this is the third time within 20 seconds."""
        now = time.monotonic() if now is None else now
        for account in accounts:
            self._times.setdefault(account, []).append(now)
        recent = {
            account: [at for at in times if now - at < _OFTEN_SECONDS]
            for account, times in self._times.items()
        }
        self._times = {account: times for account, times in recent.items() if times}
        return {account for account in accounts if len(self._times[account]) >= _OFTEN}


class Suspicion:
    """The accounts that may have kept predicate locks unseen within the last hour."""

    def __init__(self) -> None:
        self._levels: dict[int, tuple[int, float]] = {}

    def add(self, left: Collection[int], ended: int) -> None:
        """The locks went when the sessions of account `ended` did, and those of the accounts `left` by themselves."""
        now = time.monotonic()
        self._levels[ended] = (1 if left else 2, now)
        self._levels.update(dict.fromkeys(left, (2, now)))

    def clear(self, account: int) -> None:
        self._levels.pop(account, None)

    def levels(self) -> dict[int, int]:
        """By account, the higher the more likely."""
        now = time.monotonic()
        self._levels = {
            one: level for one, level in self._levels.items() if now - level[1] < _SUSPECT_SECONDS
        }
        return {account: level for account, (level, _) in self._levels.items()}


async def find_keeping_transactions(
    server: Server, database: str, looking: ActivityConnection
) -> list[OpenTransaction]:
    """Of all roles. Raises psycopg.Error."""
    try:
        writers = await _find_writers(server, database, looking)
    except psycopg.OperationalError as error:
        # No connection can be made, or PostgreSQL has no room for the conflicts of one more SERIALIZABLE transaction.
        log.warning("can't see who keeps predicate locks without reading: %s", " ".join(str(error).split()))
        writers = []
    return await looking.transactions([*{*writers, *await looking.predicate_lock_holders()}])


async def _find_writers(server: Server, database: str, looking: ActivityConnection) -> list[int]:
    connection = await server.connect(database)
    try:
        await connection.execute("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE")
        starting = asyncio.create_task(connection.execute("SELECT 1"))
        try:
            return await _await_writers(starting, connection.info.backend_pid, looking)
        finally:
            starting.cancel()
            with suppress(psycopg.Error, asyncio.CancelledError):
                await starting
    finally:
        await connection.close()


async def _await_writers(starting: asyncio.Task[object], pid: int, looking: ActivityConnection) -> list[int]:
    for _ in range(_LOOKS):
        await asyncio.wait([starting], timeout=_LOOK_SECONDS)
        if writers := await looking.serializable_writers(pid):
            return writers
        if starting.done():
            await starting
            return []
    return []
