"""The API key of this machine's own platform. It alone is kept as it is, in the home, for `apply --local` to find."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.accounts import accounts
from mosaic_deploy.platform.accounts.accounts import KEY_GRACE_PERIOD
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.http.responses import JsonResponse
from mosaic_deploy.platform.machine import state_folder
from mosaic_deploy.platform.postgres.control_database import Pool
from mosaic_deploy.platform.services import Platform

log = logging.getLogger(__name__)


class LocalKey:
    """The current key of one home."""

    def __init__(self, folder: Path, value: str, account_id: int) -> None:
        self.value = value
        self._folder = folder
        self._account_id = account_id
        self._rotation_lock = asyncio.Lock()

    def __repr__(self) -> str:
        return "LocalKey(mk_…)"

    async def rotate(self, pool: Pool) -> None:
        """First the database, then the home: whoever reads a key there finds one that is good. Where this ends in
        between, the next start finds the home's key replaced, and rotates once more."""
        async with self._rotation_lock:
            self.value = await accounts.rotate_key(pool, self._account_id)
            await asyncio.to_thread(self._write)
        log.info("the API key was rotated")

    async def rotate_if_due(self, pool: Pool) -> bool:
        if not await accounts.is_rotation_due(pool, self.value):
            return False
        await self.rotate(pool)
        return True

    def _write(self) -> None:
        state = state_folder.read_state(self._folder)
        if state is not None:
            state_folder.write_state(self._folder, replace(state, api_key=self.value))
        document = state_folder.read_platform(self._folder)
        if document is not None:
            state_folder.write_platform(self._folder, {**document, "api_key": self.value})


_CHECK_SECONDS = 600.0

log = logging.getLogger(__name__)


async def rotate_now(platform: Platform, _request: Request) -> Response:
    """Asked for with the current key of this machine's own account, by `local key rotate`."""
    key = _require_local_key(platform)
    own = await platform.authenticator.authenticate(platform.pool, key.value)
    if own.account_id != platform.account_id:
        raise Fault(404, "not_found", "the key of this machine isn't this account's")
    await key.rotate(platform.pool)
    platform.authenticator.clear_cache()
    until = (datetime.now(UTC) + KEY_GRACE_PERIOD).isoformat(timespec="seconds")
    return JsonResponse({"api_key": key.value, "previous_key_until": until})


async def rotate_when_due(platform: Platform) -> None:
    """For ever: a new key every 30 days."""
    key = _require_local_key(platform)
    while True:
        await asyncio.sleep(_CHECK_SECONDS)
        try:
            if await key.rotate_if_due(platform.pool):
                platform.authenticator.clear_cache()
        except (psycopg.Error, PoolTimeout, OSError) as error:
            log.warning("the rotation of the API key is put off: %s", str(error).strip())


def _require_local_key(platform: Platform) -> LocalKey:
    if platform.local_key is None:
        raise Fault(404, "not_found", "there is no key of this machine's own here")
    return platform.local_key
