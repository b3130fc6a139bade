"""A process that parses large JSON documents: the parser holds Python's lock, so no thread could serve meanwhile.

It is started by the first large document and ends with this process, however that ends.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from mosaic_deploy.platform.http.json_text import parse

INLINE_BYTES = 256 * 1024
"""Smaller documents take milliseconds, less than sending them to another process."""

_pool: ProcessPoolExecutor | None = None


async def parse_in_process(raw: bytes) -> Any:
    """As `json_text.parse`, and like it raises ValueError and RecursionError."""
    for _ in range(2):
        pool = _started_pool()
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, parse, raw)
        except BrokenProcessPool:
            # Killed from outside, for example for lack of memory.
            _forget(pool)
    raise ValueError("its parser ended unexpectedly")


def stop() -> None:
    """End the process, if there is one."""
    if _pool is not None:
        _forget(_pool)


def _started_pool() -> ProcessPoolExecutor:
    global _pool  # noqa: PLW0603 (one for the whole process, as the interpreter's lock is)
    if _pool is None:
        context = multiprocessing.get_context("spawn")
        _pool = ProcessPoolExecutor(1, mp_context=context, initializer=_prepare_process)
    return _pool


def _forget(pool: ProcessPoolExecutor) -> None:
    global _pool  # noqa: PLW0603
    if _pool is pool:
        _pool = None
    pool.shutdown(wait=False, cancel_futures=True)


def _prepare_process() -> None:
    # Requests of others come first.
    os.nice(10)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Sent to the whole group by a terminal; this process ends with its parent.
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(0)
