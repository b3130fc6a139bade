"""What only psql understands, recognised where the parser stumbles over it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mosaic_deploy.sql.parse import Statement, SyntaxProblem, parse

COPY_FROM_STDIN = "COPY … FROM stdin needs psql; write the rows as INSERT … VALUES instead"


@dataclass(frozen=True, slots=True)
class Mistake:
    """`offset` is where it begins, in characters from 0."""

    message: str
    offset: int
    hint: str | None = None


_COMMAND = re.compile(r"\\([a-zA-Z]+|[!?;.])")
_VARIABLE = re.compile(r""":(?:'[^']*'|"[^"]*"|\{\?\w+\}|\w+)""")
_ROWS_END = re.compile(r"^\\\.\r?$", re.MULTILINE)
_FROM_STDIN = re.compile(r"\bfrom\s+(?:stdin|stdout)\b", re.IGNORECASE)

_REMOVE = "remove the line"
_ANYTHING = "remove the line, or write what it does as SQL"
_VALUES = "write the values themselves: psql's variables aren't known here"
_DUMPED = "pg_dump writes it for psql: remove the lines that begin with \\restrict and \\unrestrict"
_INCLUDED = "put that file's SQL here, or make it a migration of its own"
_HINTS = {
    **dict.fromkeys(("c", "connect"), "a project is one database, and it is chosen by the deploy: remove the line"),
    **dict.fromkeys(("i", "ir", "include"), _INCLUDED),
    **dict.fromkeys(("restrict", "unrestrict"), _DUMPED),
    **dict.fromkeys(("set", "unset", "gset", "prompt", "getenv", "bind"), _VALUES),
    **dict.fromkeys(("if", "elif", "else", "endif"), "decide in SQL, with IF inside a DO block"),
    **dict.fromkeys(("gexec",), "EXECUTE the statements in a DO block that loops over the query"),
    **dict.fromkeys(("g", "gx", "gdesc", "crosstabview", "watch"), "end the statement with a semicolon"),
    **dict.fromkeys(("copy",), "write the rows as INSERT … VALUES instead"),
    **dict.fromkeys(("encoding",), "save the file as UTF-8 and remove the line"),
    **dict.fromkeys(("echo", "qecho", "warn", "timing", "pset", "q", "quit", "x", "a", "t", "o", "p"), _REMOVE),
    **dict.fromkeys((".",), "it ends the rows of a COPY … FROM stdin: write them as INSERT … VALUES instead"),
}  # fmt: skip


def psql_mistake(sql: str, offset: int) -> Mistake | None:
    """What of psql's own stands where the parser's error at `offset` is; None where nothing does."""
    if copy := _copy_before(sql, offset):
        return copy
    if command := _COMMAND.match(sql, offset):
        hint = _HINTS.get(command.group(1), _ANYTHING)
        return Mistake("psql's own commands can't be run by the API", offset, hint)
    if _VARIABLE.match(sql, offset):
        return Mistake("psql's variables can't be filled in by the API", offset, "write the value itself")
    return None


def _copy_before(sql: str, offset: int) -> Mistake | None:
    """The COPY … FROM stdin whose rows the parser took for statements.

    It is the last statement before the error, or the error is among rows that `\\.` ends.
    """
    words = list(_FROM_STDIN.finditer(sql, 0, offset))
    if not words or sql.find(";", words[-1].end(), offset) < 0:
        return None
    for end in (offset, sql.rfind(";", 0, offset) + 1):
        try:
            before = parse(sql[:end])
        except SyntaxProblem:
            continue  # the error is in the middle of something that the parser took for a statement
        copies = [statement for statement in before if copies_from_stdin(statement)]
        if copies and (copies[-1] is before[-1] or _within_rows(sql, copies[-1], offset)):
            return Mistake(COPY_FROM_STDIN, copies[-1].offset)
        return None
    return None


def _within_rows(sql: str, copy: Statement, offset: int) -> bool:
    end = _ROWS_END.search(sql, copy.offset + len(copy.text))
    return end is not None and offset <= end.start()


def copies_from_stdin(statement: Statement) -> bool:
    """Whether the statement's rows would come from the client, which only a connection of its own can send."""
    if statement.kind != "CopyStmt":
        return False
    return bool(statement.node.get("is_from")) and not statement.node.get("filename")
