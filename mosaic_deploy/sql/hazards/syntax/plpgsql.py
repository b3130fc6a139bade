"""What PL/pgSQL runs: its own parser finds the statements of a block, and PostgreSQL's reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from mosaic_deploy.sql.hazards.syntax.names import UNKNOWN, of_items, shown, strings
from mosaic_deploy.sql.parse import Statement, SyntaxProblem, Tree, parse
from mosaic_deploy.sql.quote import identifier, literal

_WORD = re.compile(r"\S")
_ASSIGNED = re.compile(r"^.*?:?=", re.DOTALL)
_STATEMENT, _ASSIGNMENTS = 0, (3, 4, 5)
"""How PL/pgSQL's parser reads a text: as a statement, as an assignment of one of three forms; else an expression."""
_RUN_AS_TEXT = frozenset({"PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors"})


@dataclass(frozen=True, slots=True)
class Dynamic:
    """SQL that is put together as it runs. `text` is what can be seen of it; `offset` is in the file."""

    text: str
    offset: int


class _Query(NamedTuple):
    """A text in a block: `line` in the body; `dynamic` where it is an expression whose value is run as SQL."""

    line: int
    text: str
    mode: int
    dynamic: bool


def block(statement: Statement, body: str) -> Iterator[Statement | Dynamic]:
    """The statements inside a DO block or a function, in any branch of it, and the SQL that can't be read beforehand.

    Expressions that may call a function come as a SELECT. The offsets are of the line in the file where they
    begin; the trees' own locations mean nothing there.
    """
    from mosaic_deploy.sql.libpg_query import ParserRefused, parse_plpgsql  # loads a C library

    start = max(0, statement.text.find(body))
    try:
        root: Any = parse_plpgsql(statement.text)
    except (ParserRefused, RecursionError):
        root = None
    if "PLpgSQL_stmt_block" not in str(root):  # another language, or nothing that can be read
        yield Dynamic(body, statement.offset + _line_start(statement.text, start, 1))
        return
    types = dict(_declared(root))
    for query in _queries(root):
        offset = statement.offset + _line_start(statement.text, start, query.line)
        yield from _dynamic(query.text, types, offset) if query.dynamic else _static(query, offset)


def _declared(root: Any) -> Iterator[tuple[str, str]]:
    """The scalar variables with their types. A name that is declared twice has the type of no one of them."""
    found: dict[str, set[str]] = {}
    for part in root:
        for datum in part.get("PLpgSQL_function", {}).get("datums", []):
            one = datum.get("PLpgSQL_var", {})
            kind = one.get("datatype", {}).get("PLpgSQL_type", {}).get("typname", "")
            found.setdefault(str(one.get("refname")), set()).add(str(kind))
    yield from ((name, kinds.pop()) for name, kinds in found.items() if len(kinds) == 1)


def _queries(root: Any) -> Iterator[_Query]:
    """Every text that the block hands to PostgreSQL, in the order in which it is written."""
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
                if key in _RUN_AS_TEXT:
                    waiting.extend((part, at, name == "query") for name, part in child.items())
                else:
                    waiting.append((child, at, key == "dynquery" or (dynamic and key == "PLpgSQL_expr")))


def _static(query: _Query, offset: int) -> Iterator[Statement | Dynamic]:
    text = query.text
    if query.mode != _STATEMENT:
        value = _ASSIGNED.sub("", text, count=1) if query.mode in _ASSIGNMENTS else text
        if "(" not in value:
            return  # calls nothing
        text = f"SELECT {value}"
    yield from _read(text, offset)


def _dynamic(expression: str, types: Mapping[str, str], offset: int) -> Iterator[Statement | Dynamic]:
    """What is put together of known parts and quoted ones is read; anything else can't be."""
    text = template(expression, types)
    yield from [Dynamic(expression, offset)] if text is None else _read(text, offset, expression)
    yield from _static(_Query(0, expression, 2, False), offset)


def _read(text: str, offset: int, shown: str = "") -> Iterator[Statement | Dynamic]:
    try:
        found = parse(text)
    except SyntaxProblem:
        yield Dynamic(shown or text, offset)
        return
    for statement in found:
        yield Statement(statement.text, offset, statement.tree)


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


_SPECIFIER = re.compile(r"%(?:(\d+)\$)?-?\d*([sIL%])|%")
_SAFE = {
    "int2": "0", "int4": "0", "int8": "0", "oid": "0", "bool": "true",
    "regclass": identifier(UNKNOWN), "regtype": identifier(UNKNOWN), "regnamespace": identifier(UNKNOWN),
}  # fmt: skip
"""Types whose values as text can't be anything else than a number, a word or a quoted name, with such a value."""
_QUOTING = {
    "quote_ident": identifier(UNKNOWN),
    "quote_literal": literal(UNKNOWN),
    "quote_nullable": literal(UNKNOWN),
}


def template(expression: str, types: Mapping[str, str]) -> str | None:
    """The SQL that the expression gives, with UNKNOWN where only a name or a literal can stand.

    None where a part may be anything. `types` are those of the variables.
    """
    try:
        [statement] = parse(f"SELECT {expression}")
        return _text(statement.node["targetList"][0]["ResTarget"]["val"], types)
    except (SyntaxProblem, ValueError, KeyError, IndexError, RecursionError):
        return None


def _text(node: Tree, types: Mapping[str, str]) -> str | None:
    kind, fields = next(iter(node.items()))
    if kind == "A_Const":
        return _constant(fields)
    if kind == "TypeCast" and strings(fields["typeName"]["names"])[-1] in ("text", "varchar"):
        return _text(fields["arg"], types)
    if kind == "A_Expr" and strings(fields["name"]) == ["||"]:
        left, right = _text(fields["lexpr"], types), _text(fields["rexpr"], types)
        return None if left is None or right is None else left + right
    if kind == "ColumnRef":
        return _SAFE.get(types.get(".".join(strings(fields["fields"])), ""))
    return _called(fields, types) if kind == "FuncCall" else None


def _called(call: Tree, types: Mapping[str, str]) -> str | None:
    name = of_items(call["funcname"])
    if name.schema not in (None, "pg_catalog"):
        return None
    if name.name == "format":
        return _format(call["args"], types)
    [argument] = call["args"]
    known = _constant(argument.get("A_Const", {}))
    if name.name in _QUOTING and known is not None:
        return shown(known) if name.name == "quote_ident" else literal(known)
    return _QUOTING.get(name.name)


def _format(arguments: list[Tree], types: Mapping[str, str]) -> str | None:
    pattern = _text(arguments[0], types)
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
        part = _formatted(kind, arguments[at], types)
        if part is None:
            return None
        parts.append(part)
    return "".join((*parts, pattern[end:]))


def _formatted(kind: str, argument: Tree, types: Mapping[str, str]) -> str | None:
    if kind == "s":
        return _text(argument, types)
    known = _constant(argument.get("A_Const", {}))
    return identifier(known or UNKNOWN) if kind == "I" else literal(known or UNKNOWN)


def _constant(fields: Any) -> str | None:
    if "sval" in fields:
        return str(fields["sval"].get("sval", ""))
    return str(fields["ival"].get("ival", 0)) if "ival" in fields else None
