"""Deadlines for request bodies: no pause may be long, and the whole body must arrive at a least average rate.

Without them, a client that sends a byte a minute keeps its connection, its memory and its reservation for days.
"""

from __future__ import annotations

import asyncio
import math
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
    longest: float = math.inf,
    grace: float = GRACE_SECONDS,
    idle: float = IDLE_SECONDS,
) -> AsyncIterator[bytes]:
    """The body's pieces. Raises what `too_slow` makes of the fact, and Starlette's ClientDisconnect.

    After `grace` seconds the body may take `longest` more, whatever has arrived. The time that the caller takes for a piece
    doesn't count: the sender can't send meanwhile.
    """
    chunks = request.stream()
    started, received = time.monotonic(), 0
    while True:
        earned = min(received / least_rate, longest)
        left = started + grace + earned - time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, min(idle, left))):
                chunk = await anext(chunks, None)
        except TimeoutError as error:
            if left > idle:
                raise too_slow(f"no data arrived for {idle:g} seconds") from error
            if earned == longest:
                raise too_slow(f"the body didn't arrive within {grace + longest:g} seconds") from error
            raise too_slow(f"the body arrived at less than {least_rate / 1024:.0f} KiB per second") from error
        if chunk is None:
            return
        received += len(chunk)
        before = time.monotonic()
        yield chunk
        started += time.monotonic() - before
