"""Pending migrations compiled into statements that may be sent again at any time.

A batch is one DO block. Per unit it takes an advisory lock, checks the lease, skips what the ledger has,
EXECUTEs the statements with their number kept in a variable, records the unit in the ledger, and commits.
A failing statement is raised again as `mosaic-deploy:{json}` so that any platform that returns PostgreSQL's
message tells which statement of which file it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mosaic_deploy.sql.quote import dollar_quote, literal
from mosaic_deploy.sql.records import done, record, row
from mosaic_deploy.sql.step import Compiled, Place, Step
from mosaic_deploy.sql.units import Carrier, Unit

LOCK = "7236850, 1"
"""The two keys of the advisory lock all migrations take."""

SKIPPED = "unit_applied"
ATTEMPTED = "unit_attempted"
LEASE_LOST = "lease_lost"
FAILED = "statement_failed"
MARK = "mosaic-deploy:"
_SPLIT_MARK = "'mosaic-', 'deploy:'"
"""MARK in two parts, so that a platform that echoes the query in its error doesn't seem to raise it."""


@dataclass(frozen=True, slots=True)
class Session:
    """What every call carries: the fencing token, the deploy's id, and the timeouts (PostgreSQL's syntax)."""

    token: str
    deploy_id: str
    lock_timeout: str | None = None
    statement_timeout: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """What a marked error says. `statement` counts the unit's statements from 1."""

    code: str
    version: str
    unit: int
    statement: int = 0
    sqlstate: str | None = None
    message: str = ""
    detail: str | None = None
    hint: str | None = None


def compile_batch(
    steps: Sequence[Step], session: Session, *, commit: bool = True, handled: bool = True
) -> str:
    """One DO block that applies `steps` in order, each in its own transaction.

    With `commit=False` nothing is committed inside: for endpoints that wrap each call in a transaction.
    With `handled=False` errors come back as PostgreSQL words them, without the statement's number, and the
    statements aren't in a subtransaction. All steps must have the BATCH carrier.
    """
    facts = [_facts(step, session) for step in steps]
    given = dollar_quote(json.dumps(facts, ensure_ascii=False, separators=(",", ":")), "mosaic_steps")
    handler = _HANDLER if handled else ""
    flush = _UNFLUSHED.format(last=len(steps) - 1) if commit else ""
    body = f"""DECLARE
  steps pg_catalog.jsonb := {given};
{_DECLARATIONS}BEGIN
  FOR place IN 0 .. {len(steps) - 1} LOOP
  one := steps OPERATOR(pg_catalog.->) place;
{_lease_check(session, _RAISE_LOST)}  EXECUTE one OPERATOR(pg_catalog.->>) 'done' INTO finished;
  IF NOT finished THEN
{_RESTORE}{_local_limits(session)}{flush}  step := 0;
    BEGIN
    FOREACH sql IN ARRAY ARRAY(SELECT pg_catalog.jsonb_array_elements_text(one OPERATOR(pg_catalog.->) 'sql')) LOOP
      step := step OPERATOR(pg_catalog.+) 1;
      EXECUTE sql;
    END LOOP;
{handler}    END;
    PERFORM pg_catalog.set_config('role', own_role, false);
    EXECUTE one OPERATOR(pg_catalog.->>) 'record';
  END IF;
{"  COMMIT;" if commit else ""}
  END LOOP;
{_RESTORE}END
"""
    return "DO " + dollar_quote(body, "mosaic_batch")


def _facts(step: Step, session: Session) -> dict[str, object]:
    """A step as the batch's loop reads it."""
    return {
        "version": step.version,
        "unit": step.number,
        "done": f"SELECT {done(step)}",
        "sql": [statement.text for statement in step.unit.statements],
        "record": record(step, session),
    }


def compile_plain(steps: Sequence[Step], session: Session) -> Compiled:
    """`BEGIN; guard; …; ledger rows; COMMIT`: for what EXECUTE can't carry, and for statements with a time limit.

    The guard looks at the first step alone: the steps are one transaction, so all are applied or none is.
    """
    first = steps[0]
    guard = "DO " + dollar_quote(
        f"BEGIN\n{_guard(first, session)}{_raise_if_applied(first)}END\n", "mosaic_guard"
    )
    limits = [f"SET LOCAL {name} = {literal(value)}" for name, value in _limits(session)]
    # SET TRANSACTION must be the transaction's first statement, so leading ones go before the guard.
    lead = _leading_settings(first)
    compiled = Compiled(first)
    compiled.add("BEGIN")
    for step in steps:
        for number, statement in enumerate(step.unit.statements, 1):
            if step is first and number == lead + 1:
                compiled.add(guard, *limits)
            compiled.add(statement.text, place=Place(step, number, 0))
        if step is first and len(step.unit.statements) == lead:
            compiled.add(guard, *limits)
        compiled.add(record(step, session))
    compiled.add("COMMIT")
    return compiled


