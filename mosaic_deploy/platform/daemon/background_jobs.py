"""Background jobs of a running platform: recovery, cleanup and connection upkeep."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import time
from collections.abc import Coroutine, Iterator
from datetime import timedelta
from typing import Any

import psycopg
from obstore.exceptions import BaseError

from mosaic_deploy.platform.postgres import clones
from mosaic_deploy.platform.projects import drafts, provisioning, rehearsals
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.storage import orphans

_SWEEP_SECONDS = 5.0

log = logging.getLogger(__name__)


async def resume_provisioning(platform: Platform) -> None:
    """Finishes what the previous run left unfinished, right at the start. What fails is for `run_background_jobs`."""
    with _logged_failures():
        await provisioning.resume_unfinished(platform, older_than=timedelta(0))


async def run_background_jobs(platform: Platform) -> None:
    """Finishes what crashed workers left unfinished and deletes orphaned objects, until cancelled.

    Several workers can run this at the same time.
    """
    while True:
        # Random, so that workers don't all run at the same moment.
        await asyncio.sleep(random.uniform(0.7, 1.3) * _SWEEP_SECONDS)  # noqa: S311
        with _logged_failures():
            await provisioning.resume_unfinished(platform)
            if platform.local:
                await drafts.drop_expired(platform)
                await clones.drop_retired_clones(platform.server, platform.pool)
                await rehearsals.drop_unused(platform)
            while await platform.may_delete_objects() and await orphans.sweep(platform.pool, platform.store):
                pass


async def prepare_spares(platform: Platform) -> None:
    """Copies bases of rehearsals in advance, until cancelled."""
    while True:
        with _logged_failures():
            await rehearsals.prepare_spares(platform)


async def keep_store_claim(platform: Platform) -> None:
    """Renews the claim on the object store, until cancelled.

    Deletions, which may take minutes, don't delay it: a copy of the database recognizes the original by new claims.
    """
    while platform.store_claim is not None:
        await asyncio.sleep(random.uniform(0.7, 1.3) * _SWEEP_SECONDS)  # noqa: S311
        with _logged_failures():
            if await platform.store_claim.is_settled():
                await platform.store_claim.renew()


@contextlib.contextmanager
def _logged_failures() -> Iterator[None]:
    """PostgreSQL or the object store may be away for a moment; that doesn't end the platform."""
    try:
        yield
    except (psycopg.Error, BaseError, OSError) as error:
        log.warning("background jobs failed, will retry: %s", str(error).strip())


async def run_concurrently(*jobs: Coroutine[Any, Any, None]) -> None:
    """Runs until one of them raises, then cancels the others and raises that error itself, not a group."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for job in jobs:
                tasks.create_task(job)
    except ExceptionGroup as group:
        raise group.exceptions[0] from group


async def maintain_connections(platform: Platform) -> None:
    """Closes idle sessions. While requests wait for the control database, tries to connect once a second, so that they
    continue as soon as it is back."""
    while True:
        await asyncio.sleep(1)
        await platform.sessions.close_idle()
        if platform.pool.get_stats().get("requests_waiting"):
            with contextlib.suppress(psycopg.Error):
                async with platform.pool.connection(timeout=1):
                    pass


async def stop_when_idle(platform: Platform, seconds: float) -> None:
    """Ends the platform as SIGTERM does, once there was no request for this long. With 0 it never does."""
    requests, since = -1, time.monotonic()
    while seconds:
        await asyncio.sleep(min(1.0, seconds / 4))
        counted = sum(platform.journal.counts.values())
        if counted != requests or platform.journal.in_flight:
            requests, since = counted, time.monotonic()
        elif time.monotonic() - since > seconds:
            log.info("no request for %.0f seconds; stopping", seconds)
            os.kill(os.getpid(), signal.SIGTERM)
            return
