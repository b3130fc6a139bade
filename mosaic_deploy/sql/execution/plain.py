"""Steps as plain statements in one call, `BEGIN; guard; …; restore; ledger row; COMMIT`, if EXECUTE doesn't accept them all.

A statement that can be EXECUTEd gets its own DO block, whose handler reports its number. The others are sent bare and
identified by the position in PostgreSQL's error, or by what its message is about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mosaic_deploy.sql.execution.failure import HANDLER_VARIABLES, reraise_handler_sql
from mosaic_deploy.sql.execution.own_session import (
    BEGIN_SESSION,
    CARRIED_VARIABLES,
    DECLARE_OWN,
    KEEP_OWN,
    RESTORE_OWN,
    next_session_check_sql,
)
from mosaic_deploy.sql.execution.records import LOCK_LEDGER_SQL, guard_sql, record_sql
from mosaic_deploy.sql.execution.report import REPORT_VARIABLES, count_rows_sql, report_sql, verb_of
from mosaic_deploy.sql.execution.rewrite import create_table_as
from mosaic_deploy.sql.execution.split import ExecutionMode, StepSql
from mosaic_deploy.sql.execution.step import CompiledSql, SqlSession, StatementPosition, Step
from mosaic_deploy.sql.execution.transactions import not_executable_reason, sets_read_only, split_modes
from mosaic_deploy.sql.guard import locks
from mosaic_deploy.sql.guard.measure import (
    KEEP_STATE,
    NOTE_END,
    VARIABLES,
    begin_measure_sql,
    compare_sql,
    existing_variable,
    load_state_sql,
    measure_sql,
)
from mosaic_deploy.sql.guard.rewrites import AFTER_REWRITE, BEFORE_REWRITE, rewriting
from mosaic_deploy.sql.guard.schema_check import SchemaCheck, observe_sql, schema_check
from mosaic_deploy.sql.locate import locate_error
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.quote import dollar_quote, json_literal, literal
from mosaic_deploy.sql.session.assignments import ALL_SETTINGS, assignments
from mosaic_deploy.sql.session.leftovers import leftovers
from mosaic_deploy.sql.session.state import SessionState
from mosaic_deploy.sql.session.strings import REFUSE_OFF

CHECK_CONSTRAINTS_SQL = "SET CONSTRAINTS ALL IMMEDIATE"
"""Checks deferred constraints while the step is still known; a failure at COMMIT couldn't be attributed."""
_READ_ONLY_SAVEPOINT = "mosaic_read_only"
_ENUM_KINDS = frozenset({"CreateEnumStmt", "AlterEnumStmt"})
_SAVEPOINT_SQLSTATES = ("3B", "25")
_SETTING_SQLSTATES = ("22", "25", "42", "0A")
_TRANSACTION_SQLSTATES = ("40",)


def needs_plain(step: StepSql, session: SqlSession) -> bool:
    """Whether `step` must be sent as plain statements: EXECUTE doesn't accept it, or there is a statement timeout.

    PostgreSQL starts `statement_timeout` when a statement arrives, so a SET inside a DO block has no effect
    (tested on PostgreSQL 18).
    """
    return (
        step.execution_mode is ExecutionMode.PLAIN
        or session.statement_timeout is not None
        or step.has_time_limit
    )


