"""Deploys recorded in the deployment history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mosaic_deploy.errors import ResponseInvalid
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.ledger import read as ledger
from mosaic_deploy.live.ledger.lease_sql import DEPLOYS_QUERY
from mosaic_deploy.live.ledger.reports import sound_report
from mosaic_deploy.sql.execution.records import SEED
from mosaic_deploy.sql.quote import literal


@dataclass(frozen=True, slots=True)
class Deploy:
    """One run that held the lease. Times are ISO 8601, from the database's clock.

    `dirty`: the deployed files had changes that aren't in the commit. `done` are addresses; None if the run ended without recording its result. `sql` has for the address of each migration
    and seed that was run its `seconds`, `steps`, `rows` by what happened to them, and `notices`. `counts` has for each kind of
    `done` the number by action (`add`, `change`, `destroy`), `approval` how the plan was confirmed (Consent in `diff/gate.py`);
    None if that wasn't recorded.
    """

    id: str
    status: str
    holder: str
    environment: str | None
    started_at: str
    finished_at: str | None
    commit: str | None
    dirty: bool
    done: tuple[str, ...] | None
    error: str | None
    sql: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, int]] | None = None
    approval: Mapping[str, Any] | None = None


def read_deploys(api: Api, project: str, limit: int) -> list[Deploy]:
    """The newest `limit` deploys, newest first; empty if the project has no tracking tables."""
    if not any(row.get("ledger") for row in api.sql(project, ledger.probe_query())):
        return []
    rows = api.sql(
        project,
        "SELECT COALESCE(pg_catalog.json_agg(deploy), '[]')::text AS deploys FROM ("
        f"{DEPLOYS_QUERY} ORDER BY serial DESC LIMIT {limit:d}) found (deploy)",
    )
    deploys_json = rows[0]["deploys"] if rows else "[]"
    return [
        _parse_deploy(row)
        for row in (json.loads(deploys_json) if isinstance(deploys_json, str) else deploys_json)
    ]


def _parse_deploy(row: dict[str, Any]) -> Deploy:
    report = sound_report(row.get("report"))
    failed = report.get("error") or {}
    return Deploy(
        id=row["id"],
        status=row["status"],
        holder=row["holder"],
        environment=row.get("environment"),
        started_at=row["started_at"],
        finished_at=row.get("finished_at"),
        commit=report.get("commit"),
        dirty=bool(report.get("dirty")),
        done=tuple(report["done"]) if "done" in report else None,
        error=failed.get("message"),
        sql=report.get("sql") or {},
        counts=report.get("counts"),
        approval=report.get("approval"),
    )


@dataclass(frozen=True, slots=True)
class DeployOutcome:
    """What the tracking tables have of one deploy.

    `applied` are the versions whose last step it committed, `recorded` all versions in the ledger, `seeds` paths.
    """

    applied: frozenset[str]
    recorded: frozenset[str]
    seeds: frozenset[str]


def read_outcome(api: Api, project: str, deploy_id: str) -> DeployOutcome:
    """What `deploy_id` committed, by the tracking tables. Raises ApiError."""
    ours = f"deploy_id = {literal(deploy_id)}"
    lists = {
        "applied": f"SELECT version::text FROM mosaic_deploy.migrations WHERE steps_done >= steps AND {ours}",
        "recorded": "SELECT version::text FROM mosaic_deploy.migrations",
        "seeds": f"SELECT path FROM mosaic_deploy.objects WHERE kind = {literal(SEED)} AND {ours}",
    }
    listed = ", ".join(f"'{name}', pg_catalog.to_json(ARRAY({query}))" for name, query in lists.items())
    rows = api.sql(project, f"SELECT pg_catalog.json_build_object({listed})::text AS committed")
    try:
        facts = json.loads(rows[0]["committed"])
        return DeployOutcome(*(frozenset(map(str, facts[name])) for name in lists))
    except (LookupError, TypeError, ValueError):
        raise ResponseInvalid(
            "the SQL endpoint returned the tracking tables in an unexpected format"
        ) from None
