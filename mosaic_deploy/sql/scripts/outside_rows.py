"""COPY rows that aren't in the script's text but stay in their file, because they are many.

In the text each of their lines is an empty line, so all line numbers are those of the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from mosaic_deploy.sql.scripts.copy_batches import CopyBatch, batch_spans, without_header
from mosaic_deploy.sql.scripts.copy_options import CopyOptions
from mosaic_deploy.sql.scripts.mistakes import ScriptInvalid
from mosaic_deploy.sql.scripts.scan import CopyRows


class OutsideRows(Protocol):
    """The rows of one COPY in their file. `size` counts bytes."""

    @property
    def size(self) -> int: ...

    @property
    def lines(self) -> int: ...

    def pieces(self) -> Iterator[str]:
        """All of the text, in pieces that end anywhere."""

    def read(self, first_byte: int, last_byte: int, digest: str) -> str:
        """The text between two positions, counted from the first row. `digest` is its sha256."""


@dataclass(slots=True)
class _Position:
    byte: int = 0
    line: int = 0

    def after(self, text: str) -> _Position:
        return _Position(self.byte + len(text.encode()), self.line + text.count("\n"))


def whole_text(text: str, outside: Mapping[int, OutsideRows]) -> str:
    """The text with its rows."""
    pieces, at = [], 0
    for offset, rows in outside.items():
        pieces += [text[at:offset], *rows.pieces()]
        at = offset + rows.lines
    return "".join([*pieces, text[at:]])


def outside_line(outside: Mapping[int, OutsideRows], offset: int) -> str:
    """The line of rows in place of the empty line at `offset`; "" if that is a line of the text."""
    for start, rows in outside.items():
        if start <= offset < start + rows.lines:
            return _line(rows.pieces(), offset - start)
    return ""


def _line(pieces: Iterator[str], number: int) -> str:
    text = ""
    for piece in pieces:
        text += piece
        if number < (lines := text.count("\n")):
            return text.split("\n")[number]
        number -= lines
        text = text.rpartition("\n")[2]
    return text


def outside_batches(rows: OutsideRows, copy: CopyRows, options: CopyOptions) -> Iterator[CopyBatch]:
    """The rows in the same batches as if they were in the text. Raises ScriptInvalid."""
    start, waiting = _Position(), ""
    for piece, is_last in _with_last(rows.pieces()):
        waiting += piece
        try:
            spans = batch_spans(waiting, options, 0, len(waiting), is_complete=is_last)
        except ScriptInvalid as invalid:
            raise _moved(invalid, copy.start + start.line, waiting) from None
        done = 0
        for first, last in spans:
            options = without_header(options)
            start = start.after(waiting[done:first])
            text = waiting[first:last]
            end = start.after(text)
            digest = hashlib.sha256(text.encode()).hexdigest()
            read = partial(rows.read, start.byte, end.byte, digest)
            span = copy.start + start.line, copy.start + end.line
            yield CopyBatch(read, text, options, copy.statement, span, one_character_per_line=True)
            start, done = end, last
        waiting = waiting[done:]


def _with_last(pieces: Iterator[str]) -> Iterator[tuple[str, bool]]:
    """Each piece, and whether it is the last one."""
    previous = next(pieces, "")
    for piece in pieces:
        yield previous, False
        previous = piece
    yield previous, True


def _moved(invalid: ScriptInvalid, start: int, rows: str) -> ScriptInvalid:
    """The mistakes with their places in the script, where `rows` begin at `start`."""
    return ScriptInvalid(
        [replace(each, offset=start + rows.count("\n", 0, each.offset)) for each in invalid.mistakes]
    )
