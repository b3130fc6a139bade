"""The SQL inside PL/pgSQL blocks: libpg_query's PL/pgSQL parser finds it, the SQL parser reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mosaic_deploy.sql.hazards.syntax.names import UNKNOWN_NAME, list_name, quote_if_needed, string_values
from mosaic_deploy.sql.hazards.syntax.plpgsql_variables import variable_texts
from mosaic_deploy.sql.parse import SqlSyntaxError, Statement, Tree, parse
from mosaic_deploy.sql.quote import identifier, literal

_WORD = re.compile(r"\S")
_ASSIGNMENT_TARGET = re.compile(r"^.*?:?=", re.DOTALL)
_STATEMENT, _ASSIGNMENTS = 0, (3, 4, 5)
"""PL/pgSQL's parse modes for a query: a statement, or an assignment of one of three forms; others are expressions."""
_DYNAMIC_STATEMENTS = frozenset({"PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors"})


@dataclass(frozen=True, slots=True)
class DynamicSql:
    """SQL assembled at run time. `text` is the expression; `offset` is its position in the file."""

    text: str
    offset: int


class _Query(NamedTuple):
    """A query in a block: `line` counts in the body; `dynamic` means an expression whose value is run as SQL."""

    line: int
    text: str
    mode: int
    dynamic: bool


def block_statements(statement: Statement, body: str) -> Iterator[Statement | DynamicSql]:
    """The statements in all branches of a DO block or function, and dynamic SQL that can't be resolved.

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
    texts = variable_texts(root, resolve_dynamic_sql)
    for query in _block_queries(root):
        offset = statement.offset + _line_start(statement.text, start, query.line)
        yield from (
            _parse_dynamic(query.text, texts, offset) if query.dynamic else _parse_static(query, offset)
        )


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


def _parse_dynamic(
    expression: str, texts: Sequence[Mapping[str, str]], offset: int
) -> Iterator[Statement | DynamicSql]:
    """Dynamic SQL, parsed if it consists of constants and quoted parts; and the calls in its expression.

    `texts` are the combinations of texts that the block's variables may have.
    """
    for text in dict.fromkeys(resolve_dynamic_sql(expression, each) for each in texts):
        yield from [DynamicSql(expression, offset)] if text is None else _parse_text(text, offset, expression)
    yield from _parse_static(_Query(0, expression, 2, False), offset)


def _parse_text(text: str, offset: int, expression: str = "") -> Iterator[Statement | DynamicSql]:
    try:
        found = parse(text)
    except SqlSyntaxError:
        yield DynamicSql(expression or text, offset)
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


_SPECIFIER = re.compile(r"%(?:(\d+)\$)?-?\d*([sIL%])|%")
_QUOTING_FUNCTIONS = {
    "quote_ident": identifier(UNKNOWN_NAME),
    "quote_literal": literal(UNKNOWN_NAME),
    "quote_nullable": literal(UNKNOWN_NAME),
}


def resolve_dynamic_sql(expression: str, texts: Mapping[str, str]) -> str | None:
    """The SQL that the expression evaluates to, with UNKNOWN_NAME for names and literals computed at run time.

    None if a part could be anything. `texts` are the texts of variables.
    """
    try:
        [statement] = parse(f"SELECT {expression}")
        return _resolve(statement.node["targetList"][0]["ResTarget"]["val"], texts)
    except (SqlSyntaxError, ValueError, KeyError, IndexError, RecursionError):
        return None


def _resolve(node: Tree, texts: Mapping[str, str]) -> str | None:
    kind, fields = next(iter(node.items()))
    if kind == "A_Const":
        return _constant_text(fields)
    if kind == "TypeCast" and string_values(fields["typeName"]["names"])[-1] in ("text", "varchar"):
        return _resolve(fields["arg"], texts)
    if kind == "A_Expr" and string_values(fields["name"]) == ["||"]:
        left, right = _resolve(fields["lexpr"], texts), _resolve(fields["rexpr"], texts)
        return None if left is None or right is None else left + right
    if kind == "ColumnRef":
        return texts.get(".".join(string_values(fields["fields"])))
    return _resolve_call(fields, texts) if kind == "FuncCall" else None


def _resolve_call(call: Tree, texts: Mapping[str, str]) -> str | None:
    name = list_name(call["funcname"])
    if name.schema not in (None, "pg_catalog"):
        return None
    if name.name == "format":
        return _resolve_format(call["args"], texts)
    [argument] = call["args"]
    known = _constant_text(argument.get("A_Const", {}))
    if name.name in _QUOTING_FUNCTIONS and known is not None:
        return quote_if_needed(known) if name.name == "quote_ident" else literal(known)
    return _QUOTING_FUNCTIONS.get(name.name)


def _resolve_format(arguments: list[Tree], texts: Mapping[str, str]) -> str | None:
    pattern = _resolve(arguments[0], texts)
    if pattern is None:
        return None
    at, end, parts = 0, 0, []
    for found in _SPECIFIER.finditer(pattern):
        parts.append(pattern[end : found.start()])
        end = found.end()
        kind = found.group(2)
        if kind == "%":
            parts.append("%")
            continue
        at = int(found.group(1)) if found.group(1) else at + 1
        if kind is None or at >= len(arguments):
            return None
        part = _resolve_format_argument(kind, arguments[at], texts)
        if part is None:
            return None
        parts.append(part)
    return "".join((*parts, pattern[end:]))


def _resolve_format_argument(kind: str, argument: Tree, texts: Mapping[str, str]) -> str | None:
    if kind == "s":
        return _resolve(argument, texts)
    known = _constant_text(argument.get("A_Const", {}))
    return identifier(known or UNKNOWN_NAME) if kind == "I" else literal(known or UNKNOWN_NAME)


def _constant_text(fields: Any) -> str | None:
    if "sval" in fields:
        return str(fields["sval"].get("sval", ""))
    return str(fields["ival"].get("ival", 0)) if "ival" in fields else None
