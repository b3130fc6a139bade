"""Rewrites steps so that EXECUTE accepts them, for endpoints that take one statement per call."""

from __future__ import annotations

import re
from dataclasses import replace

from mosaic_deploy.sql.execution.split import StepSql
from mosaic_deploy.sql.execution.transactions import not_executable_reason
from mosaic_deploy.sql.parse import SqlSyntaxError, Statement, Tree, parse

_INTO = re.compile(
    r"\bINTO\s+(?P<kind>(?:(?:LOCAL|GLOBAL|TEMPORARY|TEMP|UNLOGGED)\s+)*)(?:TABLE\s+)?$", re.IGNORECASE
)
_NAME = re.compile(r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)(?:\s*\.\s*(?:"(?:[^"]|"")+"|[^\W\d][\w$]*))*')


def executable_form(step: StepSql) -> StepSql | None:
    """The step with every statement in a form that EXECUTE accepts; None if there is none.

    SELECT INTO becomes the equivalent CREATE TABLE AS; savepoints that are only released are dropped.
    """
    rolls_back = any(
        _transaction_command(statement) == "TRANS_STMT_ROLLBACK_TO" for statement in step.statements
    )
    kept: list[Statement] = []
    for statement in step.statements:
        if statement.kind == "TransactionStmt" and not rolls_back:
            continue
        rewritten = create_table_as(statement) if statement.kind == "SelectStmt" else statement
        if rewritten is None or not_executable_reason(rewritten):
            return None
        kept.append(rewritten)
    return replace(step, statements=tuple(kept))


def _transaction_command(statement: Statement) -> object:
    return statement.node.get("kind") if statement.kind == "TransactionStmt" else None


def first_not_executable(step: StepSql) -> int:
    """The number, from 1, of the first statement that `executable_form` can't rewrite; 0 if there is none."""
    for number, statement in enumerate(step.statements, 1):
        if executable_form(replace(step, statements=(statement,))) is None:
            return number
    return 0


def create_table_as(statement: Statement) -> Statement | None:
    """`SELECT … INTO t FROM …` as `CREATE TABLE t AS SELECT … FROM …`; any other SELECT unchanged.

    None if PostgreSQL's parser doesn't read the same query and table from the result.
    """
    if not not_executable_reason(statement):
        return statement
    text = statement.text
    for name in _NAME.finditer(text):
        into = _INTO.search(text[: name.start()])
        if into is None:
            continue
        query = text[: into.start()] + text[name.end() :]
        rewritten = f"CREATE {into.group('kind')}TABLE {name.group()} AS {query}"
        try:
            parsed = parse(rewritten)
        except SqlSyntaxError:
            continue
        if [one.kind for one in parsed] == ["CreateTableAsStmt"] and _is_same_query(parsed[0], statement):
            return replace(parsed[0], offset=statement.offset)
    return None


def _is_same_query(rewritten: Statement, select: Statement) -> bool:
    """Whether a CREATE TABLE AS has the query and the table of a SELECT INTO."""
    return (_without_positions(rewritten.node["query"]), _without_positions(rewritten.node["into"])) == (
        _without_positions(select.tree),
        _without_positions(_into_clause(select.node)),
    )


def _into_clause(node: Tree) -> object:
    return node["intoClause"] if "intoClause" in node else _into_clause(node["larg"])


def _without_positions(item: object) -> object:
    """A tree without locations and without its INTO clause."""
    if isinstance(item, dict):
        return {
            name: _without_positions(value)
            for name, value in item.items()
            if name not in ("location", "intoClause")
        }
    return [_without_positions(value) for value in item] if isinstance(item, list) else item