def compile_solo(step: Step) -> str:
    """The single statement of a unit that runs outside any transaction."""
    return step.unit.statements[0].text


def compile_claim(step: Step, session: Session) -> str:
    """Write-ahead intent for a SOLO unit: notes in the ledger that its statement is about to be sent.

    Raises `unit_applied`, `lease_lost`, or `unit_attempted` where an earlier run or request noted the same and
    no end is known.
    """
    attempted = (
        f"  IF EXISTS (SELECT FROM mosaic_deploy.migrations WHERE version = {step.version} "
        f"AND attempt >= {step.number}) THEN {_raise(ATTEMPTED, step)} END IF;\n"
    )
    noted = f"  {row(step, session, done=step.number - 1, attempt=step.number)};\n"
    body = f"BEGIN\n{_guard(step, session)}{_raise_if_applied(step)}{attempted}{noted}END\n"
    return "DO " + dollar_quote(body, "mosaic_claim")


_FOUND = re.compile(re.escape(MARK) + r"(?=\{)")
_REQUIRED = {"code", "version", "unit"}


def read_failure(message: str) -> Failure | None:
    """The first marked failure in PostgreSQL's `message`, wherever the platform put it; None without one."""
    for found in _FOUND.finditer(message):
        try:
            facts, _ = json.JSONDecoder().raw_decode(message, found.end())
        except ValueError:
            continue
        if _REQUIRED <= facts.keys() <= Failure.__dataclass_fields__.keys():
            return Failure(**facts)
    return None


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
_RAISE_LOST = (
    f"RAISE EXCEPTION USING MESSAGE = pg_catalog.concat({_SPLIT_MARK}, "
    f"pg_catalog.json_build_object('code', '{LEASE_LOST}', {_WHERE})::text);"
)
_HANDLER = f"""    EXCEPTION WHEN OTHERS THEN
      GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
      RAISE EXCEPTION USING ERRCODE = code, MESSAGE = pg_catalog.concat({_SPLIT_MARK},
        pg_catalog.json_build_object('code', '{FAILED}', {_WHERE}, 'statement', step,
        'sqlstate', code, 'message', message, 'detail', detail, 'hint', hint)::text);
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


def _guard(step: Step, session: Session) -> str:
    return _lease_check(session, _raise(LEASE_LOST, step))


def _lease_check(session: Session, lost: str) -> str:
    return f"""  PERFORM pg_catalog.pg_advisory_xact_lock({LOCK});
  IF NOT EXISTS (SELECT FROM mosaic_deploy.lease WHERE token = {literal(session.token)}
      AND expires_at > pg_catalog.clock_timestamp()) THEN {lost} END IF;
"""


def _raise_if_applied(step: Step) -> str:
    return f"  IF {done(step)} THEN {_raise(SKIPPED, step)} END IF;\n"


def _raise(code: str, step: Step) -> str:
    facts = json.dumps({"code": code, "version": step.version, "unit": step.number})
    return f"RAISE EXCEPTION USING MESSAGE = pg_catalog.concat({_SPLIT_MARK}, {literal(facts)});"


def _limits(session: Session) -> Iterator[tuple[str, str]]:
    if session.lock_timeout:
        yield "lock_timeout", session.lock_timeout
    if session.statement_timeout:
        yield "statement_timeout", session.statement_timeout


def _local_limits(session: Session) -> str:
    return "".join(
        f"  PERFORM pg_catalog.set_config('{name}', {literal(value)}, true);\n"
        for name, value in _limits(session)
    )


def _leading_settings(step: Step) -> int:
    count = 0
    for statement in step.unit.statements:
        if statement.kind != "VariableSetStmt" or statement.node.get("name") != "TRANSACTION":
            break
        count += 1
    return count


def needs_plain(unit: Unit, session: Session) -> bool:
    """Whether `unit` must travel alone: EXECUTE can't carry it, or statements are timed.

    PostgreSQL arms `statement_timeout` when a statement arrives; a SET inside a DO block comes too late
    (tried on PostgreSQL 18), so timed migrations are sent as plain statements.
    """
    return unit.carrier is Carrier.PLAIN or session.statement_timeout is not None
