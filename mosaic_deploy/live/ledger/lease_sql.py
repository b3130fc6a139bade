"""SQL of the lease and of the rows in `deploys`. Every statement may be sent twice.

A run's row in `deploys` is written by the statement that acquires its lease. So the running deploy is the row of the
lease's holder that isn't older than the lease.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from mosaic_deploy.live.ledger.rows import save_digests_cte
from mosaic_deploy.sql.execution.records import MIGRATION_LOCK_KEYS
from mosaic_deploy.sql.quote import json_literal, literal, recordset

_UNSTORABLE = re.compile("[\\0\\ud800-\\udfff]")
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
"""The lease as JSON, also an expired one: holder, its process if recorded, expiry, and seconds left."""

VALID_LEASE_QUERY = (
    "SELECT pg_catalog.json_build_object('holder', holder, 'expires_at', expires_at) "
    "FROM mosaic_deploy.lease WHERE expires_at > pg_catalog.clock_timestamp()"
)
"""The lease as JSON if a deploy holds it."""


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
    dirty: bool = False
    """Whether the files had changes that aren't in the commit."""
    process: Mapping[str, object] = field(default_factory=dict)
    """Identifies the process to others on its machine; see LocalProcesses in `lease.py`."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """Rows of the settings table, by name, to write together with the lease."""
    approval: Mapping[str, object] | None = None
    """How the plan was confirmed; see Consent in `diff/gate.py`."""

    @property
    def report(self) -> dict[str, object]:
        """What is known at the beginning of the run, for its row in `deploys`."""
        commit = {"commit": self.commit, **({"dirty": True} if self.dirty else {})} if self.commit else {}
        approval = {"approval": dict(self.approval)} if self.approval else {}
        return {**commit, **approval, **({"process": dict(self.process)} if self.process else {})}


def _report_literal(report: Mapping[str, object]) -> str:
    """A report as a literal for jsonb, which holds neither NUL nor lone surrogates: an error's text may have them."""
    return json_literal(_storable(report))


def _storable(value: object) -> object:
    match value:
        case str():
            return _UNSTORABLE.sub("\ufffd", value)
        case Mapping():
            return {_storable(name): _storable(each) for name, each in value.items()}
        case list() | tuple():
            return [_storable(each) for each in value]
        case _:
            return value


def lease_expiry_sql() -> str:
    return f"pg_catalog.clock_timestamp() + interval '{LEASE_TTL:.0f} seconds'"


def renew_lease_sql(token: str) -> str:
    """Extends the lease. Returns `held`: 0 if it was lost. One that has expired is lost, so a late request revives none."""
    return (
        f"WITH kept AS (UPDATE mosaic_deploy.lease SET expires_at = {lease_expiry_sql()} WHERE token = "
        f"{literal(token)} AND expires_at > pg_catalog.clock_timestamp() RETURNING 1) "
        "SELECT count(*) AS held FROM kept"
    )


def cap_expiry_sql() -> str:
    """Shortens an expiry that no renewal can have set, because the database's clock went back since."""
    return (
        f"UPDATE mosaic_deploy.lease SET expires_at = {lease_expiry_sql()} "
        f"WHERE expires_at > {lease_expiry_sql()} AND pg_catalog.isfinite(expires_at)"
    )


def acquire_lease_sql(run: LeaseRequest) -> str:
    """Acquires a free, expired or own lease, if the serial is the plan's, and counts the deploy.

    It acquires nothing for a run that has ended or whose plan is stale, so a request that arrives late does no harm.
    The advisory lock is that of migrations: nothing that began under an earlier lease commits after this one is taken.
    With the lease every other run is over, so rows that still say `running` become `interrupted`. The run's settings are
    written only with its own row in `deploys`, so not again by a copy of the request.

    Answers `taken`, `stale`, the layout's `version`, the `last` deploy's holder, and the `other` lease if it is valid.
    If another copy of this request is running, the answer may be `stale` by mistake; then it must be sent again.
    """
    token, deploy, holder = literal(run.token), literal(run.deploy_id), literal(run.holder)
    environment = literal(run.environment) if run.environment else "NULL"
    free = f"(l.expires_at <= pg_catalog.clock_timestamp() OR l.token = {token})"
    return f"""WITH mine AS (SELECT status FROM mosaic_deploy.deploys WHERE id = {deploy}),
fits AS (
  SELECT 1 FROM mosaic_deploy.ledger g WHERE CASE WHEN EXISTS (SELECT FROM mine) THEN
    EXISTS (SELECT FROM mine, mosaic_deploy.lease l WHERE mine.status = 'running' AND l.token = {token})
    ELSE g.serial = {run.serial} END),
counter AS MATERIALIZED (
  SELECT serial FROM mosaic_deploy.ledger WHERE CASE
    WHEN EXISTS (SELECT FROM fits) AND NOT EXISTS (SELECT FROM mosaic_deploy.lease l WHERE NOT {free})
    THEN pg_catalog.pg_try_advisory_xact_lock({MIGRATION_LOCK_KEYS}) END
  AND (serial = {run.serial} OR EXISTS (SELECT FROM mine)) FOR NO KEY UPDATE),
taken AS (
  INSERT INTO mosaic_deploy.lease AS l (holder, token, acquired_at, expires_at)
  SELECT {holder}, {token}, pg_catalog.clock_timestamp(), {lease_expiry_sql()} FROM counter
  ON CONFLICT (one) DO UPDATE SET holder = EXCLUDED.holder, token = EXCLUDED.token,
    acquired_at = CASE WHEN l.token = EXCLUDED.token THEN l.acquired_at ELSE EXCLUDED.acquired_at END,
    expires_at = EXCLUDED.expires_at
  WHERE {free} RETURNING 1),
ended AS ({_mark_interrupted_sql("taken", {})} AND id <> {deploy}),
counted AS (
  UPDATE mosaic_deploy.ledger SET serial = serial + 1
  WHERE EXISTS (SELECT FROM taken) AND NOT EXISTS (SELECT FROM mine) RETURNING serial),
begun AS (
  INSERT INTO mosaic_deploy.deploys (id, serial, status, holder, environment, plan, report)
  SELECT {deploy}, serial, 'running', {holder}, {environment}, {literal(run.plan)}, {_report_literal(run.report)}::jsonb
  FROM counted){_settings_cte(run)}
SELECT pg_catalog.json_build_object(
  'taken', EXISTS (SELECT FROM taken),
  'stale', NOT EXISTS (SELECT FROM fits),
  'version', (SELECT version FROM mosaic_deploy.ledger),
  'last', (SELECT holder FROM mosaic_deploy.deploys ORDER BY serial DESC LIMIT 1),
  'other', ({LEASE_HOLDER_QUERY} WHERE NOT {free}))::text AS answer"""


