"""Places errors in the bodies of functions and DO blocks: PostgreSQL's error context, and PL/pgSQL's syntax errors.

PostgreSQL counts lines from the start of the body's text: the rest of the line after `$$` is line 1 (tested on
PostgreSQL 18).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mosaic_deploy.sql.locate import locate_error
from mosaic_deploy.sql.parse import Statement, Tree

if TYPE_CHECKING:
    from mosaic_deploy.sql.pg_parser.libpg_query import ParserError

_PLPGSQL = re.compile(r"PL/pgSQL function (?P<name>.+) line (?P<line>\d+) (?:at|during) (?P<what>.+)")
_SQL_FUNCTION = re.compile(r'SQL function "(?P<name>.+)" (?:statement (?P<number>\d+)|during \w+)')
DO_BLOCK = "inline_code_block"
"""What PostgreSQL calls the function of a DO block."""
_DOLLAR_QUOTED = re.compile(r"\$(?P<tag>[^\W\d]?\w*)\$(?P<body>.*?)\$(?P=tag)\$", re.DOTALL)
_QUOTED = re.compile(r"(?<![eE&])'(?P<body>(?:[^']|'')*)'")
_NEAR = re.compile(r'^syntax error at or near "(.*)"$', re.DOTALL)
_MAX_TRIES = 20
_INDENT = re.compile(r"\s*")


@dataclass(frozen=True, slots=True)
class Frame:
    """One call in an error's context: in `function` (as PostgreSQL prints it), at `line` of its body, if it has one."""

    function: str
    line: int | None
    text: str
    """PostgreSQL's own line."""


@dataclass(frozen=True, slots=True)
class CallStack:
    """Where an error happened. `offset` is in characters in the file; None if no body of the file is involved."""

    offset: int | None
    calls: tuple[str, ...]
    """The calls that led there, innermost first, as PostgreSQL describes them."""


def parse_context(context: str) -> list[Frame]:
    """The frames of an error's context, innermost first. Other lines, such as quoted SQL, are left out."""
    frames = []
    for line in context.splitlines():
        if match := _PLPGSQL.fullmatch(line):
            frames.append(Frame(match["name"], int(match["line"]), line))
        elif match := _SQL_FUNCTION.fullmatch(line):
            frames.append(Frame(match["name"], None, line))
    return frames


def locate_calls(
    statements: Sequence[Statement], failed: int, frames: Sequence[Frame], message: str
) -> CallStack:
    """The place in the file of an error in a body.

    `statements` are the file's, `failed` is the index of the one that failed, `frames` are its own, innermost first.
    The place is in the innermost body that the file has: of the failed DO block, or of a function created before it.
    """
    calls = tuple(frame.text for frame in frames)
    for number, frame in enumerate(frames):
        if frame.line is None:
            continue
        outermost = not any(other.function == DO_BLOCK for other in frames[number + 1 :])
        source = _source_of(statements, failed, frame, is_failed_block=outermost)
        if source and (offset := _line_offset(source, frame.line, message)) is not None:
            return CallStack(source.offset + offset, calls)
    return CallStack(None, calls)


def _source_of(
    statements: Sequence[Statement], failed: int, frame: Frame, *, is_failed_block: bool
) -> Statement | None:
    """The statement that has the frame's body; None if the file has none, or several that may be meant."""
    if frame.function == DO_BLOCK:
        block = statements[failed]
        return block if block.kind == "DoStmt" and is_failed_block else None
    name, _, arguments = frame.function.partition("(")
    created = [one for one in statements[:failed] if _creates(one, name, arguments.removesuffix(")"))]
    signatures = {str(_without_locations(one.node.get("parameters", []))) for one in created}
    return created[-1] if len(signatures) == 1 else None


def _creates(statement: Statement, name: str, arguments: str) -> bool:
    if statement.kind != "CreateFunctionStmt":
        return False
    parts = [_quoted(part["String"]["sval"]) for part in statement.node["funcname"]]
    if name not in (parts[-1], ".".join(parts)):
        return False
    inputs = [one for one in statement.node.get("parameters", []) if _is_input(one["FunctionParameter"])]
    return len(inputs) == (arguments.count(",") + 1 if arguments else 0)


def _is_input(parameter: Tree) -> bool:
    return parameter.get("mode") not in ("FUNC_PARAM_OUT", "FUNC_PARAM_TABLE")