def compile_plain(steps: Sequence[Step], session: SqlSession) -> CompiledSql:
    """The steps as one transaction. It raises `guard_sql`'s marked errors, and `statement_failed`.

    The guard checks only the first step: the steps are one transaction, so either all are applied or none. Each step
    begins with its own session and restores the connection's, also before its record is written.
    """
    compiled = CompiledSql()
    compiled.add("BEGIN", LOCK_LEDGER_SQL)
    for step in steps:
        # SET TRANSACTION must come first in a transaction, so leading ones go before the guard.
        lead = _count_leading_settings(step) if step is steps[0] else 0
        for number in range(1, lead + 1):
            _add_modes(compiled, step, number, split_modes(step.sql.statements[number - 1])[0])
        guard = guard_sql(step, session) if step is steps[0] else ""
        held, compared = _held_state(step, session, alone=len(steps) == 1), _compared(step, session)
        compiled.add(
            _do_block(
                f"DECLARE\n{DECLARE_OWN}{compared.declare}{held.declare}BEGIN\n{guard}{compared.before}{held.begin}{BEGIN_SESSION}{KEEP_OWN}{held.keep}END\n",
                "mosaic_guard",
            )
        )
        compiled.add(*(f"SET LOCAL {name} = {literal(value)}" for name, value in session.settings))
        if step.sql.session.statements:
            compiled.add(
                *_session_statements(step.sql.session, held),
                _do_block(f"BEGIN {REFUSE_OFF} END", "mosaic_strings"),
            )
        # READ ONLY ends with its savepoint, so the record can be written.
        is_read_only = any(sets_read_only(statement) for statement in step.sql.statements)
        if is_read_only:
            compiled.add(f"SAVEPOINT {_READ_ONLY_SAVEPOINT}")
        for number in range(1, lead + 1):
            _add_modes(compiled, step, number, split_modes(step.sql.statements[number - 1])[1])
        compiled.add(*_watch_locks(step, session, 0))
        for number in range(lead + 1, len(step.sql.statements) + 1):
            _add_statement(compiled, step, number, held)
            compiled.add(*_watch_locks(step, session, number))
        if is_read_only:
            compiled.add(f"RELEASE SAVEPOINT {_READ_ONLY_SAVEPOINT}")
        if step.sql.has_time_limit:
            compiled.add("SET LOCAL statement_timeout = 0")
        if step is steps[-1]:
            compiled.add(_traced_do_block(CHECK_CONSTRAINTS_SQL, step, 0))
        compiled.add(*_watch_locks(step, session, None))
        if step.next_session is not None:
            compiled.add(_carried_check(step, held))
        compiled.add(*leftovers(step.sql.statements))
        ended = f"{held.load}{RESTORE_OWN}{compared.after}{held.measure}{compared.result}{'' if session.existing is None else NOTE_END}"
        ended += observe_sql(session.schema, step.facts_sql)
        # Both set a search_path of their own, which the next step would take for the connection's.
        ended += RESTORE_OWN if compared.after or compared.result or held.measure else ""
        compiled.add(
            _do_block(
                f"DECLARE\n{DECLARE_OWN}{compared.declare}{held.declare}BEGIN\n{ended}END\n", "mosaic_restore"
            )
        )
        compiled.add(record_sql(step, session))
    if len(steps) == 1:
        compiled.add(_do_block(f"BEGIN {_seconds_sql(steps[0])} END", "mosaic_report"))
    compiled.add("COMMIT")
    return compiled


@dataclass(frozen=True, slots=True)
class _HeldState:
    """PL/pgSQL that measures a step over several statements; all empty if it isn't measured.

    RESET ALL also resets what is kept, so a block with it needs `declare`, first `load`, and at the end `keep`.
    """

    declare: str = ""
    begin: str = ""
    keep: str = ""
    load: str = ""
    measure: str = ""


def _held_state(step: Step, session: SqlSession, *, alone: bool) -> _HeldState:
    if not session.existing:
        return _HeldState()
    which = step.facts_sql
    agreed = f"{json_literal(step.agreed.as_json())}::pg_catalog.jsonb"
    report = report_sql(f"{which}, 'rows', '{{}}'::pg_catalog.json, 'tables', effects -> 'tables'")
    return _HeldState(
        f"{existing_variable(session.existing)}  {VARIABLES}",
        begin_measure_sql(which, agreed),
        KEEP_STATE,
        load_state_sql(which),
        f"{measure_sql(alone=alone)}{compare_sql(agreed, which)}    {report}\n",
    )


def _compared(step: Step, session: SqlSession) -> SchemaCheck:
    if not step.touches:
        return SchemaCheck()
    found = schema_check(
        session.schema,
        f"{json_literal(step.touches.as_json())}::pg_catalog.jsonb",
        session.deploy_id,
        step.facts_sql,
        handler=reraise_handler_sql(f"{step.facts_sql}, 'statement', 0"),
        lock_timeout=session.lock_timeout,
    )
    return replace(found, declare=f"  {HANDLER_VARIABLES}\n{found.declare}") if found.declare else found


def _session_statements(state: SessionState, held: _HeldState) -> tuple[str, ...]:
    """Sets the file's settings. A RESET ALL among them would also reset what we keep."""
    if not any(one.name == ALL_SETTINGS for one in state.assigned):
        return state.statements
    execute = "".join(f"  EXECUTE {dollar_quote(one, 'mosaic_set')};\n" for one in state.statements)
    body = f"{held.load}{execute}{KEEP_OWN}{held.keep}"
    return (_do_block(f"DECLARE\n{DECLARE_OWN}{held.declare}BEGIN\n{body}END\n", "mosaic_session"),)


def _carried_check(step: Step, held: _HeldState) -> str:
    handler = reraise_handler_sql(f"{step.facts_sql}, 'statement', 0")
    return _do_block(
        f"DECLARE {HANDLER_VARIABLES}{CARRIED_VARIABLES}\n{DECLARE_OWN}{held.declare}BEGIN\n{held.load}BEGIN\n"
        # The check resets the session, and what is kept of the connection's own is one of its settings.
        f"{next_session_check_sql(step)}{KEEP_OWN}{handler}END;\n{held.keep}END\n",
        "mosaic_carried",
    )


