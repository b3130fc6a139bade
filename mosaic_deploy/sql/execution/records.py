"""What comes before every unit: one at a time, only under the lease, and only where the ledger lacks it."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING

from mosaic_deploy.sql.execution.failure import LEASE_LOST, SKIPPED, raised
from mosaic_deploy.sql.execution.step import Purpose, Session, Step
from mosaic_deploy.sql.quote import literal

if TYPE_CHECKING:
    from mosaic_deploy.sql.execution.step import Session


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


SEED = "seed"
"""The kind of a seed's row among the ledger's objects."""


def done(step: Step) -> str:
    """A condition: the ledger has what the step would do. Written so that no search_path can reinterpret it."""
    if step.purpose is Purpose.SEED:
        return (
            "EXISTS (SELECT FROM mosaic_deploy.objects WHERE "
            f"kind OPERATOR(pg_catalog.=) '{SEED}' AND path OPERATOR(pg_catalog.=) {literal(step.file)} "
            f"AND sha256 OPERATOR(pg_catalog.=) {literal(step.checksum)})"
        )
    rows = f"SELECT FROM mosaic_deploy.migrations WHERE version = {step.version}"
    if step.purpose is Purpose.UNDO:
        return f"NOT EXISTS ({rows})"
    return f"EXISTS ({rows} AND units_done >= {step.number})"


def record(step: Step, session: Session) -> str:
    """The ledger's part of a committed step, as one statement; sending it twice changes nothing."""
    if step.purpose is Purpose.SEED:
        return _seed(step, session)
    if step.purpose is Purpose.UNDO:
        return f"DELETE FROM mosaic_deploy.migrations WHERE version = {step.version}"
    return row(step, session, done=step.number, attempt=0)


def refused(step: Step, session: Session) -> str:
    """Notes that PostgreSQL refused the unit begun outside a transaction: its end is known. Checks the lease."""
    return (
        f"UPDATE mosaic_deploy.migrations SET attempt = -{step.number} "
        f"WHERE version = {step.version} AND attempt = {step.number} AND EXISTS (SELECT FROM "
        f"mosaic_deploy.lease WHERE token = {literal(session.token)} "
        "AND expires_at > pg_catalog.clock_timestamp())"
    )


def row(step: Step, session: Session, *, done: int, attempt: int) -> str:
    """A migration's row with `done` committed units, and the unit begun outside a transaction."""
    packed = base64.b64encode(zlib.compress(step.source.encode(), 9)).decode()
    semantic = step.semantic if done == step.number else step.before
    columns = "version, file, checksum, semantic, units, units_done, attempt, source, deploy_id, applied_by"
    updated = ", ".join(f"{name} = EXCLUDED.{name}" for name in columns.split(", ") if name != "version")
    return (
        f"INSERT INTO mosaic_deploy.migrations AS m ({columns}) VALUES ("
        f"{step.version}, {literal(step.file)}, {literal(step.checksum)}, {literal(semantic)}, {step.units}, "
        f"{done}, {attempt}, pg_catalog.decode('{packed}', 'base64'), {literal(session.deploy_id)}, "
        f"current_user) ON CONFLICT (version) DO UPDATE SET {updated}, "
        "applied_at = pg_catalog.clock_timestamp() "
        f"WHERE m.units_done < EXCLUDED.units_done OR {attempt} > m.attempt"
    )


def _seed(step: Step, session: Session) -> str:
    updated = ", ".join(f"{name} = EXCLUDED.{name}" for name in ("sha256", "size", "state", "deploy_id"))
    return (
        "INSERT INTO mosaic_deploy.objects (kind, path, sha256, size, state, deploy_id) VALUES ("
        f"'{SEED}', {literal(step.file)}, {literal(step.checksum)}, {step.size}, 'live', "
        f"{literal(session.deploy_id)}) ON CONFLICT (kind, path) DO UPDATE SET {updated}, "
        "updated_at = pg_catalog.clock_timestamp()"
    )
