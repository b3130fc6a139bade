"""Comments `-- mosaic-updates: stats, app.audit`: the tables whose rows a migration updates though no statement of it says so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mosaic_deploy.sql.hazards.syntax.names import Name, unquoted
from mosaic_deploy.sql.scripts.scan import scan

_COMMENT = re.compile(r"--[ \t]*mosaic-updates?\b[ \t]*:?[ \t]*", re.IGNORECASE)
_IDENTIFIER = r'("(?:[^"]|"")+"|[^\W\d][\w$]*)'
_TABLE = re.compile(rf"[ \t]*(?:{_IDENTIFIER}[ \t]*\.[ \t]*)?{_IDENTIFIER}[ \t]*")
_NO_NAME = (
    "mosaic-updates takes names of tables, with commas in between; write -- mosaic-updates: stats, app.audit"
)


class UpdatesInvalid(Exception):
    """A comment with something else than names. `offset` is its position in the text in characters."""

    def __init__(self, offset: int) -> None:
        super().__init__(_NO_NAME)
        self.message, self.offset = _NO_NAME, offset


@dataclass(frozen=True, slots=True)
class DeclaredUpdate:
    """One name, at `offset` in the text in characters."""

    table: Name
    offset: int


def declared_updates(text: str) -> tuple[DeclaredUpdate, ...]:
    """What the line comments of an SQL text name, in order. Raises UpdatesInvalid."""
    if "mosaic-update" not in text.lower():
        return ()
    found = ((_COMMENT.match(text, one.start, one.end), one.end) for one in scan(text).comments)
    return tuple(one for match, end in found if match for one in _names(text, match.end(), end))


def _names(text: str, at: int, end: int) -> Iterator[DeclaredUpdate]:
    while found := _TABLE.match(text, at, end):
        schema, name = found.groups()
        start = found.start(1) if schema else found.start(2)
        yield DeclaredUpdate(Name(schema and unquoted(schema), unquoted(name)), start)
        at = found.end()
        if at == end:
            return
        if text[at] != ",":
            break
        at += 1
    raise UpdatesInvalid(at)
