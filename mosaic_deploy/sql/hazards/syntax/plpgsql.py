"""The SQL inside PL/pgSQL blocks: libpg_query's PL/pgSQL parser finds it, the SQL parser reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from mosaic_deploy.sql.hazards.syntax.trees import expression_from_text
from mosaic_deploy.sql.parse import SqlSyntaxError, Statement, parse

_WORD = re.compile(r"\S")
_ASSIGNMENT_TARGET = re.compile(r"^.*?:?=", re.DOTALL)
_STATEMENT, _EXPRESSION, _ASSIGNMENTS = 0, 2, (3, 4, 5)
"""PL/pgSQL's parse modes for a query: a statement, an expression, or an assignment of one of three forms."""
_DYNAMIC_STATEMENTS = frozenset({"PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors"})


@dataclass(frozen=True, slots=True)
class DynamicSql:
    """SQL composed at run time. `text` is the expression; `offset` is its position in the file."""

    text: str
    offset: int


class _Query(NamedTuple):
    """A query in a block: `line` counts in the body; `dynamic` means an expression whose value is run as SQL."""

    line: int
    text: str
    mode: int
    dynamic: bool


def block_statements(statement: Statement, body: str) -> Iterator[Statement | DynamicSql]:
    """The statements in all branches of a DO block or function, and SQL that it composes.

    Expressions that may call a function come as a SELECT. The offsets are those of the line in the file; the
    trees' own locations are meaningless.
    """
    from mosaic_deploy.sql.pg_parser.libpg_query import ParserError, parse_plpgsql  # loads a C library

    start = max(0, statement.text.find(body))
    try:
        root: Any = parse_plpgsql(statement.text)
    except (ParserError, RecursionError):
        root = None
    if "PLpgSQL_stmt_block" not in str(root):  # another language, or a parse error
        yield DynamicSql(body, statement.offset + _line_start(statement.text, start, 1))
        return
    for query in _block_queries(root):
        offset = statement.offset + _line_start(statement.text, start, query.line)
        yield from _parse_dynamic(query.text, offset) if query.dynamic else _parse_static(query, offset)


def _block_queries(root: Any) -> Iterator[_Query]:
    """Every query that the block hands to PostgreSQL, in source order."""
    waiting: list[tuple[Any, int, bool]] = [(root, 1, False)]
    while waiting:
        node, line, dynamic = waiting.pop()
        if isinstance(node, list):
            waiting.extend((child, line, dynamic) for child in reversed(node))
        elif isinstance(node, dict):
            if "query" in node and "parseMode" in node:
                yield _Query(line, str(node["query"]), int(node["parseMode"]), dynamic)
                continue
            line = int(node.get("lineno", line))
            for key, child in reversed(node.items()):
                at = int(child.get("lineno", line)) if isinstance(child, dict) else line
                if key in _DYNAMIC_STATEMENTS:
                    waiting.extend((part, at, name == "query") for name, part in child.items())
                else:
                    waiting.append((child, at, key == "dynquery" or (dynamic and key == "PLpgSQL_expr")))


def _parse_static(query: _Query, offset: int) -> Iterator[Statement | DynamicSql]:
    text = query.text
    if query.mode != _STATEMENT:
        value = _ASSIGNMENT_TARGET.sub("", text, count=1) if query.mode in _ASSIGNMENTS else text
        if "(" not in value:
            return  # can't call a function
        text = f"SELECT {value}"
    yield from _parse_text(text, offset)


def _parse_dynamic(expression: str, offset: int) -> Iterator[Statement | DynamicSql]:
    """The statements of `EXECUTE 'a constant'`; otherwise dynamic SQL, and the calls in its expression."""
    constant = expression_from_text(expression).get("A_Const", {}).get("sval", {}).get("sval")
    if constant is not None:
        yield from _parse_text(str(constant), offset)
        return
    yield DynamicSql(expression, offset)
    yield from _parse_static(_Query(0, expression, _EXPRESSION, dynamic=False), offset)


def _parse_text(text: str, offset: int) -> Iterator[Statement | DynamicSql]:
    try:
        found = parse(text)
    except SqlSyntaxError:
        yield DynamicSql(text, offset)
        return
    for statement in found:
        yield Statement(statement.text, offset, statement.tree)


def _line_start(text: str, start: int, line: int) -> int:
    """The offset of the first word on the body's line `line`."""
    at = start
    for _ in range(line - 1):
        after = text.find("\n", at) + 1
        if not after:
            return start
        at = after
    word = _WORD.search(text, at)
    return word.start() if word else start
