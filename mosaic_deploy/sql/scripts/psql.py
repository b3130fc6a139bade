"""psql's scripts: SQL with meta-commands and COPY rows between it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mosaic_deploy.sql.scripts.mistakes import Mistake
from mosaic_deploy.sql.scripts.scan import CopyRows, Scan, Span, scan


@dataclass(frozen=True, slots=True)
class PsqlScript:
    """`parts` are the texts between the COPY rows with their offsets, meta-commands replaced by spaces.

    COPY statement number n is the last one of part n. `mistakes` are about the commands that can't be left out.
    """

    parts: tuple[tuple[str, int], ...]
    copies: tuple[CopyRows, ...] = ()
    mistakes: tuple[Mistake, ...] = ()


_COMMAND = re.compile(r"\\([a-zA-Z]+|[!?;.])")
_VARIABLE = re.compile(r""":(?:'[^']*'|"[^"]*"|\{\?\w+\}|\w+)""")
_LOOKS_LIKE_PSQL = re.compile(r"\\[a-zA-Z!?;.]|\b(?:stdin|stdout)\b", re.IGNORECASE)
_MESSAGE = "psql meta-commands aren't SQL and can't run through the API"

_REMOVE_HINT = "remove the line"
_DEFAULT_HINT = "remove the line, or write it as SQL"
_VARIABLE_HINT = "write the values directly; psql variables aren't supported"
_INCLUDE_HINT = "copy that file's SQL here, or make it a separate migration"
_CONNECT_HINT = "remove the line; the deploy chooses the database (pg_dump writes it with --create)"
_HINTS = {
    **dict.fromkeys(("c", "connect"), _CONNECT_HINT),
    **dict.fromkeys(("i", "ir", "include"), _INCLUDE_HINT),
    **dict.fromkeys(("set", "unset", "gset", "prompt", "getenv", "bind"), _VARIABLE_HINT),
    **dict.fromkeys(("if", "elif", "else", "endif"), "use IF inside a DO block"),
    **dict.fromkeys(("gexec",), "loop over the query in a DO block and EXECUTE its rows"),
    **dict.fromkeys(("g", "gx", "gdesc", "crosstabview", "watch"), "end the statement with a semicolon"),
    **dict.fromkeys(("copy",), "write COPY … FROM stdin with the rows below it, or INSERT … VALUES"),
    **dict.fromkeys(("encoding",), "save the file as UTF-8 and remove the line"),
    **dict.fromkeys(("echo", "qecho", "warn", "timing", "pset", "q", "quit", "x", "a", "t", "o", "p"), _REMOVE_HINT),
    **dict.fromkeys((".",), "it ends the rows of a COPY … FROM stdin; there is none before it"),
}  # fmt: skip
_LEFT_OUT = re.compile(
    r"""\\(?:
      (?:un)?restrict\b.*
    | set\s+ON_ERROR_STOP(?:\s+'?(?:on|true|yes|1|t|y)'?)?
    | set\s+(?:ON_ERROR_ROLLBACK|VERBOSITY|SHOW_CONTEXT|QUIET|ECHO|ECHO_HIDDEN|HISTSIZE|HISTCONTROL|PROMPT[123])\b.*
    | encoding\s+'?utf-?8'?
    )\s*;?\s*""",
    re.VERBOSE | re.IGNORECASE,
)
"""Commands without an effect on what the SQL does: a deploy always stops at the first error."""
_STOP_OFF = re.compile(r"\\(?:set\s+ON_ERROR_STOP|unset\s+ON_ERROR_STOP)\b", re.IGNORECASE)


def read_psql_script(text: str) -> PsqlScript:
    """The script as SQL and COPY rows. A text without any is one part."""
    if not _LOOKS_LIKE_PSQL.search(text):
        return PsqlScript(((text, 0),))
    found = scan(text)
    mistakes = [_mistake(text, command) for command in found.commands if not _is_left_out(text, command)]
    mistakes += [
        Mistake("SQL on the line of COPY … FROM stdin, behind it", copy.rest, "move it below the rows")
        for copy in found.copies
        if copy.rest is not None
    ]
    return PsqlScript(tuple(_parts(text, found)), tuple(found.copies), tuple(mistakes))


def find_psql_variable(sql: str, offset: int) -> Mistake | None:
    """The psql variable that causes the parser's error at `offset`; None if there is none."""
    if _VARIABLE.match(sql, offset):
        return Mistake("psql variables can't be used through the API", offset, "write the value directly")
    return None


def _parts(text: str, found: Scan) -> list[tuple[str, int]]:
    starts = [0, *(copy.after for copy in found.copies)]
    ends = [*(copy.start for copy in found.copies), len(text)]
    return [
        (_without_commands(text, start, end, found.commands), start)
        for start, end in zip(starts, ends, strict=True)
    ]


def _without_commands(text: str, start: int, end: int, commands: Sequence[Span]) -> str:
    pieces, at = [], start
    for command in commands:
        if start <= command.start < end:
            pieces += [text[at : command.start], " " * (command.end - command.start)]
            at = command.end
    return "".join([*pieces, text[at:end]])


def _is_left_out(text: str, command: Span) -> bool:
    return _LEFT_OUT.fullmatch(text, command.start, command.end) is not None


def _mistake(text: str, command: Span) -> Mistake:
    if _STOP_OFF.match(text, command.start):
        return Mistake("a deploy always stops at the first error", command.start, _REMOVE_HINT)
    name = _COMMAND.match(text, command.start, command.end)
    return Mistake(
        _MESSAGE, command.start, _HINTS.get(name.group(1), _DEFAULT_HINT) if name else _DEFAULT_HINT
    )
