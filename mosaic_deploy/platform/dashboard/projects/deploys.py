"""Reads the deployment history from a project's own database.

The schema `mosaic_deploy` belongs to the project's role, which can put anything into it. So it is read as that role, in
a read-only transaction with a short timeout, and its values are shown as text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
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
_MAX_ALL_CHANGES = 20_000
_MAX_TEXT = 2000
_DEPLOYS_QUERY = """
SELECT id::text, status::text, holder::text, environment::text, started_at::timestamptz, finished_at::timestamptz,
       CASE WHEN pg_catalog.pg_column_size(report) < 1000000 THEN report::jsonb END
FROM mosaic_deploy.deploys {} ORDER BY started_at DESC LIMIT %s
"""
_RECENT = _DEPLOYS_QUERY.format("WHERE %s::text IS NULL")
_ONE = _DEPLOYS_QUERY.format("WHERE id = %s")

_LEASE_QUERY = """
SELECT holder::text, acquired_at::timestamptz FROM mosaic_deploy.lease WHERE expires_at > pg_catalog.clock_timestamp()
"""


@dataclass(frozen=True, slots=True)
class Deploy:
    """One deploy. `changes` are addresses such as `static:index.html`; `omitted_changes` counts those beyond the limit.

    `approvals` are values of `--allow` with who gave them, `counts` what SQL files did to rows: `orders: 3 deleted`.
    """

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
    commit: str
    dirty: bool
    approvals: tuple[tuple[str, str], ...]
    counts: tuple[tuple[str, str], ...]

    @property
    def change_count(self) -> int:
        return len(self.changes) + self.omitted_changes

    @property
    def seconds(self) -> float:
        """How long it took; 0 if it hasn't finished."""
        return (self.finished_at - self.started_at).total_seconds() if self.finished_at else 0.0


async def recent(platform: Platform, projects: list[DictRow], limit: int) -> list[Deploy]:
    """The newest deploys of all these projects together, on the embedded platform. A project whose history can't be read has none."""
    return newest((await recent_by_project(platform, projects, limit)).values(), limit)


async def recent_by_project(
    platform: Platform, projects: Sequence[DictRow], limit: int
) -> dict[str, list[Deploy]]:
    """By project ID the newest deploys of each, newest first."""
    running = [row for row in projects if row["status"] == "running" and platform.local]
    found = await asyncio.gather(
        *(_fetch(platform, row, _RECENT, None, limit, _MAX_CHANGES) for row in running)
    )
    return {row["id"]: deploys for row, deploys in zip(running, found, strict=True)}


def newest(histories: Iterable[list[Deploy]], limit: int) -> list[Deploy]:
    """The newest of several histories."""
    merged = [deploy for deploys in histories for deploy in deploys]
    return sorted(merged, key=lambda deploy: deploy.started_at, reverse=True)[:limit]


async def find_deploy(platform: Platform, project: DictRow, deploy_id: str) -> Deploy:
    """With all its changes. Raises Fault (404)."""
    found = await _fetch(platform, project, _ONE, deploy_id, 1, _MAX_ALL_CHANGES)
    if not found:
        raise Fault(404, "not_found", f"project {project['id']} has no deploy {deploy_id!r}")
    return found[0]


async def _fetch(
    platform: Platform, project: DictRow, query: str, deploy_id: str | None, limit: int, max_changes: int
) -> list[Deploy]:
    password = project["database_password"]
    try:
        async with (
            asyncio.timeout(_TIMEOUT_SECONDS),
            platform.sessions.session(project["id"], project["account_id"], password) as session,
        ):
            await session.execute("BEGIN READ ONLY")
            await session.execute("SET LOCAL statement_timeout = '2s'")
            cursor = await session.execute(query.encode(), [deploy_id, limit])
            rows = await cursor.fetchall()
            lease = await _fetch_lease(session) if any(row[1] == "running" for row in rows) else None
            # The project's role can have removed NOT NULL.
            return [
                _deploy_from_row(project["id"], row, lease, max_changes) for row in rows if row[4] is not None
            ]
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


def _deploy_from_row(
    project_id: str, row: tuple[Any, ...], lease: tuple[Any, ...] | None, max_changes: int
) -> Deploy:
    name, status, holder, environment, started, finished, report = row
    if status == "running" and not (lease and lease[0] == holder and lease[1] <= started):
        # It doesn't hold the lock any more, so its process died before it recorded a result.
        status = "interrupted"
    changes = [_text(address) for address in _list(_field(report, "done"))]
    approved = [
        (_field(one, "value"), _field(one, "by")) for one in _list(_field(report, "approval", "approved"))
    ]
    counts = _field(report, "counts")
    return Deploy(
        project_id, name, status, holder, environment or "", started, finished,
        tuple(changes[:max_changes]), max(0, len(changes) - max_changes), _text(_field(report, "error", "message")),
        _text(_field(report, "commit")), _field(report, "dirty") is True,
        tuple((_text(value), _text(by)) for value, by in approved),
        tuple(_count_lines(counts)) if isinstance(counts, dict) else (),
    )  # fmt: skip


def _count_lines(counts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """SQL file, and what it did: `3 deleted, 2 updated`."""
    for file, done in list(counts.items())[:_MAX_CHANGES]:
        if isinstance(done, dict):
            parts = [f"{number:,} {_text(kind)}" for kind, number in done.items() if isinstance(number, int)]
            yield _text(file), ", ".join(parts)


def _field(value: object, *names: str) -> object:
    """A field within a report, in which anything can be; None if there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return str(value)[:_MAX_TEXT] if isinstance(value, str | int | float) else ""
