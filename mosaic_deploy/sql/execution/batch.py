"""Pending migrations compiled into one DO block that is safe to send again.

For each step, the block takes an advisory lock, checks the lease, skips the step if the ledger has it, sets what the
step's session has, EXECUTEs its statements, restores the connection's own session, records the step in the ledger, and
commits. A failing statement is raised again as `mosaic-deploy:{json}`, so any
platform that returns PostgreSQL's message identifies the statement.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from mosaic_deploy.sql.execution.failure import (
    HANDLER_VARIABLES,
    LEASE_LOST,
    refuse_off_strings_sql,
    reraise_handler_sql,
)
from mosaic_deploy.sql.execution.own_session import (
    BEGIN_SESSION,
    CARRIED_VARIABLES,
    DECLARE_OWN,
    RESTORE_OWN,
    check_carried_sql,
    compared_settings,
    local_settings_sql,
)
from mosaic_deploy.sql.execution.plain import CHECK_CONSTRAINTS_SQL, refuses_subtransaction
from mosaic_deploy.sql.execution.records import (
    LOCK_LEDGER_SQL,
    MIGRATION_LOCK_KEYS,
    done_condition,
    lease_check_sql,
    record_sql,
)
from mosaic_deploy.sql.execution.report import REPORT_VARIABLES, count_rows_sql, report_sql, verb_of
from mosaic_deploy.sql.execution.step import SqlSession, Step
from mosaic_deploy.sql.guard import locks
from mosaic_deploy.sql.guard.measure import (
    NOTE_END,
    VARIABLES,
    begin_measure_sql,
    compare_sql,
    existing_variable,
    measure_sql,
)
from mosaic_deploy.sql.guard.rewrites import AFTER_REWRITE, BEFORE_REWRITE, rewriting
from mosaic_deploy.sql.guard.schema_check import SchemaCheck, observe_sql, schema_check
from mosaic_deploy.sql.marker import RESEND, raise_with_facts_sql
from mosaic_deploy.sql.quote import dollar_quote
from mosaic_deploy.sql.session.leftovers import leftovers
from mosaic_deploy.sql.session.strings import REFUSE_OFF


def compile_batch(steps: Sequence[Step], session: SqlSession, *, commit: bool = True) -> str:
    """One DO block that applies `steps` in order, each in its own transaction.

    `commit=False` commits nothing inside: for endpoints that wrap each call in a transaction, and for several steps
    in one transaction. Every statement must be one that EXECUTE accepts. It raises `resend` if a transaction has
    committed meanwhile that this one can't see.
    """
    measured = bool(session.existing)
    data = [_step_data(step, session) for step in steps]
    steps_json = dollar_quote(json.dumps(data, ensure_ascii=False, separators=(",", ":")), "mosaic_steps")
    flush = _ASYNC_COMMIT.format(last=len(steps) - 1) if commit else ""
    checked = _CHECK_CONSTRAINTS
    if not commit and len(steps) > 1:
        checked = f"    IF place OPERATOR(pg_catalog.=) {len(steps) - 1} THEN\n{checked}    END IF;\n"
    carried = _CHECK_CARRIED if any(step.next_session is not None for step in steps) else ""
    settings = _SET_SESSION if any(step.sql.session.statements for step in steps) else ""
    leave = _LEAVE_SESSION if any(leftovers(step.sql.statements) for step in steps) else ""
    measure = f"{measure_sql(alone=commit or len(steps) == 1)}{_COMPARE}" if measured else ""
    compared = SchemaCheck()
    if any(step.touches for step in steps):
        compared = schema_check(
            session.schema,
            "one OPERATOR(pg_catalog.->) 'rehearsed'",
            session.deploy_id,
            _STEP_FACTS,
            handler=_RERAISE_UNSTARTED,
            lock_timeout=session.lock_timeout,
        )
    noted = "" if session.existing is None else NOTE_END
    watch = _watch(session.watched_oid)
    body = f"""DECLARE
  steps pg_catalog.jsonb := {steps_json};
{_guard_variables(session)}{compared.declare}{_DECLARATIONS}{watch.declare}{CARRIED_VARIABLES if carried else ""}{DECLARE_OWN}BEGIN
  FOR place IN 0 .. {len(steps) - 1} LOOP
{_FRESH_SNAPSHOT if commit else ""}  one := steps OPERATOR(pg_catalog.->) place;
{"" if commit else _RESEND_AFTER_WAITING}{lease_check_sql(session, _RAISE_LEASE_LOST)}  EXECUTE one OPERATOR(pg_catalog.->>) 'done' INTO finished;
  IF NOT finished THEN
{compared.before}{_BEGIN_MEASURE if measured else ""}{BEGIN_SESSION}{_REFUSE_OFF_STRINGS}{local_settings_sql([*session.settings])}{_BEGIN_REPORT}  step := 0;
{watch.begin}{settings}{_execute_loop(steps, watch.each, measured=measured)}{checked}{watch.end}{carried}{leave}{RESTORE_OWN}{compared.after}{measure}{compared.result}{noted}{flush}    EXECUTE one OPERATOR(pg_catalog.->>) 'record';
{observe_sql(session.schema, _STEP_FACTS)}    {_REPORT_MEASURED if measured else _REPORT}
  END IF;
{"  COMMIT;" if commit else ""}
  END LOOP;
  DISCARD TEMP;
