"""The check, inside a step's transaction, that tables which it may empty or drop without asking still hold no rows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from mosaic_deploy.sql.execution.split import StepSql
from mosaic_deploy.sql.parse import Statement
from mosaic_deploy.sql.quote import dollar_quote, literal

ROWS_APPEARED = "MD001"
"""The SQLSTATE that the check raises."""


def with_empty_check(step: StepSql, tables: Collection[str], offset: int) -> StepSql:
    """The step with the check before its statements. `offset` is the position in the file to report it at.

    `tables` are named as in Hazard. A table that is gone, and a view, holds no rows.
    """
    if not tables:
        return step
    return with_first(step, Statement(_check_sql(tables), offset, {"DoStmt": {}}))


def with_first(step: StepSql, *checks: Statement) -> StepSql:
    """The step with checks before its statements, but after SET TRANSACTION, which must come before any query."""
    first = 0
    while first < len(step.statements) and _sets_transaction(step.statements[first]):
        first += 1
    return replace(step, statements=(*step.statements[:first], *checks, *step.statements[first:]))


def _sets_transaction(statement: Statement) -> bool:
    return statement.kind == "VariableSetStmt" and statement.node.get("name") == "TRANSACTION"


def _check_sql(tables: Collection[str]) -> str:
    """A DO statement. The lock keeps others from adding rows until the step is committed."""
    names = ", ".join(literal(name) for name in sorted(tables))
    body = f"""DECLARE
  one pg_catalog.record; filled boolean;
BEGIN
  FOR one IN SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p']::pg_catalog."char"[])
    AND pg_catalog.concat(n.nspname, '.', c.relname) OPERATOR(pg_catalog.=) ANY (ARRAY[{names}]) ORDER BY 2
  LOOP
    EXECUTE pg_catalog.format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', one.name);
    IF pg_catalog.row_security_active(one.oid) THEN
      filled := pg_catalog.pg_relation_size(one.oid) OPERATOR(pg_catalog.>) 0;
    ELSE
      EXECUTE pg_catalog.format('SELECT EXISTS (SELECT FROM %s)', one.name) INTO filled;
    END IF;
    IF filled THEN
      RAISE EXCEPTION USING ERRCODE = '{ROWS_APPEARED}', MESSAGE = pg_catalog.concat(
        'table ', one.name, ' holds rows now; when the plan was made it held none, so losing them wasn''t confirmed');
    END IF;
  END LOOP;
END"""
    return "DO " + dollar_quote(body, "mosaic_empty")
