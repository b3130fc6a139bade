"""Memory for request bodies: so many bytes for one account, so many for all. Further requests wait.

A body that waits isn't read, so its sender's connection is what fills up.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mosaic_deploy.platform.faults import Fault

ACCOUNT_SCOPE_KEY = "mosaic.account"
"""Entry of a request's scope: the account of its API key. Requests without a key share one account's part."""
ACCOUNT_BYTES = 128 * 1024 * 1024
TOTAL_BYTES = 512 * 1024 * 1024
WAIT_SECONDS = 30.0
# Below, a request costs no more than its head.
_SMALL_BYTES = 64 * 1024


class BodyMemory:
    def __init__(self, account_bytes: int = ACCOUNT_BYTES, total_bytes: int = TOTAL_BYTES) -> None:
        self._account_bytes = account_bytes
        self._total_bytes = total_bytes
        self._by_account: Counter[int | None] = Counter()
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def reserved(self, size: int, account: int | None) -> AsyncIterator[None]:
        """Hold `size` bytes of the account's part and of all. Raises Fault (503) if they don't get free in time."""
        if size <= _SMALL_BYTES:
            yield
            return
        await self._reserve(size, account)
        try:
            yield
        finally:
            self._by_account[account] -= size
            if self._by_account[account] <= 0:
                del self._by_account[account]
            async with self._changed:
                self._changed.notify_all()

    async def _reserve(self, size: int, account: int | None) -> None:
        def fits() -> bool:
            return (
                self._by_account[account] + size <= self._account_bytes
                and self._by_account.total() + size <= self._total_bytes
            )

        try:
            async with asyncio.timeout(WAIT_SECONDS), self._changed:
                await self._changed.wait_for(fits)
                self._by_account[account] += size
        except TimeoutError as error:
            message = "too many large requests at the same time; try again"
            raise Fault(503, "too_many_large_requests", message, headers={"Retry-After": "2"}) from error


MEMORY = BodyMemory()
"""Of this process."""
