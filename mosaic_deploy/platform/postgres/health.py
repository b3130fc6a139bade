"""Whether this process reaches the control database, measured all the time, so a health check never waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import time

import psycopg

from mosaic_deploy.platform.postgres.control_database import Pool

CHECK_SECONDS = 2.0
_TIMEOUT_SECONDS = 3.0
# A restart or failover of the database ends sooner. If it doesn't, this process may be the one that is cut off.
TOLERATED_SECONDS = 60.0


class DatabaseHealth:
    """`down_since` is None while the database answers, else when it stopped, on the monotonic clock."""

    def __init__(self) -> None:
        self.down_since: float | None = None

    @property
    def answers(self) -> bool:
        return self.down_since is None

    @property
    def gave_up(self) -> bool:
        """Whether the database hasn't answered for TOLERATED_SECONDS, and another server should get the requests."""
        return self.down_since is not None and time.monotonic() - self.down_since > TOLERATED_SECONDS

    async def watch(self, pool: Pool) -> None:
        """Checks until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            answered = False
            with contextlib.suppress(psycopg.Error, TimeoutError):
                async with (
                    asyncio.timeout(2 * _TIMEOUT_SECONDS),
                    pool.connection(timeout=_TIMEOUT_SECONDS) as connection,
                ):
                    await connection.execute("SELECT 1")
                    answered = True
            if answered:
                self.down_since = None
            elif self.down_since is None:
                self.down_since = time.monotonic()
