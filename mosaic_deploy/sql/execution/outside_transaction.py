"""A unit outside any transaction: its intent, its statement, its end."""

from __future__ import annotations

from mosaic_deploy.sql.execution.failure import INDEX_INVALID, UNIT_ATTEMPTED, raise_sql
from mosaic_deploy.sql.execution.records import guard_sql, record_sql, upsert_migration_sql
from mosaic_deploy.sql.execution.step import SqlSession, Step
from mosaic_deploy.sql.quote import dollar_quote, index_name, literal


def compile_outside_transaction(step: Step) -> str:
    """The single statement of a unit that runs outside any transaction."""
    return step.unit.statements[0].text


def compile_claim(step: Step, session: SqlSession) -> str:
    """Write-ahead intent for a OUTSIDE_TRANSACTION unit: notes in the ledger that its statement is about to be sent.

    Raises `unit_applied`, `lease_lost_error`, or `unit_attempted` where an earlier run or request noted the same and
    no end is known.
    """
    attempted = (
        f"  IF EXISTS (SELECT FROM mosaic_deploy.migrations WHERE version = {step.version} "
        f"AND step_begun >= {step.number}) THEN {raise_sql(UNIT_ATTEMPTED, step)} END IF;\n"
    )
    noted = f"  {upsert_migration_sql(step, session, steps_done=step.number - 1, step_begun=step.number)};\n"
    body = f"BEGIN\n{guard_sql(step, session)}{attempted}{noted}END\n"
    return "DO " + dollar_quote(body, "mosaic_claim")


def compile_completion(step: Step, session: SqlSession) -> str:
    """The ledger row of a OUTSIDE_TRANSACTION unit whose statement took effect.

    Raises `index_invalid` where the index that it names is there, and no query can use it.
    """
    name = index_name(step.unit.statements[0])
    if not name:
        return record_sql(step, session)
    invalid = (
        "EXISTS (SELECT FROM pg_catalog.pg_index WHERE NOT indisvalid "
        f"AND indexrelid = pg_catalog.to_regclass({literal(name)}))"
    )
    body = f"BEGIN\n  IF {invalid} THEN {raise_sql(INDEX_INVALID, step)} END IF;\n  {record_sql(step, session)};\nEND\n"
    return "DO " + dollar_quote(body, "mosaic_end")
