"""The statements of a large text, without their trees: split piece by piece, each cut confirmed by the parser.

A parse tree as Python values takes 80 times its text; libpg_query's own split takes 8 times, for one piece at
a time. A piece ends behind a semicolon at the end of a line. That this is the end of a statement, and no
part of a comment, a string or a function's body, is known when the parser accepts the piece and the last
statement in it ends at a semicolon: the parser reads from left to right, so what follows changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mosaic_deploy.sql.libpg_query import ParserRefused, split_statements
from mosaic_deploy.sql.parse import SPACE, after_trivia, leading_trivia, refused

PIECE = 1_000_000
"""Characters; a piece that can't be cut there grows."""
_END = re.compile(rf";[{SPACE}]*\n")
_GROWTH = 4


def split_large(sql: str, piece: int = PIECE) -> Iterator[tuple[str, int]]:
    """Each statement's text with its offset in characters. Raises SyntaxProblem."""
    at, size = 0, piece
    while at < len(sql):
        cut = _END.search(sql, at + size - 1)
        end = cut.end() if cut else len(sql)
        found = _split_piece(sql, at, end)
        if found is None:
            size *= _GROWTH
            continue
        yield from found
        at, size = end, piece


def _split_piece(sql: str, at: int, end: int) -> list[tuple[str, int]] | None:
    """The statements between two places; None where the text isn't known to have a statement's end at `end`."""
    text = sql[at:end]
    try:
        pieces = split_statements(text)
    except ParserRefused as error:
        if end < len(sql):
            return None
        raise refused(error.message, error.position, at) from None
    found, last = _placed(text, pieces, at)
    ended = not found or text.startswith(";", last)
    return found if ended or end == len(sql) else None


def _placed(text: str, pieces: list[str], base: int) -> tuple[list[tuple[str, int]], int]:
    """The pieces with their offsets, and where the last one ends in `text`.

    Between them are semicolons, white space and comments only, so the next token begins the next piece.
    """
    found: list[tuple[str, int]] = []
    last = 0
    for piece in pieces:
        start = after_trivia(text, last)
        while text.startswith(";", start):
            start = after_trivia(text, start + 1)
        statement = piece[leading_trivia(piece) :]
        assert text.startswith(statement, start)
        last = start + len(statement)
        found.append((statement.rstrip(SPACE), base + start))
    return found, last
