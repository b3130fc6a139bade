"""SQL for a step that runs outside a transaction: claim it, run it, record it."""

from __future__ import annotations

import re

from mosaic_deploy.sql.execution.failure import (
    INDEX_INVALID,
    INDEX_MISSING,
    STEP_ATTEMPTED,
    STEP_NOT_BEGUN,
    raise_sql,
)
from mosaic_deploy.sql.execution.own_session import (
    CARRIED_VARIABLES,
    DECLARE_OWN,
    KEEP_OWN,
    RESTORE_OWN,
    next_session_check_sql,
)
from mosaic_deploy.sql.execution.records import guard_sql, record_sql, upsert_migration_sql
from mosaic_deploy.sql.execution.step import Purpose, SqlSession, Step
from mosaic_deploy.sql.execution.transactions import WRAPPED_KINDS
from mosaic_deploy.sql.guard.schema_check import SchemaCheck, schema_check
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.quote import dollar_quote, index_name, json_literal, literal


def is_wrapped(step: Step) -> bool:
    """Whether the statement is sent inside a block of ours."""
    statement = step.sql.statements[0]
    if statement.kind not in WRAPPED_KINDS:
        return False
    return bool(step.sql.session.statements) or (
        step.purpose is Purpose.APPLY and _as_inner_statement(statement) is not None
    )


def compile_outside_transaction(step: Step) -> str:
    """The single statement of a step that runs outside any transaction.

    A CALL or DO is in a DO block, where it can still commit. The block does nothing if the request arrives again or too
    late, and sets the file's settings first.
    """
    statement, settings = step.sql.statements[0], step.sql.session.statements
    if not is_wrapped(step):
        return statement.text
    inner = _as_inner_statement(statement)
    if inner is None:
        raise ValueError("a DO block that can't be nested")  # `sql/uncarried.py` refuses it
    execute = "".join(f"  EXECUTE {dollar_quote(one, 'mosaic_set')};\n" for one in settings)
    declared = f"{CARRIED_VARIABLES}{DECLARE_OWN}" if step.next_session else DECLARE_OWN
    # What the procedure committed itself stays if the check fails; the step counts as failed, and the next one doesn't run.
    # Restored also without settings: a procedure may have some of its own.
    before = f"DECLARE {declared}BEGIN {RESTORE_OWN}{KEEP_OWN}{_begun_check(step)}{execute}"
    # On one line, so the line numbers in PostgreSQL's errors are those of the file's block.
    return "DO " + dollar_quote(
        f"{before.replace(chr(10), ' ')}{inner}\n{next_session_check_sql(step)}{RESTORE_OWN}END\n",
        "mosaic_outside",
    )


def _begun_check(step: Step) -> str:
    """PL/pgSQL that raises `step_not_begun` unless the ledger says that the step has begun and not ended."""
    if step.purpose is not Purpose.APPLY:
        return ""
    return (
        "IF NOT EXISTS (SELECT FROM mosaic_deploy.migrations WHERE version OPERATOR(pg_catalog.=) "
        f"{literal(step.version)} AND step_begun OPERATOR(pg_catalog.=) {step.number}) THEN {raise_sql(STEP_NOT_BEGUN, step)} END IF; "
    )


def _as_inner_statement(statement: Statement) -> str | None:
    return f"{statement.text}\n;" if statement.kind == "CallStmt" else nested_block(statement)


def nested_block(statement: Statement) -> str | None:
    """The PL/pgSQL block of a DO as a statement of another block; None if it can't be one."""
    options = [item.get("DefElem", {}) for item in statement.node.get("args", [])]
    named = {
        str(one.get("defname")): str(one.get("arg", {}).get("String", {}).get("sval", "")) for one in options
    }
    body = named.get("as", "")
    end = _BLOCK_END.search(body)
    if named.get("language", "plpgsql") != "plpgsql" or body.lstrip().startswith("#") or not end:
        return None
    return (
        body if end.group("semicolon") else f"{body[: end.start('semicolon')]};{body[end.end('semicolon') :]}"
    )


_BLOCK_END = re.compile(
    r"\bend\b(?:\s+(?:\"[^\"]+\"|\w+))?\s*?(?P<semicolon>;?)(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)*$",
    re.IGNORECASE | re.DOTALL,
)


def compile_claim(step: Step, session: SqlSession) -> str:
    """SQL that records in the ledger that the step's statement is about to be sent.

    It raises `step_applied`, `lease_expired`, `schema_changed` before the first claim, or `step_attempted` if an earlier run recorded the same and its outcome is
    unknown. A record of this deploy doesn't count: it is this request, whose response was lost.
    """
    attempted = (
        f"  IF EXISTS (SELECT FROM mosaic_deploy.migrations WHERE version = {literal(step.version)} "
        f"AND step_begun >= {step.number} AND deploy_id <> {literal(session.deploy_id)}) THEN {raise_sql(STEP_ATTEMPTED, step)} END IF;\n"
    )
    noted = f"  {upsert_migration_sql(step, session, steps_done=step.number - 1, step_begun=step.number)};\n"
    compared = _compared(step, session)
    # Once this deploy has claimed it, the statement may have run, so what it touches may be different.
    unclaimed = (
        f"  IF NOT EXISTS (SELECT FROM mosaic_deploy.migrations WHERE version = {literal(step.version)} AND pg_catalog.abs(step_begun) "
        f">= {step.number} AND deploy_id = {literal(session.deploy_id)}) THEN\n{compared.before}  END IF;\n"
    )
    checked = unclaimed if compared.before else ""
    body = f"DECLARE\n{compared.declare}BEGIN\n{guard_sql(step, session)}{attempted}{checked}{noted}END\n"
    return "DO " + dollar_quote(body, "mosaic_claim")


def _compared(step: Step, session: SqlSession) -> SchemaCheck:
    """The claim can't keep locks until the statement is sent, so what the step touches has no lock mode."""
    if not step.touches:
        return SchemaCheck()
    return schema_check(
        session.schema,
        f"{json_literal(step.touches.as_json())}::pg_catalog.jsonb",
        session.deploy_id,
        step.facts_sql,
        lock_timeout=session.lock_timeout,
    )


def compile_completion(step: Step, session: SqlSession) -> str:
    """SQL that records the step as applied, after its statement took effect, also if the lease has expired meanwhile.

    It raises `lease_expired` if another deploy took the lease, `step_applied`, and `index_missing` or `index_invalid` if the index that the statement
    creates isn't there or is invalid.
    """
    name = index_name(step.sql.statements[0])
    checks = _index_check(step, name) if name else ""
    compared = _compared(step, session)
    ended = f"{checks}{compared.after}  {record_sql(step, session)};\n"
    body = f"DECLARE\n{compared.declare}BEGIN\n{guard_sql(step, session, accepts_expired=True)}{ended}END\n"
    return "DO " + dollar_quote(body, "mosaic_end")


def _index_check(step: Step, name: str) -> str:
    index = f"SELECT FROM pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass({literal(name)})"
    return (
        f"  IF NOT EXISTS ({index}) THEN {raise_sql(INDEX_MISSING, step)} END IF;\n"
        f"  IF NOT EXISTS ({index} AND indisvalid) THEN {raise_sql(INDEX_INVALID, step)} END IF;\n"
    )
