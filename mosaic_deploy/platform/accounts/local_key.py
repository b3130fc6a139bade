"""The embedded platform's API key. It is stored in plain text in the data folder, so that `apply --local` finds it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
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
    """The current key of one data folder."""

    def __init__(self, folder: Path, value: str, account_id: int) -> None:
        self.value = value
        self._folder = folder
        self._account_id = account_id
        self._rotation_lock = asyncio.Lock()

    def __repr__(self) -> str:
        return "LocalKey(mk_…)"

    async def rotate(self, pool: Pool) -> None:
        """Changes the database first, then the files, so a key read from a file always works. If this is interrupted in
        between, the next start finds that the file's key was replaced, and rotates again."""
        async with self._rotation_lock:
            self.value = await accounts.rotate_key(pool, self._account_id)
            await asyncio.to_thread(self._write)
        log.info("API key rotated")

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


async def rotate_now(platform: Platform, _request: Request) -> Response:
    """`local key rotate`: replaces this machine's key. Needs a key of this machine's own account."""
    key = _require_local_key(platform)
    own = await platform.authenticator.authenticate(platform.pool, key.value)
    if own.account_id != platform.account_id:
        raise Fault(404, "not_found", "only this machine's own account can rotate this machine's key")
    await key.rotate(platform.pool)
    platform.authenticator.clear_cache()
    until = (datetime.now(UTC) + KEY_GRACE_PERIOD).isoformat(timespec="seconds")
    return JsonResponse({"api_key": key.value, "previous_key_until": until})


async def rotate_when_due(platform: Platform) -> None:
    """Rotates the key every 30 days, until cancelled."""
    key = _require_local_key(platform)
    while True:
        await asyncio.sleep(_CHECK_SECONDS)
        try:
            if await key.rotate_if_due(platform.pool):
                platform.authenticator.clear_cache()
        except (psycopg.Error, OSError) as error:
            log.warning("rotating the API key failed, will retry: %s", str(error).strip())


def _require_local_key(platform: Platform) -> LocalKey:
    if platform.local_key is None:
        raise Fault(404, "not_found", "this platform has no local API key")
    return platform.local_key
