"""SQL for the ledger around a step: the guard before it, its record after it."""

from __future__ import annotations

import base64
import zlib

from mosaic_deploy.sql.execution.failure import (
    LEASE_LOST,
    STEP_APPLIED,
    raise_sql,
    refuse_off_strings_sql,
)
from mosaic_deploy.sql.execution.step import Purpose, SqlSession, Step
from mosaic_deploy.sql.quote import literal

MIGRATION_LOCK_KEYS = "7236850, 1"
"""The keys of the advisory lock that all migrations take."""
LOCK_LEDGER_SQL = "LOCK TABLE mosaic_deploy.migrations IN SHARE UPDATE EXCLUSIVE MODE"
"""Waits for other transactions that lock it so, without a snapshot. Readers and writers of the table don't wait."""


def guard_sql(step: Step, session: SqlSession, *, accepts_expired: bool = False) -> str:
    """PL/pgSQL that raises `lease_expired`, or `step_applied` if the ledger has the step.

    Before a step (not `accepts_expired`), it raises `statement_failed` if the step's strings would be read otherwise.
    """
    strings = refuse_off_strings_sql(f"'version', {literal(step.version)}, 'step', {step.number}")
    return (
        lease_check_sql(session, raise_sql(LEASE_LOST, step), accepts_expired=accepts_expired)
        + f"  IF {done_condition(step)} THEN {raise_sql(STEP_APPLIED, step)} END IF;\n"
        + ("" if accepts_expired else strings)
    )


def lease_check_sql(session: SqlSession, lost: str, *, accepts_expired: bool = False) -> str:
    """PL/pgSQL that takes the advisory lock until the transaction ends, and runs `lost` if the lease isn't held.

    A lease that is only expired (`accepts_expired`) was taken by nobody else, and can't be while this has the lock.
    """
    valid = "" if accepts_expired else "\n      AND expires_at > pg_catalog.clock_timestamp()"
    return f"""  PERFORM pg_catalog.pg_advisory_xact_lock({MIGRATION_LOCK_KEYS});
  IF NOT EXISTS (SELECT FROM mosaic_deploy.lease WHERE token = {literal(session.token)}{valid}) THEN {lost} END IF;
"""


SEED = "seed"
"""The kind of seeds in the ledger's objects table."""


def done_condition(step: Step) -> str:
    """An SQL condition: the ledger has the step. Independent of the search_path."""
    if step.purpose is Purpose.SEED:
        return (
            "EXISTS (SELECT FROM mosaic_deploy.objects WHERE "
            f"kind OPERATOR(pg_catalog.=) '{SEED}' AND path OPERATOR(pg_catalog.=) {literal(step.file)} "
            f"AND sha256 OPERATOR(pg_catalog.=) {literal(step.checksum)})"
        )
    rows = f"SELECT FROM mosaic_deploy.migrations WHERE version = {literal(step.version)}"
    if step.purpose is Purpose.ROLLBACK:
        return f"NOT EXISTS ({rows})"
    return f"EXISTS ({rows} AND steps_done >= {step.number})"


def record_sql(step: Step, session: SqlSession) -> str:
    """The statement that records a committed step in the ledger. Running it twice is harmless."""
    if step.purpose is Purpose.SEED:
        return _upsert_seed_sql(step, session)
    if step.purpose is Purpose.ROLLBACK:
        return f"DELETE FROM mosaic_deploy.migrations WHERE version = {literal(step.version)}"
    return upsert_migration_sql(step, session, steps_done=step.number, step_begun=0)


def record_failure_sql(step: Step, session: SqlSession) -> str:
    """The statement that records that the step outside a transaction failed. It checks the lease, and keeps it until
    it ends, so nobody takes it over while this waits for the row."""
    return (
        f"UPDATE mosaic_deploy.migrations SET step_begun = -{step.number} "
        f"WHERE version = {literal(step.version)} AND step_begun = {step.number} AND EXISTS (SELECT FROM "
        f"mosaic_deploy.lease WHERE token = {literal(session.token)} "
        "AND expires_at > pg_catalog.clock_timestamp() FOR SHARE)"
    )


def upsert_migration_sql(step: Step, session: SqlSession, *, steps_done: int, step_begun: int) -> str:
    """A migration's row with `steps_done` committed steps, and the step begun outside a transaction."""
    packed = "" if step.source is None else packed_source(step.source)
    semantic = step.semantic if steps_done == step.number else step.semantic_before
    columns = "version, file, checksum, semantic_checksum, steps, steps_done, step_begun, source, deploy_id, applied_by"
    kept = {"version"} if step.source is not None else {"version", "source"}
    updated = ", ".join(f"{name} = EXCLUDED.{name}" for name in columns.split(", ") if name not in kept)
    return (
        f"INSERT INTO mosaic_deploy.migrations AS m ({columns}) VALUES ("
        f"{literal(step.version)}, {literal(step.file)}, {literal(step.checksum)}, {literal(semantic)}, {step.steps}, "
        f"{steps_done}, {step_begun}, pg_catalog.decode('{packed}', 'base64'), {literal(session.deploy_id)}, "
        f"current_user) ON CONFLICT (version) DO UPDATE SET {updated}, "
        "applied_at = pg_catalog.clock_timestamp() "
        f"WHERE m.steps_done < EXCLUDED.steps_done OR {step_begun} > m.step_begun"
    )


def packed_source(source: str) -> str:
    """A file's text as a step's record sends it."""
    return base64.b64encode(zlib.compress(source.encode(), 9)).decode()


def _upsert_seed_sql(step: Step, session: SqlSession) -> str:
    columns = ("sha256", "size", "state", "manifest", "deploy_id", "source")
    updated = ", ".join(f"{name} = EXCLUDED.{name}" for name in columns)
    source = "NULL"
    if step.repeatable and step.source is not None:
        source = f"pg_catalog.decode('{packed_source(step.source)}', 'base64')"
    return (
        f"INSERT INTO mosaic_deploy.objects (kind, path, {', '.join(columns)}) VALUES ("
        f"'{SEED}', {literal(step.file)}, {literal(step.checksum)}, {step.size}, 'live', "
        f"{literal(step.manifest)}, {literal(session.deploy_id)}, {source}) ON CONFLICT (kind, path) DO UPDATE SET {updated}, "
        "updated_at = pg_catalog.clock_timestamp()"
    )