def _settings_cte(run: LeaseRequest) -> str:
    """The CTE `noted`, which writes the rows of the settings table; empty without rows."""
    if not run.settings:
        return ""
    rows = [{"n": name, "v": value} for name, value in run.settings.items()]
    return f""",
noted AS (
  INSERT INTO mosaic_deploy.settings (name, value, deploy_id, updated_at)
  SELECT r.n, r.v, {literal(run.deploy_id)}, pg_catalog.clock_timestamp()
  FROM counted, {recordset(rows, "n text, v jsonb")} ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value,
    deploy_id = EXCLUDED.deploy_id, updated_at = EXCLUDED.updated_at)"""


def release_lease_sql(run: LeaseRequest, status: str, report: Mapping[str, object]) -> str:
    """Records how the deploy ended, saves the objects' digests and releases the lease. Returns `freed`.

    It increments the serial again, so a plan that was read during this deploy is stale. For a run that hasn't got the
    lease yet it increments the serial, too: then its request for the lease comes too late. Locks are taken in the order
    of all statements (ledger, sums, lease), so none of them deadlock.
    """
    return f"""WITH counter AS MATERIALIZED (SELECT serial FROM mosaic_deploy.ledger FOR NO KEY UPDATE),
waited AS MATERIALIZED (
  SELECT 1 FROM mosaic_deploy.sums WHERE (SELECT count(*) FROM counter) >= 0 ORDER BY kind FOR UPDATE),
held AS MATERIALIZED (
  SELECT 1 FROM mosaic_deploy.lease
  WHERE token = {literal(run.token)} AND (SELECT count(*) FROM waited) >= 0 FOR UPDATE),
ended AS (
  UPDATE mosaic_deploy.deploys SET status = {literal(status)},
    report = COALESCE(report, '{{}}') || {_report_literal(report)}::jsonb, finished_at = pg_catalog.clock_timestamp()
  WHERE id = {literal(run.deploy_id)} AND status = 'running' AND (SELECT count(*) FROM held) >= 0 RETURNING 1),
counted AS (
  UPDATE mosaic_deploy.ledger SET serial = serial + 1
  WHERE EXISTS (SELECT FROM ended) OR serial = {run.serial} RETURNING 1),
freed AS (
  DELETE FROM mosaic_deploy.lease WHERE token = {literal(run.token)} AND (SELECT count(*) FROM counted) >= 0
  RETURNING 1),
{save_digests_cte("EXISTS (SELECT FROM freed)")}
SELECT count(*) AS freed FROM freed"""


def remove_lease_sql(holder: str, expires: str, by: str) -> str:
    """Removes the lease of `holder` that expires at `expires`, and marks its run as interrupted.

    Returns `freed`: 0 if the lease was renewed or acquired by another since it was read, or if a migration of that run
    is still running. It increments the serial: a plan that was read during that run is stale.
    """
    return (
        "WITH counter AS MATERIALIZED (SELECT serial FROM mosaic_deploy.ledger "
        f"WHERE pg_catalog.pg_try_advisory_xact_lock({MIGRATION_LOCK_KEYS}) FOR NO KEY UPDATE), "
        "freed AS (DELETE FROM mosaic_deploy.lease l WHERE EXISTS (SELECT FROM counter) "
        f"AND l.holder = {literal(holder)} AND EXTRACT(EPOCH FROM l.expires_at) = {literal(expires)}::numeric "
        "RETURNING 1), "
        "counted AS (UPDATE mosaic_deploy.ledger SET serial = serial + 1 WHERE EXISTS (SELECT FROM freed)), "
        f"ended AS ({_mark_interrupted_sql('freed', {'lock_taken_over_by': by})}) "
        "SELECT count(*) AS freed FROM freed"
    )


def _mark_interrupted_sql(if_exists: str, report: dict[str, object]) -> str:
    return (
        "UPDATE mosaic_deploy.deploys SET status = 'interrupted', "
        f"report = COALESCE(report, '{{}}') || {_report_literal(report)}::jsonb, "
        f"finished_at = pg_catalog.clock_timestamp() WHERE status = 'running' AND EXISTS (SELECT FROM {if_exists})"
    )
