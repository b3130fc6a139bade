"""psql's scripts: SQL with meta-commands and COPY rows between it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mosaic_deploy.sql.pg_parser.trivia import end_of_trivia_without_blocks
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
_PLACEHOLDER = re.compile(r":[A-Z][A-Z0-9_]*")
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
_QUOTED = r"""'(?:[^'\\\r\n]|\\.)*'|"[^"\r\n]*"|`[^`\r\n]*`"""
_ARGUMENT = rf"""(?:[^\s\\'"`]|{_QUOTED})+"""
"""An argument, as psql reads it. A backslash outside quotes ends the command."""
_LEFT_OUT = re.compile(
    rf"""\\(?:
      (?:un)?restrict\s+{_ARGUMENT}
    | set\s+ON_ERROR_STOP(?:\s+'?(?:on|true|yes|1|t|y)'?)?
    | set\s+(?:ON_ERROR_ROLLBACK|VERBOSITY|SHOW_CONTEXT|QUIET|ECHO|ECHO_HIDDEN)(?:\s+'?\w+'?)?
    | set\s+(?:HISTSIZE|HISTCONTROL|PROMPT[123])(?:\s+{_ARGUMENT})*
    | encoding\s+'?utf-?8'?
    )\s*;?\s*""",
    re.VERBOSE | re.IGNORECASE,
)
"""Commands without an effect on what the SQL does: a deploy always stops at the first error."""
_COMMAND_TEXT = re.compile(rf"""\\(?:[^\\'"`]|{_QUOTED})*""")
_WHOLE_LINE = frozenset({"!", "copy", "h", "help", "ef", "ev", "sf", "sv"})
"""Commands whose argument is the rest of the line."""
_BEHIND = "SQL on the line of a psql command, behind it"
_STOP_OFF = re.compile(r"\\(?:set\s+ON_ERROR_STOP|unset\s+ON_ERROR_STOP)\b", re.IGNORECASE)


def read_psql_script(text: str) -> PsqlScript:
    """The script as SQL and COPY rows. A text without any is one part."""
    if not _LOOKS_LIKE_PSQL.search(text):
        return PsqlScript(((text, 0),))
    found = scan(text)
    mistakes = [one for command in found.commands for one in _line_mistakes(text, command)]
    mistakes += [
        Mistake("SQL on the line of COPY … FROM stdin, behind it", copy.rest, "move it below the rows")
        for copy in found.copies
        if copy.rest is not None
    ]
    return PsqlScript(tuple(_parts(text, found)), tuple(found.copies), tuple(mistakes))


def find_psql_variable(sql: str, offset: int) -> Mistake | None:
    """The variable that causes the parser's error at `offset`; None if there is none. graphile-migrate's are in capitals."""
    found = _VARIABLE.match(sql, offset)
    if found is None:
        return None
    what = "psql variables"
    if _PLACEHOLDER.fullmatch(found.group()):
        what = f"{found.group()} isn't replaced: variables of psql and placeholders of graphile-migrate"
    return Mistake(f"{what} can't be used through the API", offset, "write the value directly")


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


def _line_mistakes(text: str, line: Span) -> Iterator[Mistake]:
    """The mistakes of a line from its first command on: of the commands, and of SQL behind them."""
    at = line.start
    while at < line.end:
        end = _command_end(text, Span(at, line.end))
        if not _LEFT_OUT.fullmatch(text, at, end):
            yield _mistake(text, Span(at, end), is_alone=(at, end) == (line.start, line.end))
        if not text.startswith("\\\\", end):
            at = end
            continue
        behind = end + 2 + end_of_trivia_without_blocks(text[end + 2 : line.end], 0)
        if behind < line.end and text[behind] != "\\":
            yield Mistake(_BEHIND, behind, "write it on a line of its own")
            return
        at = behind


def _command_end(text: str, line: Span) -> int:
    """Where the command ends that a line begins with: at a backslash outside its quotes, or with the line."""
    name = _COMMAND.match(text, line.start, line.end)
    if name is None or name.group(1) in _WHOLE_LINE:
        return line.end
    found = _COMMAND_TEXT.match(text, line.start, line.end)
    end = found.end() if found else line.end
    return end if text.startswith("\\", end) else line.end


def _mistake(text: str, command: Span, *, is_alone: bool) -> Mistake:
    name = _COMMAND.match(text, command.start, command.end)
    message, hint = _MESSAGE, _HINTS.get(name.group(1), _DEFAULT_HINT) if name else _DEFAULT_HINT
    if _STOP_OFF.match(text, command.start):
        message, hint = "a deploy always stops at the first error", _REMOVE_HINT
    return Mistake(message, command.start, hint if is_alone else hint.replace("the line", "the command"))
