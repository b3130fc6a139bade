"""Bytes and number of a project's static files, where the platform limits them.

Summing them for every upload would make a deploy of many files slow. So each worker counts on from the last sum, for a
few seconds; several workers may together exceed the limit by what they take in that time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

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
    files: int
    bytes: int
    limit: int | None
    summed_at: float


_usages: dict[tuple[int, str], _Usage] = {}


async def check(platform: Platform, project_id: str, size: int) -> None:
    """Raises Fault (413) if a file of `size` bytes doesn't fit. A file that it replaces counts until the next sum."""
    if platform.local or "\x00" in project_id:
        return
    key = (platform.account_id, project_id)
    usage = _usages.get(key)
    if usage is None or time.monotonic() - usage.summed_at > _SUM_SECONDS or not _fits(usage, size):
        usage = await _sum(platform, project_id)
        if usage is None:
            # No project of this account; the caller reports it.
            return
        if len(_usages) >= _CACHE_LIMIT:
            _usages.clear()
        _usages[key] = usage
    if not _fits(usage, size):
        message = f"a project's static files may have {usage.limit:,} bytes and be {FILES_LIMIT:,}; delete some first"
        raise Fault(413, "static_quota_exceeded", message)
    usage.files += 1
    usage.bytes += size


def _fits(usage: _Usage, size: int) -> bool:
    return usage.limit is None or (usage.bytes + size <= usage.limit and usage.files < FILES_LIMIT)


async def _sum(platform: Platform, project_id: str) -> _Usage | None:
    parameters = {"project": project_id, "account": platform.account_id}
    row = await control_database.fetch_one(platform.pool, _QUERY, parameters)
    if row is None:
        return None
    return _Usage(row["files"], row["bytes"], platform.limits.static(row["tier"]), time.monotonic())
