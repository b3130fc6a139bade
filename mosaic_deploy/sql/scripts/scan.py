"""Finds line comments, psql's meta-commands and the rows of COPY … FROM stdin, as psql reads a file.

What looks like one of them inside a string, a quoted name, a dollar quote or a block comment isn't one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mosaic_deploy.sql.parse import SqlSyntaxError, Statement, parse, shifted
from mosaic_deploy.sql.pg_parser.quotes import PLAIN_DOLLAR, PLAIN_STRING, after_quote
from mosaic_deploy.sql.pg_parser.trivia import after_block_comment, repeated_end, skip_trivia


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` up to, not including, `end`, in characters."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class CopyRows:
    """The rows that follow a COPY … FROM stdin. `end` is where the line `\\.` starts, `after` where SQL continues.

    `rest`: where SQL is on the statement's own line, behind it. psql runs it after the rows.
    """

    statement: Statement
    start: int
    end: int
    after: int
    rest: int | None = None


@dataclass(slots=True)
class Scan:
    comments: list[Span] = field(default_factory=list)
    """Line comments, from `--` to the line's end."""
    blocks: list[Span] = field(default_factory=list)
    """Block comments."""
    commands: list[Span] = field(default_factory=list)
    """Meta-commands, from the backslash to the line's end."""
    copies: list[CopyRows] = field(default_factory=list)
    unterminated: int | None = None
    """Where a quote or a block comment starts that has no end. Nothing after it is scanned."""


_PLAIN = re.compile(
    rf"""(?:
      [^'"$/\-\\;]+
    | {PLAIN_STRING}
    | "[^"]*"
    | -(?!-)
    | /(?!\*)
    | {PLAIN_DOLLAR}
    ){{1,1000}}""",
    re.VERBOSE | re.DOTALL,
)
"""Text without a comment, a semicolon, a meta-command, a dollar quote or a string with escapes, or the beginning of it:
see `repeated_end`."""
_COMMENT_END = re.compile(r"[\n\r]|\Z")
_LINE_END = re.compile(r"\r?\n|\Z")
_ROWS_END = re.compile(r"^\\\.(?=\r?$)", re.MULTILINE)
_COPY = re.compile(r"copy\b", re.IGNORECASE)
_STDIN = re.compile(r"\b(?:stdin|stdout)\b", re.IGNORECASE)


def scan(text: str) -> Scan:
    found = Scan()
    at = statement = 0
    while (at := repeated_end(_PLAIN, text, at)) < len(text):
        sign = text[at]
        if sign == "-":
            end = _COMMENT_END.search(text, at).start()  # type: ignore[union-attr]
            found.comments.append(Span(at, end))
            at = end
        elif sign == "/":
            end = after_block_comment(text, at)
            if end is None:
                found.unterminated = at
                break
            found.blocks.append(Span(at, end))
            at = end
        elif sign == "\\":
            end = _line_end(text, at)
            found.commands.append(Span(at, end))
            if skip_trivia(text, statement) == at:
                statement = end
            at = end
        elif sign == ";":
            at += 1
            if copy := _copy_rows(text, statement, at):
                found.copies.append(copy)
                at = copy.after
            statement = at
        else:
            end = after_quote(text, at)
            if end is None:
                found.unterminated = at
                break
            at = end
    return found


def _line_end(text: str, at: int) -> int:
    return _LINE_END.search(text, at).start()  # type: ignore[union-attr]


def _copy_rows(text: str, start: int, end: int) -> CopyRows | None:
    """The rows after the statement that ends at `end`; None if it isn't a COPY … FROM stdin."""
    first = skip_trivia(text, start)
    if not _COPY.match(text, first) or not _STDIN.search(text, first, end):
        return None
    try:
        [statement] = parse(text[start:end])
    except (SqlSyntaxError, ValueError):
        return None
    if not is_copy_from_stdin(statement):
        return None
    line_end = _LINE_END.search(text, end)
    assert line_end
    # psql reads the rows from the next line on.
    rows, behind = line_end.end(), skip_trivia(text, end)
    rest = behind if behind < line_end.start() else None
    ended = _ROWS_END.search(text, rows)
    if ended is None:
        return CopyRows(shifted(statement, start), rows, len(text), len(text), rest)
    return CopyRows(shifted(statement, start), rows, ended.start(), _line_end(text, ended.start()), rest)


def is_copy_from_stdin(statement: Statement) -> bool:
    """Whether the statement reads rows from the client."""
    if statement.kind != "CopyStmt":
        return False
    return bool(statement.node.get("is_from")) and not statement.node.get("filename")
