"""Recognizes psql syntax (meta-commands, variables, COPY data) where the SQL parser rejects it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mosaic_deploy.sql.parse import SqlSyntaxError, Statement, parse

COPY_FROM_STDIN = "COPY … FROM stdin needs psql; use INSERT … VALUES instead"


@dataclass(frozen=True, slots=True)
class PsqlMistake:
    """`offset` is its position in characters from 0."""

    message: str
    offset: int
    hint: str | None = None


_COMMAND = re.compile(r"\\([a-zA-Z]+|[!?;.])")
_VARIABLE = re.compile(r""":(?:'[^']*'|"[^"]*"|\{\?\w+\}|\w+)""")
_COPY_END = re.compile(r"^\\\.\r?$", re.MULTILINE)
_FROM_STDIN = re.compile(r"\bfrom\s+(?:stdin|stdout)\b", re.IGNORECASE)

_REMOVE_HINT = "remove the line"
_DEFAULT_HINT = "remove the line, or write it as SQL"
_VARIABLE_HINT = "write the values directly; psql variables aren't supported"
_PG_DUMP_HINT = "remove the lines starting with \\restrict and \\unrestrict, which pg_dump adds for psql"
_INCLUDE_HINT = "copy that file's SQL here, or make it a separate migration"
_HINTS = {
    **dict.fromkeys(("c", "connect"), "remove the line; the deploy chooses the database"),
    **dict.fromkeys(("i", "ir", "include"), _INCLUDE_HINT),
    **dict.fromkeys(("restrict", "unrestrict"), _PG_DUMP_HINT),
    **dict.fromkeys(("set", "unset", "gset", "prompt", "getenv", "bind"), _VARIABLE_HINT),
    **dict.fromkeys(("if", "elif", "else", "endif"), "use IF inside a DO block"),
    **dict.fromkeys(("gexec",), "loop over the query in a DO block and EXECUTE its rows"),
    **dict.fromkeys(("g", "gx", "gdesc", "crosstabview", "watch"), "end the statement with a semicolon"),
    **dict.fromkeys(("copy",), "use INSERT … VALUES instead"),
    **dict.fromkeys(("encoding",), "save the file as UTF-8 and remove the line"),
    **dict.fromkeys(("echo", "qecho", "warn", "timing", "pset", "q", "quit", "x", "a", "t", "o", "p"), _REMOVE_HINT),
    **dict.fromkeys((".",), "it ends the rows of a COPY … FROM stdin; use INSERT … VALUES instead"),
}  # fmt: skip


def find_psql_mistake(sql: str, offset: int) -> PsqlMistake | None:
    """The psql syntax that causes the parser's error at `offset`; None if it isn't psql syntax."""
    if copy := _find_copy_before(sql, offset):
        return copy
    if command := _COMMAND.match(sql, offset):
        hint = _HINTS.get(command.group(1), _DEFAULT_HINT)
        return PsqlMistake("psql meta-commands aren't SQL and can't run through the API", offset, hint)
    if _VARIABLE.match(sql, offset):
        return PsqlMistake("psql variables can't be used through the API", offset, "write the value directly")
    return None


def _find_copy_before(sql: str, offset: int) -> PsqlMistake | None:
    """The COPY … FROM stdin whose data rows the parser read as statements.

    It is the last statement before the error, or the error is in data ended by `\\.`.
    """
    words = list(_FROM_STDIN.finditer(sql, 0, offset))
    if not words or sql.find(";", words[-1].end(), offset) < 0:
        return None
    for end in (offset, sql.rfind(";", 0, offset) + 1):
        try:
            before = parse(sql[:end])
        except SqlSyntaxError:
            continue  # the error is inside what the parser took for a statement
        copies = [statement for statement in before if is_copy_from_stdin(statement)]
        if copies and (copies[-1] is before[-1] or _is_within_copy_rows(sql, copies[-1], offset)):
            return PsqlMistake(COPY_FROM_STDIN, copies[-1].offset)
        return None
    return None


def _is_within_copy_rows(sql: str, copy: Statement, offset: int) -> bool:
    end = _COPY_END.search(sql, copy.offset + len(copy.text))
    return end is not None and offset <= end.start()


def is_copy_from_stdin(statement: Statement) -> bool:
    """Whether the statement reads rows from the client, which needs a direct connection."""
    if statement.kind != "CopyStmt":
        return False
    return bool(statement.node.get("is_from")) and not statement.node.get("filename")
