"""Units as plain statements in one call, `BEGIN; guard; …; ledger row; COMMIT`: for what one EXECUTE can't carry.

Where a statement can be EXECUTEd alone it travels in a DO block of its own, whose handler tells its number. The
others go bare; PostgreSQL tells a position in them, or they are told apart by what its message is about.
"""

from __future__ import annotations

from collections.abc import Sequence

from mosaic_deploy.sql.execution.failure import raised_again
from mosaic_deploy.sql.execution.records import guard, record
from mosaic_deploy.sql.execution.rewrite import create_table_as
from mosaic_deploy.sql.execution.step import Compiled, Place, Session, Step
from mosaic_deploy.sql.execution.units import Carrier, Unit, not_executable
from mosaic_deploy.sql.locate import locate
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.quote import dollar_quote, literal

CHECKED = "SET CONSTRAINTS ALL IMMEDIATE"
"""Deferred constraints are looked at while it is still known whose they are; at COMMIT nobody could tell."""
_ENUMS = frozenset({"CreateEnumStmt", "AlterEnumStmt"})
_ABOUT_SAVEPOINTS = ("3B", "25")
_ABOUT_SETTINGS = ("22", "25", "42", "0A")
_ABOUT_THE_TRANSACTION = ("40",)


def needs_plain(unit: Unit, session: Session) -> bool:
    """Whether `unit` must travel alone: EXECUTE can't carry it, or statements are timed.

    PostgreSQL arms `statement_timeout` when a statement arrives; a SET inside a DO block comes too late
    (tried on PostgreSQL 18), so timed migrations are sent as plain statements.
    """
    return unit.carrier is Carrier.PLAIN or session.statement_timeout is not None


def compile_plain(steps: Sequence[Step], session: Session) -> Compiled:
    """The steps as one transaction. Raises the marks of `guard`, and `statement_failed`.

    The guard looks at the first step alone: the steps are one transaction, so all are applied or none is.
    """
    first = steps[0]
    begin = ["DO " + dollar_quote(f"BEGIN\n{guard(first, session)}END\n", "mosaic_guard")]
    begin += [f"SET LOCAL {name} = {literal(value)}" for name, value in session.limits]
    # SET TRANSACTION must be the transaction's first statement, so leading ones go before the guard.
    lead = _leading_settings(first)
    compiled = Compiled()
    compiled.add("BEGIN")
    for step in steps:
        for number, statement in enumerate(step.unit.statements, 1):
            if step is first and number == lead + 1:
                compiled.add(*begin)
            said = create_table_as(statement) if statement.kind == "SelectStmt" else statement
            if said is None or stays_bare(said, step.unit):
                compiled.add(statement.text, place=Place(step, number, 0))
            else:
                compiled.add(_told(said.text, step, number))
        if step is first and len(step.unit.statements) == lead:
            compiled.add(*begin)
        if len(steps) == 1:
            compiled.add(_told(CHECKED, step, 0))
        compiled.add(record(step, session))
    compiled.add("COMMIT")
    return compiled


def stays_bare(statement: Statement, unit: Unit) -> bool:
    """Whether a statement can't be EXECUTEd in a subtransaction, which the handler makes.

    A value that is added to an enum can be used at once only where neither happens in a subtransaction.
    """
    return bool(not_executable(statement)) or (unit.carrier is Carrier.PLAIN and statement.kind in _ENUMS)


def suspect(places: Sequence[Place], sqlstate: str | None, message: str) -> Place | None:
    """Which of the bare statements PostgreSQL's error is about, where it told no place; None if that isn't clear."""
    code = (sqlstate or "")[:2]
    if code in _ABOUT_THE_TRANSACTION:
        return None
    possible = [place for place in places if _may_fail(_statement(place), code)]
    if len(possible) > 1:
        possible = [place for place in possible if locate(_statement(place).text, message)]
    return possible[0] if len(possible) == 1 else None


def _may_fail(statement: Statement, code: str) -> bool:
    if statement.kind == "TransactionStmt":
        return code in _ABOUT_SAVEPOINTS
    return statement.kind != "VariableSetStmt" or code in _ABOUT_SETTINGS


def _statement(place: Place) -> Statement:
    return place.step.unit.statements[place.statement - 1]


def _told(text: str, step: Step, number: int) -> str:
    """A statement in a DO block that tells its number when it fails."""
    which = f"'version', '{step.version}', 'unit', {step.number}, 'statement', {number}"
    body = f"""DECLARE code text; message text; detail text; hint text;
BEGIN
    EXECUTE {dollar_quote(text, "mosaic_sql")};
    {raised_again(which)}END
"""
    return "DO " + dollar_quote(body, "mosaic_one")


def _leading_settings(step: Step) -> int:
    count = 0
    for statement in step.unit.statements:
        if statement.kind != "VariableSetStmt" or statement.node.get("name") != "TRANSACTION":
            break
        count += 1
    return count
