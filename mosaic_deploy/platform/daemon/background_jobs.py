"""What a running platform does beside answering requests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import psycopg
from obstore.exceptions import BaseError
from psycopg_pool import PoolTimeout

from mosaic_deploy.platform.postgres import clones
from mosaic_deploy.platform.projects import drafts, provisioning
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.storage import orphans

_SWEEP_SECONDS = 5.0

log = logging.getLogger(__name__)


async def resume_provisioning(platform: Platform) -> None:
    """At the start: what the last run left half done isn't kept waiting."""
    await provisioning.resume_unfinished(platform, older_than=timedelta(0))


async def run_background_jobs(platform: Platform) -> None:
    """For ever: finish what workers that are gone have begun, delete bytes that nothing refers to.

    Any number of workers do this side by side.
    """
    while True:
        # Not all at the same moment.
        await asyncio.sleep(random.uniform(0.7, 1.3) * _SWEEP_SECONDS)  # noqa: S311
        try:
            await provisioning.resume_unfinished(platform)
            if platform.local:
                await drafts.drop_expired(platform)
                await clones.drop_retired_clones(platform.server)
            while await orphans.sweep(platform.pool, platform.store):
                pass
        except (psycopg.Error, PoolTimeout, BaseError, OSError) as error:
            log.warning("chores are put off: %s", str(error).strip())


async def run_concurrently(*running: Coroutine[Any, Any, None]) -> None:
    """Until one of them raises; the others are cancelled, and that one error is raised as it is."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for one in running:
                tasks.create_task(one)
    except ExceptionGroup as group:
        raise group.exceptions[0] from group


async def maintain_connections(platform: Platform) -> None:
    """Close sessions that idle; and where requests wait for the control database, ask for it once a second, so
    that they don't wait longer than it is away."""
    while True:
        await asyncio.sleep(1)
        await platform.sessions.close_idle()
        if platform.pool.get_stats().get("requests_waiting"):
            with contextlib.suppress(psycopg.Error, PoolTimeout):
                async with platform.pool.connection(timeout=1):
                    pass
