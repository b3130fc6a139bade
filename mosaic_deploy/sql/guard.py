"""What comes before every unit: one at a time, only under the lease, and only where the ledger lacks it."""

from __future__ import annotations

from mosaic_deploy.sql.failure import LEASE_LOST, SKIPPED, raised
from mosaic_deploy.sql.quote import literal
from mosaic_deploy.sql.records import done
from mosaic_deploy.sql.session import Session
from mosaic_deploy.sql.step import Step

LOCK = "7236850, 1"
"""The two keys of the advisory lock all migrations take."""


def guard(step: Step, session: Session) -> str:
    """PL/pgSQL: raises `lease_lost`, or `unit_applied` where there is nothing to do."""
    return (
        lease_check(session, raised(LEASE_LOST, step))
        + f"  IF {done(step)} THEN {raised(SKIPPED, step)} END IF;\n"
    )


def lease_check(session: Session, lost: str) -> str:
    """PL/pgSQL: takes the lock until the transaction ends, and does `lost` where the lease isn't held."""
    return f"""  PERFORM pg_catalog.pg_advisory_xact_lock({LOCK});
  IF NOT EXISTS (SELECT FROM mosaic_deploy.lease WHERE token = {literal(session.token)}
      AND expires_at > pg_catalog.clock_timestamp()) THEN {lost} END IF;
"""
