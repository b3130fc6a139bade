"""Pending migrations compiled into statements that may be sent again at any time.

A batch is one DO block. Per unit it takes an advisory lock, checks the lease, skips what the ledger has,
EXECUTEs the statements with their number kept in a variable, records the unit in the ledger, and commits.
A failing statement is raised again as `mosaic-deploy:{json}` so that any platform that returns PostgreSQL's
message tells which statement of which file it was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from mosaic_deploy.sql.execution.failure import LEASE_LOST, raised_again, raised_with
from mosaic_deploy.sql.execution.plain import CHECKED, stays_bare
from mosaic_deploy.sql.execution.records import done, lease_check, record
from mosaic_deploy.sql.execution.step import Session, Step
from mosaic_deploy.sql.quote import dollar_quote, literal


def compile_batch(steps: Sequence[Step], session: Session, *, commit: bool = True) -> str:
    """One DO block that applies `steps` in order, each in its own transaction.

    With `commit=False` nothing is committed inside: for endpoints that wrap each call in a transaction, and for
    several steps that are one transaction. Every statement must be one that EXECUTE carries.
    """
    facts = [_facts(step, session) for step in steps]
    given = dollar_quote(json.dumps(facts, ensure_ascii=False, separators=(",", ":")), "mosaic_steps")
    flush = _UNFLUSHED.format(last=len(steps) - 1) if commit else ""
    checked = _CHECKED if commit or len(steps) == 1 else ""
    body = f"""DECLARE
  steps pg_catalog.jsonb := {given};
{_DECLARATIONS}BEGIN
  FOR place IN 0 .. {len(steps) - 1} LOOP
  one := steps OPERATOR(pg_catalog.->) place;
{lease_check(session, _LOST)}  EXECUTE one OPERATOR(pg_catalog.->>) 'done' INTO finished;
  IF NOT finished THEN
{_RESTORE}{_local_limits(session)}{flush}  step := 0;
{_loop(steps)}{checked}    PERFORM pg_catalog.set_config('role', own_role, false);
    EXECUTE one OPERATOR(pg_catalog.->>) 'record';
  END IF;
{"  COMMIT;" if commit else ""}
  END LOOP;
{_RESTORE}END
"""
    return "DO " + dollar_quote(body, "mosaic_batch")


def _loop(steps: Sequence[Step]) -> str:
    """EXECUTEs a step's statements: in one subtransaction, or each in its own where some can't be in any."""
    if any(_bare(step) for step in steps):
        return _LOOP_WITH_BARE
    return _LOOP


def _bare(step: Step) -> list[int]:
    """The numbers of the statements that a subtransaction can't hold."""
    numbered = enumerate(step.unit.statements, 1)
    return [number for number, statement in numbered if stays_bare(statement, step.unit)]


def _facts(step: Step, session: Session) -> dict[str, object]:
    """A step as the batch's loop reads it."""
    return {
        "version": step.version,
        "unit": step.number,
        "done": f"SELECT {done(step)}",
        "sql": [statement.text for statement in step.unit.statements],
        "record": record(step, session),
        **({"bare": bare} if (bare := _bare(step)) else {}),
    }


# One loop over data, not a piece of code per step: PL/pgSQL keeps a plan for every statement written out, and
# each DDL statement walks all of them (300 steps took three times as long as three calls of 100).
_DECLARATIONS = """  one pg_catalog.jsonb; finished boolean; step int; sql text;
  code text; message text; detail text; hint text;
  own_path text := pg_catalog.current_setting('search_path');
  own_role text := pg_catalog.current_setting('role');
"""
_WHERE = (
    "'version', one OPERATOR(pg_catalog.->>) 'version', "
    "'unit', (one OPERATOR(pg_catalog.->>) 'unit')::pg_catalog.int4"
)
_LOST = raised_with(f"pg_catalog.json_build_object('code', '{LEASE_LOST}', {_WHERE})::text")
_TOLD = raised_again(f"{_WHERE}, 'statement', step")
_EACH = """    FOREACH sql IN ARRAY ARRAY(SELECT pg_catalog.jsonb_array_elements_text(one OPERATOR(pg_catalog.->) 'sql')) LOOP
      step := step OPERATOR(pg_catalog.+) 1;
"""
_LOOP = f"""    BEGIN
{_EACH}      EXECUTE sql;
    END LOOP;
    {_TOLD}    END;
"""
_LOOP_WITH_BARE = f"""{_EACH}      IF COALESCE((one OPERATOR(pg_catalog.->) 'bare') OPERATOR(pg_catalog.@>) pg_catalog.to_jsonb(step), false) THEN
        EXECUTE sql;
      ELSE
        BEGIN
        EXECUTE sql;
        {_TOLD}        END;
      END IF;
    END LOOP;
"""
_CHECKED = f"""    step := 0;
    BEGIN
    {CHECKED};
    {_TOLD}    END;
"""
# The log is written in order, so the last step's commit makes the earlier ones durable too: one wait for the
# disk per call instead of one per migration. A crash of the server in between takes ledger rows along with
# the work, and the call is sent again.
_UNFLUSHED = """  IF place OPERATOR(pg_catalog.<) {last} THEN
    PERFORM pg_catalog.set_config('synchronous_commit', 'off', true);
  END IF;
"""
# RESET ALL keeps no session state of one migration for the next; what the connection itself came with
# (a pooler's SET ROLE or search_path) is put back.
_RESTORE = """  RESET ALL;
  PERFORM pg_catalog.set_config('role', own_role, false);
  PERFORM pg_catalog.set_config('search_path', own_path, false);
"""


def _local_limits(session: Session) -> str:
    return "".join(
        f"  PERFORM pg_catalog.set_config('{name}', {literal(value)}, true);\n"
        for name, value in session.limits
    )
