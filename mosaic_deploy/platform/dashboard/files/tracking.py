"""Reads the deployer's tracking tables in a project's own database: who deployed which file, and the recorded policy.

The schema `mosaic_deploy` belongs to the project's role, which can put anything into it. So it is read as that role, in
a read-only transaction with a short timeout, and its values are shown as text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg.rows import DictRow

from mosaic_deploy.platform.dashboard.queries.policy import Policy, parse_policy
from mosaic_deploy.platform.faults import Fault
from mosaic_deploy.platform.services import Platform

_TIMEOUT_SECONDS = 3
_EXISTS = "SELECT pg_catalog.to_regclass('mosaic_deploy.{}') IS NOT NULL"
_DEPLOYED = """
SELECT o.path::text, o.state::text, o.manifest::text, o.updated_at::timestamptz, o.deploy_id::text,
       d.holder::text, d.environment::text
FROM mosaic_deploy.objects o LEFT JOIN mosaic_deploy.deploys d ON d.id = o.deploy_id
WHERE o.kind = %s AND o.path = ANY (%s) LIMIT %s
"""
_POLICY = "SELECT value::text FROM mosaic_deploy.settings WHERE name = 'policy' LIMIT 1"
_MAX_TEXT = 500


class TrackingUnreadable(Exception):
    """The tables are there, but can't be read: the database is busy or suspended, or they have another layout."""


@dataclass(frozen=True, slots=True)
class DeployedFile:
    """Who deployed a file. `manifest` is empty if unknown; `state` is `live`, `pending`, or `kept` after it left the folder."""

    state: str
    manifest: str
    at: datetime
    deploy_id: str
    holder: str
    environment: str


async def read_deployed(
    platform: Platform, project: DictRow, kind: Literal["static", "storage"], names: Sequence[str]
) -> dict[str, DeployedFile]:
    """By name, the files that a deploy has recorded. Raises TrackingUnreadable."""
    rows = await _fetch(platform, project, "objects", _DEPLOYED, [kind, list(names), len(names)])
    return {
        path: DeployedFile(
            _short(state), _short(manifest), at, _short(deploy), _short(holder), _short(environment)
        )
        for path, state, manifest, at, deploy, holder, environment in rows
        if isinstance(at, datetime)
    }


async def read_policy(platform: Platform, project: DictRow) -> Policy:
    """The strictest of the recorded policies; the default without a record. Raises TrackingUnreadable."""
    rows = await _fetch(platform, project, "settings", _POLICY, None)
    return parse_policy(rows[0][0] if rows else None)


async def _fetch(
    platform: Platform, project: DictRow, table: str, query: str, parameters: list[Any] | None
) -> list[tuple[Any, ...]]:
    """The query's rows; none if the table doesn't exist. Raises TrackingUnreadable."""
    password = project["database_password"]
    try:
        async with (
            asyncio.timeout(_TIMEOUT_SECONDS),
            platform.sessions.session(project["id"], project["account_id"], password) as session,
        ):
            await session.execute("BEGIN READ ONLY")
            await session.execute("SET LOCAL statement_timeout = '2s'")
            exists = await (await session.execute(_EXISTS.format(table).encode())).fetchone()
            if exists is None or not exists[0]:
                return []
            return await (await session.execute(query.encode(), parameters)).fetchall()
    except (psycopg.Error, Fault, TimeoutError) as error:
        raise TrackingUnreadable(str(error)) from error


def _short(value: object) -> str:
    return str(value)[:_MAX_TEXT] if isinstance(value, str) else ""