def _add_statement(compiled: CompiledSql, step: Step, number: int, held: _HeldState) -> None:
    statement = step.sql.statements[number - 1]
    rewritten = create_table_as(statement) if statement.kind == "SelectStmt" else statement
    target = rewriting([statement]).get(1) if held.declare else None
    if target:
        compiled.add(_rewrite_block(target, BEFORE_REWRITE, held))
    if rewritten is None or refuses_subtransaction(rewritten, step.sql):
        compiled.add(statement.text, place=StatementPosition(step, number, 0))
    else:
        resets = any(one.name == ALL_SETTINGS for one in assignments(statement))
        compiled.add(_traced_do_block(rewritten.text, step, number, held=held if resets else None))
    if target:
        compiled.add(_rewrite_block(target, AFTER_REWRITE, held))


def _rewrite_block(target: str, body: str, held: _HeldState) -> str:
    named = f"{held.load}    target := {literal(target)};\n{body}{held.keep}"
    return _do_block(f"DECLARE\n{held.declare}BEGIN\n{named}END\n", "mosaic_rewrite")


def _watch_locks(step: Step, session: SqlSession, number: int | None) -> tuple[str, ...]:
    """Reports the locks after a statement, before the first one (0), or after the last one (None); in a rehearsal."""
    last_oid, statements = session.watched_oid, step.sql.statements
    if last_oid is None or (number and number in locks.unwatched(statements)):
        return ()
    which = step.facts_sql
    if number is None:
        body = locks.LOAD + locks.end_watch_sql(which, str(len(statements)), last_oid)
    elif number:
        body = locks.LOAD + locks.watch_sql(which, str(number), last_oid) + locks.KEEP
    else:
        body = locks.begin_watch_sql(which, last_oid) + locks.KEEP
    return (_do_block(f"DECLARE\n  {locks.VARIABLES}\nBEGIN\n{body}END\n", "mosaic_watch"),)


def _add_modes(compiled: CompiledSql, step: Step, number: int, text: str) -> None:
    if text:
        compiled.add(text, place=StatementPosition(step, number, 0))


def _seconds_sql(step: Step) -> str:
    """PL/pgSQL that reports the seconds since the request arrived."""
    since = "EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) pg_catalog.statement_timestamp())"
    return report_sql(f"{step.facts_sql}, 'rows', '{{}}'::pg_catalog.json, 'seconds', {since}")


def _do_block(body: str, tag: str) -> str:
    return "DO " + dollar_quote(body, tag)


def refuses_subtransaction(statement: Statement, step: StepSql) -> bool:
    """Whether a statement can't be EXECUTEd in a subtransaction, which the error handler creates.

    A new enum value can be used in the same transaction only if neither happens in a subtransaction.
    """
    return bool(not_executable_reason(statement)) or (
        step.execution_mode is ExecutionMode.PLAIN and statement.kind in _ENUM_KINDS
    )


def guess_failed_statement(
    places: Sequence[StatementPosition], sqlstate: str | None, message: str
) -> StatementPosition | None:
    """The bare statement that an error without a position is about; None if that isn't clear."""
    code = (sqlstate or "")[:2]
    if code in _TRANSACTION_SQLSTATES:
        return None
    possible = [place for place in places if _may_fail(_statement_at(place), code)]
    if len(possible) > 1:
        possible = [place for place in possible if locate_error(_statement_at(place).text, message)]
    return possible[0] if len(possible) == 1 else None


def _may_fail(statement: Statement, code: str) -> bool:
    if statement.kind == "TransactionStmt":
        return code in _SAVEPOINT_SQLSTATES
    return statement.kind != "VariableSetStmt" or code in _SETTING_SQLSTATES


def _statement_at(place: StatementPosition) -> Statement:
    return place.step.sql.statements[place.statement - 1]


def _traced_do_block(text: str, step: Step, number: int, *, held: _HeldState | None = None) -> str:
    """A statement in a DO block that reports its number on failure; `held` is given for RESET ALL."""
    which = step.facts_sql
    verb = verb_of(step.sql.statements[number - 1]) if number else ""
    counted = f"    {count_rows_sql(literal(verb))}\n" if verb else ""
    report = report_sql(f"{which}, 'rows', counts") if verb else ""
    body = f"""DECLARE {HANDLER_VARIABLES}{REPORT_VARIABLES if verb else ""}
{f"{DECLARE_OWN}{held.declare}" if held else ""}BEGIN
{held.load if held else ""}    EXECUTE {dollar_quote(text, "mosaic_sql")};
{counted}    {report}
    {REFUSE_OFF}
{f"{KEEP_OWN}{held.keep}" if held else ""}    {reraise_handler_sql(f"{which}, 'statement', {number}")}END
"""
    return _do_block(body, "mosaic_one")


def _count_leading_settings(step: Step) -> int:
    count = 0
    for statement in step.sql.statements:
        if statement.kind != "VariableSetStmt" or statement.node.get("name") != "TRANSACTION":
            break
        count += 1
    return count
