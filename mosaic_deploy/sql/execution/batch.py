"""Pending migrations compiled into one DO block that is safe to send again.

For each unit, the block takes an advisory lock, checks the lease, skips the unit if the ledger has it, EXECUTEs its
statements, records it in the ledger, and commits. A failing statement is raised again as `mosaic-deploy:{json}`, so any
platform that returns PostgreSQL's message identifies the statement.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from mosaic_deploy.sql.execution.failure import LEASE_LOST, raise_with_facts_sql, reraise_handler_sql
from mosaic_deploy.sql.execution.plain import CHECK_CONSTRAINTS_SQL, refuses_subtransaction
from mosaic_deploy.sql.execution.records import done_condition, lease_check_sql, record_sql
from mosaic_deploy.sql.execution.step import SqlSession, Step
from mosaic_deploy.sql.quote import dollar_quote, literal


def compile_batch(steps: Sequence[Step], session: SqlSession, *, commit: bool = True) -> str:
    """One DO block that applies `steps` in order, each in its own transaction.

    `commit=False` commits nothing inside: for endpoints that wrap each call in a transaction, and for several steps
    in one transaction. Every statement must be one that EXECUTE accepts.
    """
    data = [_step_data(step, session) for step in steps]
    steps_json = dollar_quote(json.dumps(data, ensure_ascii=False, separators=(",", ":")), "mosaic_steps")
    flush = _ASYNC_COMMIT.format(last=len(steps) - 1) if commit else ""
    checked = _CHECK_CONSTRAINTS if commit or len(steps) == 1 else ""
    body = f"""DECLARE
  steps pg_catalog.jsonb := {steps_json};
{_DECLARATIONS}BEGIN
  FOR place IN 0 .. {len(steps) - 1} LOOP
  one := steps OPERATOR(pg_catalog.->) place;
{lease_check_sql(session, _RAISE_LEASE_LOST)}  EXECUTE one OPERATOR(pg_catalog.->>) 'done' INTO finished;
  IF NOT finished THEN
{_RESET_SESSION}{_local_timeouts(session)}{flush}  step := 0;
{_execute_loop(steps)}{checked}    PERFORM pg_catalog.set_config('role', own_role, false);
    EXECUTE one OPERATOR(pg_catalog.->>) 'record';
  END IF;
{"  COMMIT;" if commit else ""}
  END LOOP;
{_RESET_SESSION}END
"""
    return "DO " + dollar_quote(body, "mosaic_batch")


def _execute_loop(steps: Sequence[Step]) -> str:
    """PL/pgSQL that EXECUTEs a step's statements in one subtransaction, or each in its own if some can't be in one."""
    if any(_bare_statement_numbers(step) for step in steps):
        return _LOOP_WITH_BARE
    return _LOOP


def _bare_statement_numbers(step: Step) -> list[int]:
    """The numbers of the statements that can't run in a subtransaction."""
    numbered = enumerate(step.unit.statements, 1)
    return [number for number, statement in numbered if refuses_subtransaction(statement, step.unit)]


def _step_data(step: Step, session: SqlSession) -> dict[str, object]:
    """A step as JSON for the batch's loop."""
    return {
        "version": step.version,
        "unit": step.number,
        "done": f"SELECT {done_condition(step)}",
        "sql": [statement.text for statement in step.unit.statements],
        "record": record_sql(step, session),
        **({"bare": bare} if (bare := _bare_statement_numbers(step)) else {}),
    }


# A loop over data instead of code per step: PL/pgSQL keeps a plan for every statement in the code, and each DDL
# statement walks all of them (300 steps took three times as long as three calls with 100).
_DECLARATIONS = """  one pg_catalog.jsonb; finished boolean; step int; sql text;
  code text; message text; detail text; hint text;
  own_path text := pg_catalog.current_setting('search_path');
  own_role text := pg_catalog.current_setting('role');
"""
_STEP_FACTS = (
    "'version', one OPERATOR(pg_catalog.->>) 'version', "
    "'unit', (one OPERATOR(pg_catalog.->>) 'unit')::pg_catalog.int4"
)
_RAISE_LEASE_LOST = raise_with_facts_sql(
    f"pg_catalog.json_build_object('code', '{LEASE_LOST}', {_STEP_FACTS})::text"
)
_RERAISE = reraise_handler_sql(f"{_STEP_FACTS}, 'statement', step")
_FOR_EACH_STATEMENT = """    FOREACH sql IN ARRAY ARRAY(SELECT pg_catalog.jsonb_array_elements_text(one OPERATOR(pg_catalog.->) 'sql')) LOOP
      step := step OPERATOR(pg_catalog.+) 1;
"""
_LOOP = f"""    BEGIN
{_FOR_EACH_STATEMENT}      EXECUTE sql;
    END LOOP;
    {_RERAISE}    END;
"""
_LOOP_WITH_BARE = f"""{_FOR_EACH_STATEMENT}      IF COALESCE((one OPERATOR(pg_catalog.->) 'bare') OPERATOR(pg_catalog.@>) pg_catalog.to_jsonb(step), false) THEN
        EXECUTE sql;
      ELSE
        BEGIN
        EXECUTE sql;
        {_RERAISE}        END;
      END IF;
    END LOOP;
"""
_CHECK_CONSTRAINTS = f"""    step := 0;
    BEGIN
    {CHECK_CONSTRAINTS_SQL};
    {_RERAISE}    END;
"""
# The WAL is written in order, so the last step's commit makes the earlier ones durable too: one disk flush per call
# instead of one per migration. A server crash in between loses ledger rows together with the work, and the call is
# sent again.
_ASYNC_COMMIT = """  IF place OPERATOR(pg_catalog.<) {last} THEN
    PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
  END IF;
"""
# RESET ALL drops session state between migrations; the connection's own role and search_path (set by a pooler) are
# restored.
_RESET_SESSION = """  RESET ALL;
  PERFORM pg_catalog.set_config('role', own_role, false);
  PERFORM pg_catalog.set_config('search_path', own_path, false);
"""


def _local_timeouts(session: SqlSession) -> str:
    return "".join(
        f"  PERFORM pg_catalog.set_config('{name}', {literal(value)}, true);\n"
        for name, value in session.timeouts
    )
