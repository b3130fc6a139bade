"""The deploys that the ledger has kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mosaic_deploy.live import ledger
from mosaic_deploy.live.client import Api
from mosaic_deploy.live.lease_text import RUNS


@dataclass(frozen=True, slots=True)
class Deploy:
    """One run that held the lease. Times are ISO 8601 as the database tells them.

    `done` are addresses; None where the run ended without a report, so that nobody knows from here.
    """

    id: str
    status: str
    holder: str
    environment: str | None
    started_at: str
    finished_at: str | None
    commit: str | None
    done: tuple[str, ...] | None
    error: str | None


def read_deploys(api: Api, project: str, limit: int) -> list[Deploy]:
    """The newest `limit` deploys, the newest first; none where nothing was ever deployed from here."""
    if not any(row.get("ledger") for row in api.sql(project, ledger.probe())):
        return []
    rows = api.sql(
        project,
        "SELECT COALESCE(pg_catalog.json_agg(told), '[]')::text AS deploys FROM ("
        f"{RUNS} ORDER BY started_at DESC, id LIMIT {limit:d}) each (told)",
    )
    told = rows[0]["deploys"] if rows else "[]"
    return [_deploy(row) for row in (json.loads(told) if isinstance(told, str) else told)]


def _deploy(row: dict[str, Any]) -> Deploy:
    report = row.get("report") or {}
    failed = report.get("error") or {}
    return Deploy(
        id=row["id"],
        status=row["status"],
        holder=row["holder"],
        environment=row.get("environment"),
        started_at=row["started_at"],
        finished_at=row.get("finished_at"),
        commit=report.get("commit"),
        done=tuple(report["done"]) if "done" in report else None,
        error=failed.get("message"),
    )
