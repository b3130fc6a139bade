"""SQL for a unit that runs outside a transaction: claim it, run it, record it."""

from __future__ import annotations

from mosaic_deploy.sql.execution.failure import INDEX_INVALID, INDEX_MISSING, UNIT_ATTEMPTED, raise_sql
from mosaic_deploy.sql.execution.records import guard_sql, record_sql, upsert_migration_sql
from mosaic_deploy.sql.execution.step import SqlSession, Step
from mosaic_deploy.sql.quote import dollar_quote, index_name, literal


def compile_outside_transaction(step: Step) -> str:
    """The single statement of a unit that runs outside any transaction."""
    return step.unit.statements[0].text


def compile_claim(step: Step, session: SqlSession) -> str:
    """SQL that records in the ledger that the unit's statement is about to be sent.

    It raises `unit_applied`, `lease_expired`, or `unit_attempted` if an earlier run recorded the same and its outcome is
    unknown. A record of this deploy doesn't count: it is this request, whose response was lost.
    """
    attempted = (
        f"  IF EXISTS (SELECT FROM mosaic_deploy.migrations WHERE version = {step.version} "
        f"AND step_begun >= {step.number} AND deploy_id <> {literal(session.deploy_id)}) THEN {raise_sql(UNIT_ATTEMPTED, step)} END IF;\n"
    )
    noted = f"  {upsert_migration_sql(step, session, steps_done=step.number - 1, step_begun=step.number)};\n"
    body = f"BEGIN\n{guard_sql(step, session)}{attempted}{noted}END\n"
    return "DO " + dollar_quote(body, "mosaic_claim")


def compile_completion(step: Step, session: SqlSession) -> str:
    """SQL that records the unit as applied, after its statement took effect.

    It raises `lease_expired`, `unit_applied`, and `index_missing` or `index_invalid` if the index that the statement
    creates isn't there or is invalid.
    """
    name = index_name(step.unit.statements[0])
    checks = _index_check(step, name) if name else ""
    body = f"BEGIN\n{guard_sql(step, session)}{checks}  {record_sql(step, session)};\nEND\n"
    return "DO " + dollar_quote(body, "mosaic_end")


def _index_check(step: Step, name: str) -> str:
    index = f"SELECT FROM pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass({literal(name)})"
    return (
        f"  IF NOT EXISTS ({index}) THEN {raise_sql(INDEX_MISSING, step)} END IF;\n"
        f"  IF NOT EXISTS ({index} AND indisvalid) THEN {raise_sql(INDEX_INVALID, step)} END IF;\n"
    )
