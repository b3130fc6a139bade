"""Finds the transactions that keep predicate locks of SERIALIZABLE transactions that have ended.

No view tells how a transaction is isolated. But one that is SERIALIZABLE READ ONLY DEFERRABLE waits for all SERIALIZABLE
ones that may write, and PostgreSQL tells for whom it waits. If there are none, those that only read keep them.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import psycopg

from mosaic_deploy.platform.postgres.server import Server
from mosaic_deploy.platform.tenants.activity import ActivityConnection
from mosaic_deploy.platform.tenants.offences import OpenTransaction

_LOOK_SECONDS = 0.02
_LOOKS = 25


async def find_keeping_transactions(
    server: Server, database: str, looking: ActivityConnection
) -> list[OpenTransaction]:
    """Of all roles. Raises psycopg.Error."""
    connection = await server.connect(database)
    try:
        await connection.execute("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE")
        starting = asyncio.create_task(connection.execute("SELECT 1"))
        try:
            return await _find(starting, connection.info.backend_pid, looking)
        finally:
            starting.cancel()
            with suppress(psycopg.Error, asyncio.CancelledError):
                await starting
    finally:
        await connection.close()


async def _find(
    starting: asyncio.Task[object], pid: int, looking: ActivityConnection
) -> list[OpenTransaction]:
    for _ in range(_LOOKS):
        await asyncio.wait([starting], timeout=_LOOK_SECONDS)
        if writers := await looking.serializable_writers(pid):
            return await looking.transactions(writers)
        if starting.done():
            await starting
            return await looking.transactions(await looking.predicate_lock_holders())
    return []