END
"""
    return "DO " + dollar_quote(body, "mosaic_batch")


def _guard_variables(session: SqlSession) -> str:
    return f"{existing_variable(session.existing)}  {VARIABLES}" if session.existing else ""


class _Watch(NamedTuple):
    """PL/pgSQL that reports the locks that each step holds, in a rehearsal; all empty otherwise."""

    declare: str = ""
    begin: str = ""
    each: str = ""
    end: str = ""


def _watch(last_oid: int | None) -> _Watch:
    if last_oid is None:
        return _Watch()
    unwatched = "(one OPERATOR(pg_catalog.->) 'unwatched') OPERATOR(pg_catalog.@>) pg_catalog.to_jsonb(step)"
    each = f"IF NOT COALESCE({unwatched}, false) THEN\n{locks.watch_sql(_STEP_FACTS, 'step', last_oid)}    END IF;"
    return _Watch(
        f"  {locks.VARIABLES}\n",
        locks.begin_watch_sql(_STEP_FACTS, last_oid),
        each,
        locks.end_watch_sql(_STEP_FACTS, "step", last_oid),
    )


def _execute_loop(steps: Sequence[Step], watch: str, *, measured: bool) -> str:
    """PL/pgSQL that EXECUTEs a step's statements in one subtransaction, or each in its own if some can't be in one."""
    rewrites = measured and any(rewriting(step.sql.statements) for step in steps)
    execute = _EXECUTE_REWRITING if rewrites else "EXECUTE sql;"
    loop = _loop_with_bare if any(_bare_statement_numbers(step) for step in steps) else _loop
    return loop(execute, watch)


def _loop(execute: str, watch: str) -> str:
    return f"""    BEGIN
{_FOR_EACH_STATEMENT}      {execute}
      {_COUNT_ROWS}
      {REFUSE_OFF}
      {watch}
    END LOOP;
    {_RERAISE}    END;
"""


def _loop_with_bare(execute: str, watch: str) -> str:
    """Statements in `bare` have no handler, so no subtransaction."""
    return f"""{_FOR_EACH_STATEMENT}      IF COALESCE((one OPERATOR(pg_catalog.->) 'bare') OPERATOR(pg_catalog.@>) pg_catalog.to_jsonb(step), false) THEN
        EXECUTE sql;
        {_COUNT_ROWS}
      ELSE
        BEGIN
        {execute}
        {_COUNT_ROWS}
        {REFUSE_OFF}
        {_RERAISE}        END;
      END IF;
      {watch}
    END LOOP;
"""


def _bare_statement_numbers(step: Step) -> list[int]:
    """The numbers of the statements that can't run in a subtransaction."""
    numbered = enumerate(step.sql.statements, 1)
    return [number for number, statement in numbered if refuses_subtransaction(statement, step.sql)]


def _step_data(step: Step, session: SqlSession) -> dict[str, object]:
    """A step as JSON for the batch's loop."""
    return {
        "version": step.version,
        "step": step.number,
        "done": f"SELECT {done_condition(step)}",
        "sql": [statement.text for statement in step.sql.statements],
        "record": record_sql(step, session),
        **({"verbs": verbs} if any(verbs := [verb_of(one) for one in step.sql.statements]) else {}),
        **({"session": list(settings)} if (settings := step.sql.session.statements) else {}),
        **_next_session(step),
        **({"leave": list(left)} if (left := leftovers(step.sql.statements)) else {}),
        **({"bare": bare} if (bare := _bare_statement_numbers(step)) else {}),
        **({"rehearsed": step.touches.as_json()} if step.touches else {}),
        **(_guard_data(step) if session.existing else {}),
        **({"unwatched": skipped} if (skipped := _unwatched(step, session)) else {}),
    }


def _guard_data(step: Step) -> dict[str, object]:
    rewrites = {str(number): name for number, name in rewriting(step.sql.statements).items()}
    agreed = step.agreed.as_json()
    return {**({"agreed": agreed} if agreed else {}), **({"rewrites": rewrites} if rewrites else {})}


def _unwatched(step: Step, session: SqlSession) -> list[int]:
    return [] if session.watched_oid is None else sorted(locks.unwatched(step.sql.statements))


def _next_session(step: Step) -> dict[str, list[str]]:
    """What the settings are compared with at the end of a step that isn't the file's last."""
    if step.next_session is None:
        return {}
    return {
        "next": list(step.next_session.statements),
        "compared": compared_settings(step),
        "unmentioned": list(step.unmentioned),
    }


