"""Bytes and number of a project's static files, where the platform limits them.

Summing them for every upload would make a deploy of many files slow. So each worker counts on from the last sum, for a
few seconds; several workers may together exceed the limit by what they take in that time.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.services import Platform

FILES_LIMIT = 50_000
"""Static files of one project, where their bytes are limited, too."""
_SUM_SECONDS = 10.0
_CACHE_LIMIT = 1000
_QUERY = """
SELECT account.tier, count(filename) AS files, coalesce(sum(size), 0)::bigint AS bytes
FROM project JOIN account ON account.id = account_id LEFT JOIN static_file ON static_file.project_id = project.id
WHERE project.id = %(project)s AND account_id = %(account)s GROUP BY account.tier
"""


@dataclass
class _Usage:
    """What was summed and stored since then, and what is just being stored."""

    files: int = 0
    bytes: int = 0
    limit: int | None = None
    summed_at: float = -math.inf
    pending_files: int = 0
    pending_bytes: int = 0
    # Requests at the same time would each begin with the same sum.
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


_usages: dict[tuple[int, str], _Usage] = {}


@asynccontextmanager
async def reserved(platform: Platform, project_id: str, size: int) -> AsyncIterator[None]:
    """While a file of `size` bytes is stored. A file that it replaces counts until the next sum.

    Raises Fault (413) if it doesn't fit.
    """
    if platform.local or "\x00" in project_id:
        yield
        return
    if len(_usages) >= _CACHE_LIMIT:
        for key in [key for key, usage in _usages.items() if not usage.pending_files]:
            del _usages[key]
    usage = _usages.setdefault((platform.account_id, project_id), _Usage())
    async with usage.lock:
        if time.monotonic() - usage.summed_at > _SUM_SECONDS or not _fits(usage, size):
            await _sum(platform, project_id, usage)
        if not _fits(usage, size):
            message = f"a project's static files may have {usage.limit:,} bytes and be {FILES_LIMIT:,}; delete some first"
            raise Fault(413, "static_quota_exceeded", message)
        usage.pending_files += 1
        usage.pending_bytes += size
    try:
        yield
        usage.files += 1
        usage.bytes += size
    finally:
        usage.pending_files -= 1
        usage.pending_bytes -= size


def _fits(usage: _Usage, size: int) -> bool:
    files, bytes_ = usage.files + usage.pending_files, usage.bytes + usage.pending_bytes
    return usage.limit is None or (bytes_ + size <= usage.limit and files < FILES_LIMIT)


async def _sum(platform: Platform, project_id: str, usage: _Usage) -> None:
    parameters = {"project": project_id, "account": platform.account_id}
    row = await control_database.fetch_one(platform.pool, _QUERY, parameters)
    if row is not None:
        usage.files, usage.bytes = row["files"], row["bytes"]
        usage.limit = platform.limits.static(row["tier"])
        usage.summed_at = time.monotonic()
    # Otherwise the account has no such project, which the caller reports.
