"""The lease's statements, and what it tells of the runs in `deploys`. Each may be sent again.

A run's row is written in the statement that takes its lease, after it; so the row that is under way is the one of the
lease's holder that isn't older than the lease.
"""

from __future__ import annotations

from dataclasses import dataclass

from mosaic_deploy.sql.quote import json_literal, literal

LEASE_TTL = 60.0
"""Seconds a lease lives without a renewal."""

_DEPLOY_STATUS = (
    "CASE WHEN d.status = 'running' AND NOT EXISTS (SELECT FROM mosaic_deploy.lease l "
    "WHERE l.expires_at > pg_catalog.clock_timestamp() AND l.holder = d.holder AND l.acquired_at <= d.started_at) "
    "THEN 'interrupted' ELSE d.status END"
)
"""How the run of row `d` stands. One that died can't write that down: without a lease it isn't running any more."""

DEPLOYS_QUERY = (
    f"SELECT pg_catalog.to_jsonb(d) || pg_catalog.jsonb_build_object('status', {_DEPLOY_STATUS}, "
    "'report', d.report - 'process') FROM mosaic_deploy.deploys d"
)
"""The rows of `deploys` as JSON, with the status as the lease tells it, and nothing of machines."""

LEASE_HOLDER_QUERY = (
    "SELECT pg_catalog.json_build_object('holder', l.holder, "
    "'expiry', EXTRACT(EPOCH FROM l.expires_at)::text, "
    "'seconds', EXTRACT(EPOCH FROM l.expires_at - pg_catalog.clock_timestamp()), "
    "'process', (SELECT d.report->'process' FROM mosaic_deploy.deploys d WHERE d.status = 'running' "
    "AND d.holder = l.holder AND d.started_at >= l.acquired_at ORDER BY d.serial DESC LIMIT 1)) "
    "FROM mosaic_deploy.lease l"
)
"""Whose the lease is, as JSON: the holder, its process where it told, and the time left."""


@dataclass(frozen=True, slots=True)
class DeployRecord:
    """What a run writes of itself: its row in `deploys`, and the lease."""

    deploy_id: str
    holder: str
    token: str
    environment: str | None
    plan: str
    serial: int
    report: dict[str, object]


def lease_expiry_sql() -> str:
    return f"pg_catalog.clock_timestamp() + interval '{LEASE_TTL:.0f} seconds'"


def renew_lease_sql(token: str) -> str:
    """Answers `held`: 0 where the lease was lost."""
    return (
        f"WITH kept AS (UPDATE mosaic_deploy.lease SET expires_at = {lease_expiry_sql()} WHERE token = "
        f"{literal(token)} RETURNING 1) SELECT count(*) AS held FROM kept"
    )


def acquire_lease_sql(run: DeployRecord, seen: tuple[str, str] | None) -> str:
    """Takes a free, expired or own lease, or the one that was `seen` (holder, expiry); counts the deploy.

    Whoever takes the lease knows that every other run is over: rows that still say `running` are ended with it.
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
ended AS ({_mark_interrupted_sql("taken", {"lease_broken_by": run.holder} if seen else {})} AND id <> {deploy}),
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
  'last', (SELECT holder FROM mosaic_deploy.deploys ORDER BY serial DESC LIMIT 1),
  'other', ({LEASE_HOLDER_QUERY}))::text AS answer"""


def remove_lease_sql(holder: str, expires: str, by: str) -> str:
    """Takes the lease away from who was seen to hold it, and ends its run.

    Answers `freed`: 0 where the lease isn't as it was seen. Nothing is counted: a plan that was read beside that run
    has seen the lease, and isn't applied.
    """
    return (
        f"WITH freed AS (DELETE FROM mosaic_deploy.lease l WHERE {_unchanged_condition('l', holder, expires)} RETURNING 1), "
        f"ended AS ({_mark_interrupted_sql('freed', {'lease_broken_by': by})}) "
        "SELECT count(*) AS freed FROM freed"
    )


def _unchanged_condition(lease: str, holder: str, expires: str) -> str:
    """A renewal moves the expiry, so a lease whose run has been heard of since isn't meant."""
    return (
        f"{lease}.holder = {literal(holder)} "
        f"AND EXTRACT(EPOCH FROM {lease}.expires_at) = {literal(expires)}::numeric"
    )


def _mark_interrupted_sql(where: str, report: dict[str, object]) -> str:
    return (
        "UPDATE mosaic_deploy.deploys SET status = 'interrupted', "
        f"report = COALESCE(report, '{{}}') || {json_literal(report)}::jsonb, "
        f"finished_at = pg_catalog.clock_timestamp() WHERE status = 'running' AND EXISTS (SELECT FROM {where})"
    )