# A loop over data instead of code per step: PL/pgSQL keeps a plan for every statement in the code, and each DDL
# statement walks all of them (300 steps took three times as long as three calls with 100).
_DECLARATIONS = (
    """  one pg_catalog.jsonb; finished boolean; step int; sql text;
  began pg_catalog.timestamptz; verbs text[]; """
    + f"{HANDLER_VARIABLES}{REPORT_VARIABLES}"
    + """
  frozen boolean := pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed';
"""
)
_STEP_FACTS = (
    "'version', one OPERATOR(pg_catalog.->>) 'version', "
    "'step', (one OPERATOR(pg_catalog.->>) 'step')::pg_catalog.int4"
)
_RAISE_LEASE_LOST = raise_with_facts_sql(
    f"pg_catalog.json_build_object('code', '{LEASE_LOST}', {_STEP_FACTS})::text"
)
# With `default_transaction_isolation`, a transaction sees only what was committed before its first snapshot. So the
# lock that makes copies of this call wait must come before it: unlike a function call, LOCK TABLE needs no snapshot.
_FRESH_SNAPSHOT = f"  IF frozen THEN COMMIT; {LOCK_LEDGER_SQL}; END IF;\n"
_RESEND_AFTER_WAITING = f"""  IF frozen AND NOT pg_catalog.pg_try_advisory_xact_lock({MIGRATION_LOCK_KEYS}) THEN
    PERFORM pg_catalog.pg_advisory_xact_lock({MIGRATION_LOCK_KEYS});
    {raise_with_facts_sql(f"pg_catalog.json_build_object('code', '{RESEND}', {_STEP_FACTS})::text")}
  END IF;
"""
_REFUSE_OFF_STRINGS = refuse_off_strings_sql(_STEP_FACTS)
_RERAISE = reraise_handler_sql(f"{_STEP_FACTS}, 'statement', step")
_RERAISE_UNSTARTED = reraise_handler_sql(f"{_STEP_FACTS}, 'statement', 0")
_BEGIN_REPORT = """  began := pg_catalog.clock_timestamp(); counts := '{}';
  verbs := ARRAY(SELECT pg_catalog.jsonb_array_elements_text(one OPERATOR(pg_catalog.->) 'verbs'));
"""
_COUNT_ROWS = f"IF verbs[step] OPERATOR(pg_catalog.<>) '' THEN {count_rows_sql('verbs[step]')} END IF;"
_REPORT = report_sql(
    f"{_STEP_FACTS}, 'rows', counts, "
    "'seconds', EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) began)"
)
_REPORT_MEASURED = report_sql(
    f"{_STEP_FACTS}, 'rows', counts, 'tables', effects OPERATOR(pg_catalog.->) 'tables', "
    "'seconds', EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) began)"
)
_BEGIN_MEASURE = begin_measure_sql(_STEP_FACTS, "(one -> 'agreed')")
_COMPARE = compare_sql("(one -> 'agreed')", _STEP_FACTS)
_EXECUTE_REWRITING = f"""target := one OPERATOR(pg_catalog.->) 'rewrites' OPERATOR(pg_catalog.->>) step::pg_catalog.text;
      IF target IS NULL THEN EXECUTE sql; ELSE
      {BEFORE_REWRITE}      EXECUTE sql;
      {AFTER_REWRITE}      END IF;"""
_FOR_EACH_STATEMENT = """    FOREACH sql IN ARRAY ARRAY(SELECT pg_catalog.jsonb_array_elements_text(one OPERATOR(pg_catalog.->) 'sql')) LOOP
      step := step OPERATOR(pg_catalog.+) 1;
"""
_SET_SESSION = f"""    BEGIN
    FOREACH sql IN ARRAY ARRAY(SELECT pg_catalog.jsonb_array_elements_text(one OPERATOR(pg_catalog.->) 'session')) LOOP
      EXECUTE sql;
    END LOOP;
    {REFUSE_OFF}
    {_RERAISE}    END;
"""
_LEAVE_SESSION = """    FOREACH sql IN ARRAY ARRAY(SELECT pg_catalog.jsonb_array_elements_text(one OPERATOR(pg_catalog.->) 'leave')) LOOP
      EXECUTE sql;
    END LOOP;
"""
_CHECK_CONSTRAINTS = f"""    step := 0;
    BEGIN
    {CHECK_CONSTRAINTS_SQL};
    {_RERAISE}    END;
"""
_CARRIED = check_carried_sql(
    *(f"one OPERATOR(pg_catalog.->) '{key}'" for key in ("compared", "next", "unmentioned"))
)
_CHECK_CARRIED = f"""    step := 0;
    IF one OPERATOR(pg_catalog.->) 'next' IS NOT NULL THEN
    BEGIN
    {_CARRIED}    {_RERAISE}    END;
    END IF;
"""
# The WAL is written in order, so the last step's commit makes the earlier ones durable too: one disk flush per call
# instead of one per migration. A server crash in between loses ledger rows together with the work, and the call is
# sent again.
_ASYNC_COMMIT = """  IF place OPERATOR(pg_catalog.<) {last} THEN
    PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
  END IF;
"""
