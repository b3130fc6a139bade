"""Pending migrations compiled into statements that may be sent again at any time.

A batch is one DO block. Per unit it takes an advisory lock, checks the lease, skips what the ledger has,
EXECUTEs the statements with their number kept in a variable, records the unit in the ledger, and commits.
A failing statement is raised again as `mosaic-deploy:{json}` so that any platform that returns PostgreSQL's
message tells which statement of which file it was.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mosaic_deploy.sql.quote import dollar_quote, literal
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


def compile_batch(steps: Sequence[Step], session: Session, *, commit: bool = True) -> str:
    """One DO block that applies `steps` in order, each in its own transaction.

    With `commit=False` nothing is committed inside: for endpoints that wrap each call in a transaction.
    All steps must have the BATCH carrier.
    """
    body = "\n".join(_step(step, session, commit) for step in steps)
    return "DO " + dollar_quote(f"{_DECLARATIONS}BEGIN\n{body}\n{_RESTORE}END\n", "mosaic_batch")


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
    noted = f"  {_row(step, session, done=step.number - 1, attempt=step.number)};\n"
    body = f"BEGIN\n{_guard(step, session)}{_raise_if_applied(step)}{attempted}{noted}END\n"
    return "DO " + dollar_quote(body, "mosaic_claim")


def record(step: Step, session: Session) -> str:
    """The ledger row of a committed unit, as one statement; sending it twice changes nothing."""
    return _row(step, session, done=step.number, attempt=0)


def _row(step: Step, session: Session, *, done: int, attempt: int) -> str:
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


_DECLARATIONS = """DECLARE
  step int; sql text; code text; message text; detail text; hint text;
  own_path text := pg_catalog.current_setting('search_path');
  own_role text := pg_catalog.current_setting('role');
"""
# RESET ALL keeps no session state of one migration for the next; what the connection itself came with
# (a pooler's SET ROLE or search_path) is put back.
_RESTORE = """  RESET ALL;
  PERFORM pg_catalog.set_config('role', own_role, false);
  PERFORM pg_catalog.set_config('search_path', own_path, false);
"""


def _step(step: Step, session: Session, commit: bool) -> str:
    # One list and a loop: PL/pgSQL keeps a plan for each EXECUTE that is written out (20,000 took 450 MB).
    texts = ",\n".join(dollar_quote(statement.text, "mosaic_sql") for statement in step.unit.statements)
    return f"""{_guard(step, session)}  IF NOT {_applied(step)} THEN
{_RESTORE}{_local_limits(session)}  step := 0;
    BEGIN
    FOREACH sql IN ARRAY ARRAY[
{texts}
    ]::pg_catalog.text[] LOOP
      step := step OPERATOR(pg_catalog.+) 1;
      EXECUTE sql;
    END LOOP;
    EXCEPTION WHEN OTHERS THEN
      GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
      {_raise_failed(step)}
    END;
    PERFORM pg_catalog.set_config('role', own_role, false);
    {record(step, session)};
  END IF;
{"  COMMIT;" if commit else ""}"""


def _guard(step: Step, session: Session) -> str:
    lost = _raise(LEASE_LOST, step)
    return f"""  PERFORM pg_catalog.pg_advisory_xact_lock({LOCK});
  IF NOT EXISTS (SELECT FROM mosaic_deploy.lease WHERE token = {literal(session.token)}
      AND expires_at > pg_catalog.clock_timestamp()) THEN {lost} END IF;
"""


def _applied(step: Step) -> str:
    # Written without an operator on text, so a changed search_path can't reinterpret it.
    rows = f"mosaic_deploy.migrations WHERE version = {step.version} AND units_done >= {step.number}"
    return f"EXISTS (SELECT FROM {rows})"


def _raise_if_applied(step: Step) -> str:
    return f"  IF {_applied(step)} THEN {_raise(SKIPPED, step)} END IF;\n"


def _raise(code: str, step: Step) -> str:
    facts = json.dumps({"code": code, "version": step.version, "unit": step.number})
    return f"RAISE EXCEPTION USING MESSAGE = pg_catalog.concat({_SPLIT_MARK}, {literal(facts)});"


def _raise_failed(step: Step) -> str:
    return (
        f"RAISE EXCEPTION USING ERRCODE = code, MESSAGE = pg_catalog.concat({_SPLIT_MARK}, "
        f"pg_catalog.json_build_object('code', '{FAILED}', 'version', '{step.version}', "
        f"'unit', {step.number}, 'statement', step, "
        "'sqlstate', code, 'message', message, 'detail', detail, 'hint', hint)::text);"
    )


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
