"""The deploys that the ledger has kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mosaic_deploy.errors import ResponseInvalid
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger import read as ledger
from mosaic_deploy.live.ledger.lease_sql import DEPLOYS_QUERY
from mosaic_deploy.sql.execution.records import SEED
from mosaic_deploy.sql.quote import literal


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
    if not any(row.get("ledger") for row in api.sql(project, ledger.probe_query())):
        return []
    rows = api.sql(
        project,
        "SELECT COALESCE(pg_catalog.json_agg(told), '[]')::text AS deploys FROM ("
        f"{DEPLOYS_QUERY} ORDER BY started_at DESC, id LIMIT {limit:d}) each (told)",
    )
    deploys_json = rows[0]["deploys"] if rows else "[]"
    return [
        _parse_deploy(row)
        for row in (json.loads(deploys_json) if isinstance(deploys_json, str) else deploys_json)
    ]


def _parse_deploy(row: dict[str, Any]) -> Deploy:
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


@dataclass(frozen=True, slots=True)
class DeployOutcome:
    """`applied` are the versions that this run wrote whole, `recorded` all that the ledger has, `seeds` paths."""

    applied: frozenset[str]
    recorded: frozenset[str]
    seeds: frozenset[str]


def read_outcome(api: Api, project: str, deploy_id: str) -> DeployOutcome:
    """Reads only. Raises ApiError's children."""
    ours = f"deploy_id = {literal(deploy_id)}"
    lists = {
        "applied": f"SELECT version::text FROM mosaic_deploy.migrations WHERE steps_done >= steps AND {ours}",
        "known": "SELECT version::text FROM mosaic_deploy.migrations",
        "seeds": f"SELECT path FROM mosaic_deploy.objects WHERE kind = {literal(SEED)} AND {ours}",
    }
    listed = ", ".join(f"'{name}', pg_catalog.to_json(ARRAY({query}))" for name, query in lists.items())
    rows = api.sql(project, f"SELECT pg_catalog.json_build_object({listed})::text AS committed")
    try:
        facts = json.loads(rows[0]["committed"])
        return DeployOutcome(*(frozenset(map(str, facts[name])) for name in lists))
    except (LookupError, TypeError, ValueError):
        raise ResponseInvalid("the SQL endpoint returned the ledger in a shape that can't be read") from None
