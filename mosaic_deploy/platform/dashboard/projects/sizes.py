"""What projects' databases take on disk."""

from __future__ import annotations

from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.services import Platform


async def database_sizes(platform: Platform, names: list[str]) -> dict[str, int]:
    """Bytes of each database that exists."""
    query = "SELECT datname, pg_database_size(oid) AS size FROM pg_database WHERE datname = ANY(%(names)s)"
    found = await control_database.fetch(platform.pool, query, {"names": names})
    return {row["datname"]: row["size"] for row in found}
