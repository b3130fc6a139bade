"""Memory for request bodies: limits for one account and for all. Further requests wait.

A body that waits isn't read, so its sender's connection is what fills up. What a request has reserved is its own until its
response is complete: until then the document, or the statement made of it, is in memory.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress

from starlette.types import Scope

from mosaic_deploy.platform.faults import Fault

ACCOUNT_SCOPE_KEY = "mosaic.account"
"""Entry of a request's scope: the account of its API key. Requests without a key share one account's part."""
_RESERVED_SCOPE_KEY = "mosaic.reserved"
ACCOUNT_BYTES = 80 * 1024 * 1024
TOTAL_BYTES = 512 * 1024 * 1024
ACCOUNT_RATE = 4 * 1024 * 1024
"""Bytes per second of an account's large bodies in one worker of a served platform, after a first `ACCOUNT_BURST`: receiving
them takes the worker's time, which is everybody's."""
ACCOUNT_BURST = 128 * 1024 * 1024
WAIT_SECONDS = 60.0
SMALL_BYTES = 64 * 1024
"""Not counted: such a request costs no more than its head."""


class BodyMemory:
    """`account_rate` is in bytes per second; None on the embedded platform, whose only account is its user's."""

    def __init__(
        self,
        account_bytes: int = ACCOUNT_BYTES,
        total_bytes: int = TOTAL_BYTES,
        account_rate: float | None = None,
    ) -> None:
        self.account_rate = account_rate
        self._account_bytes = account_bytes
        self._total_bytes = total_bytes
        self._by_account: Counter[int | None] = Counter()
        self._released = asyncio.Event()
        # When each account has used up its rate.
        self._due: dict[int | None, float] = {}

    async def reserve(self, scope: Scope, size: int) -> None:
        """Hold `size` bytes of the account's part and of all, until `release`. Waits until they are free.

        Raises Fault (503) if they don't in time.
        """
        if size <= SMALL_BYTES:
            return
        account: int | None = scope.get(ACCOUNT_SCOPE_KEY)
        if self.account_rate:
            await self._await_turn(account, size, self.account_rate)
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS):
                while not self._fits(account, size):
                    self._released.clear()
                    await self._released.wait()
        if not self._fits(account, size):
            message = "too many large requests at the same time; try again"
            raise Fault(503, "too_many_large_requests", message, headers={"Retry-After": "2"})
        self._by_account[account] += size
        scope[_RESERVED_SCOPE_KEY] = scope.get(_RESERVED_SCOPE_KEY, 0) + size

    def release(self, scope: Scope, *, keep: int = 0) -> None:
        """What the request has reserved, if anything, but for `keep` bytes."""
        held: int = scope.pop(_RESERVED_SCOPE_KEY, 0)
        if kept := min(held, keep):
            scope[_RESERVED_SCOPE_KEY] = kept
        if held > kept:
            account = scope.get(ACCOUNT_SCOPE_KEY)
            self._by_account[account] -= held - kept
            if kept and self.account_rate:
                # The body was smaller than it might have been.
                self._due[account] -= (held - kept) / self.account_rate
            if self._by_account[account] <= 0:
                del self._by_account[account]
            self._released.set()

    async def _await_turn(self, account: int | None, size: int, rate: float) -> None:
        now = time.monotonic()
        due = max(self._due.get(account, 0.0), now - ACCOUNT_BURST / rate) + size / rate
        if due - now > WAIT_SECONDS:
            message = f"more than {rate / 1024**2:g} MiB of large requests per second; try again"
            raise Fault(
                503, "too_many_large_requests", message, headers={"Retry-After": str(round(due - now))}
            )
        self._due[account] = due
        if due > now:
            await asyncio.sleep(due - now)

    def _fits(self, account: int | None, size: int) -> bool:
        return (
            self._by_account[account] + size <= self._account_bytes
            and self._by_account.total() + size <= self._total_bytes
        )


MEMORY = BodyMemory()
"""Of this process."""
