"""A new API key every 30 days, or when asked for: on a machine's own platform, which keeps it in its home."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import Request
from starlette.responses import Response

from mosaic_deploy.platform.accounts import GRACE
from mosaic_deploy.platform.answer import Json
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.local_key import LocalKey
from mosaic_deploy.platform.parts import Platform

_CHECK_SECONDS = 600.0

log = logging.getLogger(__name__)


async def rotate_now(platform: Platform, _request: Request) -> Response:
    """Asked for with the current key of this machine's own account, by `local key rotate`."""
    key = _own(platform)
    own = await platform.doorkeeper.entry(platform.pool, key.value)
    if own.account_id != platform.account_id:
        raise Fault(404, "not_found", "the key of this machine isn't this account's")
    await key.rotate(platform.pool)
    platform.doorkeeper.forget()
    until = (datetime.now(UTC) + GRACE).isoformat(timespec="seconds")
    return Json({"api_key": key.value, "previous_key_until": until})


async def keep_rotating(platform: Platform) -> None:
    """For ever: a new key every 30 days."""
    key = _own(platform)
    while True:
        await asyncio.sleep(_CHECK_SECONDS)
        try:
            if await key.rotate_if_due(platform.pool):
                platform.doorkeeper.forget()
        except (psycopg.Error, PoolTimeout, OSError) as error:
            log.warning("the rotation of the API key is put off: %s", str(error).strip())


def _own(platform: Platform) -> LocalKey:
    if platform.local_key is None:
        raise Fault(404, "not_found", "there is no key of this machine's own here")
    return platform.local_key
