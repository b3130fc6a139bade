"""What EXECUTE can't carry, said in another way: for endpoints that take one statement per call."""

from __future__ import annotations

import re
from dataclasses import replace

from mosaic_deploy.sql.execution.units import Unit, not_executable
from mosaic_deploy.sql.parse import Statement, SyntaxProblem, Tree, parse

_INTO = re.compile(
    r"\bINTO\s+(?P<kind>(?:(?:LOCAL|GLOBAL|TEMPORARY|TEMP|UNLOGGED)\s+)*)(?:TABLE\s+)?$", re.IGNORECASE
)
_NAME = re.compile(r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)(?:\s*\.\s*(?:"(?:[^"]|"")+"|[^\W\d][\w$]*))*')


def executable(unit: Unit) -> Unit | None:
    """The unit with every statement in a form that EXECUTE carries, None where there is no such form.

    SELECT INTO becomes CREATE TABLE AS, which is the same to PostgreSQL; savepoints that are only released
    are left out.
    """
    rolls_back = any(_control(statement) == "TRANS_STMT_ROLLBACK_TO" for statement in unit.statements)
    kept: list[Statement] = []
    for statement in unit.statements:
        if statement.kind == "TransactionStmt" and not rolls_back:
            continue
        said = create_table_as(statement) if statement.kind == "SelectStmt" else statement
        if said is None or not_executable(said):
            return None
        kept.append(said)
    return replace(unit, statements=tuple(kept))


def _control(statement: Statement) -> object:
    return statement.node.get("kind") if statement.kind == "TransactionStmt" else None


def impossible(unit: Unit) -> int:
    """The number, from 1, of the first statement because of which `executable` has no form for the unit; or 0."""
    for number, statement in enumerate(unit.statements, 1):
        if executable(replace(unit, statements=(statement,))) is None:
            return number
    return 0


def create_table_as(statement: Statement) -> Statement | None:
    """`SELECT … INTO t FROM …` as `CREATE TABLE t AS SELECT … FROM …`; any other SELECT as it is.

    None where that can't be written so that PostgreSQL's parser reads the same query and the same table from it.
    """
    if not not_executable(statement):
        return statement
    text = statement.text
    for name in _NAME.finditer(text):
        into = _INTO.search(text[: name.start()])
        if into is None:
            continue
        query = text[: into.start()] + text[name.end() :]
        said = f"CREATE {into.group('kind')}TABLE {name.group()} AS {query}"
        try:
            read = parse(said)
        except SyntaxProblem:
            continue
        if [one.kind for one in read] == ["CreateTableAsStmt"] and _same(read[0], statement):
            return replace(read[0], offset=statement.offset)
    return None


def _same(said: Statement, select: Statement) -> bool:
    """Whether a CREATE TABLE AS has the query and the table of a SELECT INTO."""
    return (_bare(said.node["query"]), _bare(said.node["into"])) == (
        _bare(select.tree),
        _bare(_into(select.node)),
    )


def _into(node: Tree) -> object:
    return node["intoClause"] if "intoClause" in node else _into(node["larg"])


def _bare(item: object) -> object:
    """A tree without its places, and without the table that a query goes into."""
    if isinstance(item, dict):
        return {name: _bare(value) for name, value in item.items() if name not in ("location", "intoClause")}
    return [_bare(value) for value in item] if isinstance(item, list) else item
