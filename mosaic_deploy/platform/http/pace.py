"""Deadlines for request bodies: no pause may be long, and the whole body must arrive at a least average rate.

Without them, a client that sends a byte a minute keeps its connection, its memory and its reservation for days.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request

from mosaic_deploy.platform.faults import Fault

IDLE_SECONDS = 60.0
"""Longest pause between two pieces of a body."""
GRACE_SECONDS = 30.0
"""How long a body may take before its rate counts."""
LEAST_RATE = 8 * 1024
"""Bytes per second, on average since the body's beginning: a tenth of a slow telephone's uplink."""


def _too_slow(fact: str) -> Fault:
    return Fault(408, "request_timeout", f"{fact}; send the request again", headers={"Connection": "close"})


async def paced_chunks(
    request: Request,
    *,
    too_slow: Callable[[str], Fault] = _too_slow,
    least_rate: float = LEAST_RATE,
    grace: float = GRACE_SECONDS,
    idle: float = IDLE_SECONDS,
) -> AsyncIterator[bytes]:
    """The body's pieces. Raises what `too_slow` makes of the fact, and Starlette's ClientDisconnect."""
    chunks = request.stream()
    started, received = time.monotonic(), 0
    while True:
        left = started + grace + received / least_rate - time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, min(idle, left))):
                chunk = await anext(chunks, None)
        except TimeoutError as error:
            if left > idle:
                raise too_slow(f"no data arrived for {idle:g} seconds") from error
            raise too_slow(f"the body arrived at less than {least_rate / 1024:.0f} KiB per second") from error
        if chunk is None:
            return
        received += len(chunk)
        yield chunk