def _quoted(name: str) -> str:
    plain = re.fullmatch(r"[a-z_][a-z0-9_$]*", name)
    return name if plain else '"' + name.replace('"', '""') + '"'


def _without_locations(item: object) -> object:
    if isinstance(item, dict):
        return {name: _without_locations(value) for name, value in item.items() if name != "location"}
    return [_without_locations(value) for value in item] if isinstance(item, list) else item


def _line_offset(statement: Statement, line: int, message: str) -> int | None:
    """The offset in the statement of line `line` of its body, or of what `message` names in it."""
    start = _body_start(statement)
    if start is None:
        return None
    for _ in range(line - 1):
        start = statement.text.find("\n", start) + 1
        if start == 0:
            return None
    indent = _INDENT.match(statement.text, start)
    assert indent is not None
    begin = indent.end()
    command = statement.text[begin:].partition(";")[0]
    return begin + locate_error(command, message)


def locate_in_sql_body(statement: Statement, message: str) -> int:
    """The offset of what `message` is about in the body of a `LANGUAGE sql` function, which PostgreSQL checks when it is
    created; 0 if unclear."""
    start = _body_start(statement) if statement.kind == "CreateFunctionStmt" else None
    if start is None or _language(statement) != "sql":
        return 0
    body = next(_bodies(statement.node))
    found = locate_error(body, message)
    doubled = body[:found].count("'") if statement.text[start - 1] == "'" else 0
    return start + found + doubled if found else 0


def body_syntax_error(statement: Statement) -> tuple[str, int] | None:
    """The message and offset of a syntax error in a PL/pgSQL body; None without one.

    The parser has no tables and types to look up, so what it says about names doesn't count.
    """
    if statement.kind not in ("DoStmt", "CreateFunctionStmt") or _language(statement) != "plpgsql":
        return None
    error = _body_error(statement.text)
    if error is None or not error.message.startswith("syntax error at"):
        return None
    if error.message.endswith("end of input") and (start := _body_start(statement)) is not None:
        return error.message, start + len(next(_bodies(statement.node)))
    return error.message, locate_error(statement.text, error.message) or _error_word(statement, error)


def _body_error(text: str) -> ParserError | None:
    from mosaic_deploy.sql.pg_parser.libpg_query import ParserError, parse_plpgsql  # loads a C library

    try:
        parse_plpgsql(text)
    except RecursionError:
        return None
    except ParserError as error:
        return error
    return None


def _error_word(statement: Statement, error: ParserError) -> int:
    """The offset of the word that is near a syntax error, or of the line that the parser was at; 0 without a body.

    If the word is there several times: the parser stops at its first error, so replacing a later one changes nothing.
    """
    start = _line_offset(statement, error.body_line or 1, "")
    near = _NEAR.search(error.message)
    if start is None or near is None:
        return start or 0
    word, text = re.escape(near.group(1)), statement.text
    found = [one.span() for one in re.finditer(rf"(?<!\w){word}(?!\w)", text[start:])][:_MAX_TRIES]
    for first, end in reversed(found):
        other = _body_error(f"{text[: start + first]} zz9 {text[start + end :]}")
        if other is None or other.message != error.message:
            return start + first
    return start


def _language(statement: Statement) -> str:
    items = (*statement.node.get("options", []), *statement.node.get("args", []))
    elements = (item.get("DefElem", {}) for item in items)
    named = (one["arg"]["String"]["sval"] for one in elements if one.get("defname") == "language")
    return str(next(named, "plpgsql" if statement.kind == "DoStmt" else "sql")).lower()


def _body_start(statement: Statement) -> int | None:
    """Where the text of the body begins, for a body whose lines are lines of the file."""
    body = next(_bodies(statement.node), None)
    if body is None:
        return None
    quoted = body.replace("'", "''")
    starts = [
        found.start("body") for found in _DOLLAR_QUOTED.finditer(statement.text) if found["body"] == body
    ]
    starts += [found.start("body") for found in _QUOTED.finditer(statement.text) if found["body"] == quoted]
    return starts[0] if len(starts) == 1 else None


def _bodies(node: Tree) -> Iterator[str]:
    for item in (*node.get("options", []), *node.get("args", [])):
        element = item.get("DefElem", {})
        if element.get("defname") == "as":
            argument = element["arg"]
            texts = argument["List"]["items"] if "List" in argument else [argument]
            yield str(texts[0].get("String", {}).get("sval", ""))
