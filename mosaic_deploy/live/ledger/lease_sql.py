"""SQL of the lease and of the rows in `deploys`. Every statement may be sent twice.

A run's row in `deploys` is written by the statement that acquires its lease. So the running deploy is the row of the
lease's holder that isn't older than the lease.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mosaic_deploy.sql.quote import json_literal, literal

LEASE_TTL = 60.0
"""Seconds until a lease expires that isn't renewed."""

_DEPLOY_STATUS = (
    "CASE WHEN d.status = 'running' AND NOT EXISTS (SELECT FROM mosaic_deploy.lease l "
    "WHERE l.expires_at > pg_catalog.clock_timestamp() AND l.holder = d.holder AND l.acquired_at <= d.started_at) "
    "THEN 'interrupted' ELSE d.status END"
)
"""Status of row `d`. A crashed run can't record its end: a `running` row without a lease is `interrupted`."""

DEPLOYS_QUERY = (
    f"SELECT pg_catalog.to_jsonb(d) || pg_catalog.jsonb_build_object('status', {_DEPLOY_STATUS}, "
    "'report', d.report - 'process') FROM mosaic_deploy.deploys d"
)
"""The rows of `deploys` as JSON, with the status corrected by the lease and without facts about processes."""

LEASE_HOLDER_QUERY = (
    "SELECT pg_catalog.json_build_object('holder', l.holder, "
    "'expiry', EXTRACT(EPOCH FROM l.expires_at)::text, "
    "'seconds', EXTRACT(EPOCH FROM l.expires_at - pg_catalog.clock_timestamp()), "
    "'process', (SELECT d.report->'process' FROM mosaic_deploy.deploys d WHERE d.status = 'running' "
    "AND d.holder = l.holder AND d.started_at >= l.acquired_at ORDER BY d.serial DESC LIMIT 1)) "
    "FROM mosaic_deploy.lease l"
)
"""The lease as JSON: holder, its process if recorded, expiry, and seconds left."""


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """Who requests the lease, for which plan. `token` is random and known only to this run."""

    project: str
    holder: str
    token: str
    deploy_id: str
    plan: str
    serial: int
    environment: str | None = None
    commit: str | None = None
    """The deployed commit of the project's repository."""
    process: Mapping[str, object] = field(default_factory=dict)
    """Identifies the process to others on its machine; see LocalProcesses in `lease.py`."""

    @property
    def report(self) -> dict[str, object]:
        """What is known at the beginning of the run, for its row in `deploys`."""
        commit = {"commit": self.commit} if self.commit else {}
        return {**commit, **({"process": dict(self.process)} if self.process else {})}


def lease_expiry_sql() -> str:
    return f"pg_catalog.clock_timestamp() + interval '{LEASE_TTL:.0f} seconds'"


def renew_lease_sql(token: str) -> str:
    """Extends the lease. Returns `held`: 0 if it was lost."""
    return (
        f"WITH kept AS (UPDATE mosaic_deploy.lease SET expires_at = {lease_expiry_sql()} WHERE token = "
        f"{literal(token)} RETURNING 1) SELECT count(*) AS held FROM kept"
    )


def acquire_lease_sql(run: LeaseRequest, seen: tuple[str, str] | None) -> str:
    """Acquires a free, expired or own lease, or the one that was `seen` (holder, expiry), and counts the deploy.

    With the lease every other run is over, so rows that still say `running` become `interrupted`.
    """
    token, deploy, holder = literal(run.token), literal(run.deploy_id), literal(run.holder)
    environment = literal(run.environment) if run.environment else "NULL"
    steal_condition = f"\n    OR ({_unchanged_condition('l', *seen)})" if seen else ""
    return f"""WITH taken AS (
  INSERT INTO mosaic_deploy.lease AS l (holder, token, acquired_at, expires_at)
  VALUES ({holder}, {token}, pg_catalog.clock_timestamp(), {lease_expiry_sql()})
  ON CONFLICT (one) DO UPDATE SET holder = EXCLUDED.holder, token = EXCLUDED.token,
    acquired_at = CASE WHEN l.token = EXCLUDED.token THEN l.acquired_at ELSE EXCLUDED.acquired_at END,
    expires_at = EXCLUDED.expires_at
  WHERE l.expires_at <= pg_catalog.clock_timestamp() OR l.token = EXCLUDED.token{steal_condition} RETURNING 1),
ended AS ({_mark_interrupted_sql("taken", {"lock_taken_over_by": run.holder} if seen else {})} AND id <> {deploy}),
mine AS (SELECT 1 FROM mosaic_deploy.deploys WHERE id = {deploy}),
counted AS (
  UPDATE mosaic_deploy.ledger SET serial = serial + 1 WHERE serial = {run.serial}
  AND EXISTS (SELECT FROM taken) AND NOT EXISTS (SELECT FROM mine) RETURNING serial),
begun AS (
  INSERT INTO mosaic_deploy.deploys (id, serial, status, holder, environment, plan, report)
  SELECT {deploy}, serial, 'running', {holder}, {environment}, {literal(run.plan)}, {json_literal(run.report)}::jsonb
  FROM counted)
SELECT pg_catalog.json_build_object(
  'taken', EXISTS (SELECT FROM taken),
  'stale', NOT EXISTS (SELECT FROM counted) AND NOT EXISTS (SELECT FROM mine),
  'version', (SELECT version FROM mosaic_deploy.ledger),
  'last', (SELECT holder FROM mosaic_deploy.deploys ORDER BY serial DESC LIMIT 1),
  'other', ({LEASE_HOLDER_QUERY}))::text AS answer"""


def remove_lease_sql(holder: str, expires: str, by: str) -> str:
    """Removes the lease of `holder` and marks its run as interrupted.

    Returns `freed`: 0 if the lease was renewed or acquired by another. The serial isn't counted: a plan that was read
    during that run isn't applied anyway.
    """
    return (
        f"WITH freed AS (DELETE FROM mosaic_deploy.lease l WHERE {_unchanged_condition('l', holder, expires)} RETURNING 1), "
        f"ended AS ({_mark_interrupted_sql('freed', {'lock_taken_over_by': by})}) "
        "SELECT count(*) AS freed FROM freed"
    )


def _unchanged_condition(lease: str, holder: str, expires: str) -> str:
    """True for the lease as it was seen: a renewal changes the expiry."""
    return (
        f"{lease}.holder = {literal(holder)} "
        f"AND EXTRACT(EPOCH FROM {lease}.expires_at) = {literal(expires)}::numeric"
    )


def _mark_interrupted_sql(if_exists: str, report: dict[str, object]) -> str:
    return (
        "UPDATE mosaic_deploy.deploys SET status = 'interrupted', "
        f"report = COALESCE(report, '{{}}') || {json_literal(report)}::jsonb, "
        f"finished_at = pg_catalog.clock_timestamp() WHERE status = 'running' AND EXISTS (SELECT FROM {if_exists})"
    )
