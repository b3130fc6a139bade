"""What a DO block runs: PL/pgSQL's own parser finds its statements, and PostgreSQL's reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mosaic_deploy.sql.parse import Statement, SyntaxProblem, Tree, parse

_WORD = re.compile(r"\S")


@dataclass(frozen=True, slots=True)
class Dynamic:
    """SQL that is put together as it runs. `text` is what can be seen of it; `offset` is in the file."""

    text: str
    offset: int


def do_body(statement: Statement) -> Iterator[Statement | Dynamic]:
    """The statements inside a DO block, in any branch of it, and the SQL that can't be read beforehand.

    Their offsets are of the line in the file where they begin; their trees' own locations mean nothing there.
    """
    body = _body(statement.node)
    start = max(0, statement.text.find(body))
    for line, text, is_expression in _queries(statement, body):
        offset = statement.offset + _line_start(statement.text, start, line)
        yield from _dynamic(text, offset) if is_expression else _static(text, offset)


def _body(node: Tree) -> str:
    options = [item.get("DefElem", {}) for item in node.get("args", [])]
    named = {option.get("defname"): option.get("arg", {}).get("String", {}) for option in options}
    return str(named.get("as", {}).get("sval", ""))


def _queries(statement: Statement, body: str) -> Iterator[tuple[int, str, bool]]:
    """(line in the body, text, whether it is an expression that gives the SQL) of what the block runs."""
    from mosaic_deploy.sql.libpg_query import ParserRefused, parse_plpgsql  # loads a C library

    try:
        root: Any = parse_plpgsql(statement.text)
    except (ParserRefused, RecursionError):
        yield 1, body, True
        return
    if "PLpgSQL_stmt_block" not in str(root):
        yield 1, body, True  # another language
        return
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield from _query(node)
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        waiting.extend(reversed(list(children)))


def _query(node: Tree) -> Iterator[tuple[int, str, bool]]:
    for kind, field in (
        ("PLpgSQL_stmt_execsql", "sqlstmt"),
        ("PLpgSQL_stmt_dynexecute", "query"),
        ("PLpgSQL_stmt_dynfors", "query"),
    ):
        if kind in node:
            text = node[kind].get(field, {}).get("PLpgSQL_expr", {}).get("query", "")
            yield int(node[kind].get("lineno", 1)), str(text), field == "query"


def _static(text: str, offset: int) -> Iterator[Statement | Dynamic]:
    try:
        found = parse(text)
    except SyntaxProblem:
        yield Dynamic(text, offset)
        return
    for statement in found:
        yield Statement(statement.text, offset, statement.tree)


def _dynamic(expression: str, offset: int) -> Iterator[Statement | Dynamic]:
    """A text that stands there as a whole is read; one that is put together can't be."""
    try:
        [statement] = parse(f"SELECT {expression}")
        constant = statement.node["targetList"][0]["ResTarget"]["val"]["A_Const"]["sval"]["sval"]
    except (SyntaxProblem, ValueError, KeyError, IndexError):
        yield Dynamic(expression, offset)
        return
    yield from _static(str(constant), offset)


def _line_start(text: str, start: int, line: int) -> int:
    """Where the first word of the body's `line` stands."""
    at = start
    for _ in range(line - 1):
        after = text.find("\n", at) + 1
        if not after:
            return start
        at = after
    word = _WORD.search(text, at)
    return word.start() if word else start
