"""What only psql understands, recognised where the parser stumbles over it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mosaic_deploy.sql.parse import SqlSyntaxError, Statement, parse

COPY_FROM_STDIN = "COPY … FROM stdin needs psql; write the rows as INSERT … VALUES instead"


@dataclass(frozen=True, slots=True)
class PsqlMistake:
    """`offset` is where it begins, in characters from 0."""

    message: str
    offset: int
    hint: str | None = None


_COMMAND = re.compile(r"\\([a-zA-Z]+|[!?;.])")
_VARIABLE = re.compile(r""":(?:'[^']*'|"[^"]*"|\{\?\w+\}|\w+)""")
_COPY_END = re.compile(r"^\\\.\r?$", re.MULTILINE)
_FROM_STDIN = re.compile(r"\bfrom\s+(?:stdin|stdout)\b", re.IGNORECASE)

_REMOVE_HINT = "remove the line"
_DEFAULT_HINT = "remove the line, or write what it does as SQL"
_VARIABLE_HINT = "write the values themselves: psql's variables aren't known here"
_PG_DUMP_HINT = "pg_dump writes it for psql: remove the lines that begin with \\restrict and \\unrestrict"
_INCLUDE_HINT = "put that file's SQL here, or make it a migration of its own"
_HINTS = {
    **dict.fromkeys(("c", "connect"), "a project is one database, and it is chosen by the deploy: remove the line"),
    **dict.fromkeys(("i", "ir", "include"), _INCLUDE_HINT),
    **dict.fromkeys(("restrict", "unrestrict"), _PG_DUMP_HINT),
    **dict.fromkeys(("set", "unset", "gset", "prompt", "getenv", "bind"), _VARIABLE_HINT),
    **dict.fromkeys(("if", "elif", "else", "endif"), "decide in SQL, with IF inside a DO block"),
    **dict.fromkeys(("gexec",), "EXECUTE the statements in a DO block that loops over the query"),
    **dict.fromkeys(("g", "gx", "gdesc", "crosstabview", "watch"), "end the statement with a semicolon"),
    **dict.fromkeys(("copy",), "write the rows as INSERT … VALUES instead"),
    **dict.fromkeys(("encoding",), "save the file as UTF-8 and remove the line"),
    **dict.fromkeys(("echo", "qecho", "warn", "timing", "pset", "q", "quit", "x", "a", "t", "o", "p"), _REMOVE_HINT),
    **dict.fromkeys((".",), "it ends the rows of a COPY … FROM stdin: write them as INSERT … VALUES instead"),
}  # fmt: skip


def find_psql_mistake(sql: str, offset: int) -> PsqlMistake | None:
    """What of psql's own stands where the parser's error at `offset` is; None where nothing does."""
    if copy := _find_copy_before(sql, offset):
        return copy
    if command := _COMMAND.match(sql, offset):
        hint = _HINTS.get(command.group(1), _DEFAULT_HINT)
        return PsqlMistake("psql's own commands can't be run by the API", offset, hint)
    if _VARIABLE.match(sql, offset):
        return PsqlMistake("psql's variables can't be filled in by the API", offset, "write the value itself")
    return None


def _find_copy_before(sql: str, offset: int) -> PsqlMistake | None:
    """The COPY … FROM stdin whose rows the parser took for statements.

    It is the last statement before the error, or the error is among rows that `\\.` ends.
    """
    words = list(_FROM_STDIN.finditer(sql, 0, offset))
    if not words or sql.find(";", words[-1].end(), offset) < 0:
        return None
    for end in (offset, sql.rfind(";", 0, offset) + 1):
        try:
            before = parse(sql[:end])
        except SqlSyntaxError:
            continue  # the error is in the middle of something that the parser took for a statement
        copies = [statement for statement in before if is_copy_from_stdin(statement)]
        if copies and (copies[-1] is before[-1] or _is_within_copy_rows(sql, copies[-1], offset)):
            return PsqlMistake(COPY_FROM_STDIN, copies[-1].offset)
        return None
    return None


def _is_within_copy_rows(sql: str, copy: Statement, offset: int) -> bool:
    end = _COPY_END.search(sql, copy.offset + len(copy.text))
    return end is not None and offset <= end.start()


def is_copy_from_stdin(statement: Statement) -> bool:
    """Whether the statement's rows would come from the client, which only a connection of its own can send."""
    if statement.kind != "CopyStmt":
        return False
    return bool(statement.node.get("is_from")) and not statement.node.get("filename")
