"""Reads the deployment history from a project's own database.

The schema `mosaic_deploy` belongs to the project's role, which can put anything into it. So it is read as that role, in
a read-only transaction with a short timeout, and its values are shown as text.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.postgres.connections import Session
from mosaic_deploy.platform.services import Platform

_TIMEOUT_SECONDS = 3
_MAX_CHANGES = 200
_DEPLOYS_QUERY = """
SELECT id::text, status::text, holder::text, environment::text, started_at::timestamptz, finished_at::timestamptz,
       CASE WHEN pg_catalog.pg_column_size(report) < 1000000 THEN report::jsonb END
FROM mosaic_deploy.deploys ORDER BY started_at DESC LIMIT %s
"""

_LEASE_QUERY = """
SELECT holder::text, acquired_at::timestamptz FROM mosaic_deploy.lease WHERE expires_at > pg_catalog.clock_timestamp()
"""


@dataclass(frozen=True, slots=True)
class Deploy:
    """One deploy. `changes` are addresses such as `static:index.html`, at most 200; `omitted_changes` counts the rest."""

    project_id: str
    id: str
    status: str
    holder: str
    environment: str
    started_at: datetime
    finished_at: datetime | None
    changes: tuple[str, ...]
    omitted_changes: int
    error: str

    @property
    def change_count(self) -> int:
        return len(self.changes) + self.omitted_changes

    @property
    def seconds(self) -> float:
        """How long it took; 0 if it hasn't finished."""
        return (self.finished_at - self.started_at).total_seconds() if self.finished_at else 0.0


async def recent(platform: Platform, projects: list[DictRow], limit: int) -> list[Deploy]:
    """The newest deploys of all these projects together. A project whose history can't be read has none."""
    running = [row for row in projects if row["status"] == "running"]
    found = await asyncio.gather(*(_fetch_project_deploys(platform, row, limit) for row in running))
    merged = [deploy for deploys in found for deploy in deploys]
    return sorted(merged, key=lambda deploy: deploy.started_at, reverse=True)[:limit]


async def _fetch_project_deploys(platform: Platform, project: DictRow, limit: int) -> list[Deploy]:
    password = project["database_password"]
    try:
        async with (
            asyncio.timeout(_TIMEOUT_SECONDS),
            platform.sessions.session(project["id"], project["account_id"], password) as session,
        ):
            await session.execute("BEGIN READ ONLY")
            await session.execute("SET LOCAL statement_timeout = '2s'")
            cursor = await session.execute(_DEPLOYS_QUERY, [limit])
            rows = await cursor.fetchall()
            lease = await _fetch_lease(session) if any(row[1] == "running" for row in rows) else None
            return [_deploy_from_row(project["id"], row, lease) for row in rows]
    except (psycopg.Error, Fault, TimeoutError):
        # No tracking tables, other columns, or a busy database: the page shows no deploys.
        return []


async def _fetch_lease(session: Session) -> tuple[Any, ...] | None:
    """(holder, acquired_at) of the deploy that runs now."""
    try:
        cursor = await session.execute(_LEASE_QUERY)
        return await cursor.fetchone()
    except psycopg.Error:
        return None


def _deploy_from_row(project_id: str, row: tuple[Any, ...], lease: tuple[Any, ...] | None) -> Deploy:
    name, status, holder, environment, started, finished, report = row
    if status == "running" and not (lease and lease[0] == holder and lease[1] <= started):
        # It doesn't hold the lock any more, so its process died before it recorded a result.
        status = "interrupted"
    report = report if isinstance(report, dict) else {}
    done = report.get("done")
    changes = [str(address) for address in done] if isinstance(done, list) else []
    error = report.get("error")
    message = str(error.get("message", "")) if isinstance(error, dict) else ""
    return Deploy(
        project_id, name, status, holder, environment or "", started, finished,
        tuple(changes[:_MAX_CHANGES]), max(0, len(changes) - _MAX_CHANGES), message[:2000],
    )  # fmt: skip
