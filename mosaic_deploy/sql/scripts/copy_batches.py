"""COPY rows as INSERT statements, because an SQL endpoint can't take COPY's protocol.

An INSERT … OVERRIDING SYSTEM VALUE accepts what COPY accepts and fires the same row triggers. A statement trigger
fires once per batch.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import islice
from typing import Any

from mosaic_deploy.sql.parse import Statement, Tree
from mosaic_deploy.sql.scripts.copy_block import ROW_SEPARATOR, insert_block, insert_statement
from mosaic_deploy.sql.scripts.copy_options import CopyOptions
from mosaic_deploy.sql.scripts.copy_rows import Default, Value, read_rows, row_values
from mosaic_deploy.sql.scripts.mistakes import ScriptInvalid
from mosaic_deploy.sql.scripts.scan import CopyRows

BATCH_LENGTH = 256 * 1024
"""Characters of rows in a batch. A longer row is a batch of its own."""
_LONGEST_ROW = 64 * 1024 * 1024
"""Characters in which a row must end."""

_QUERY = "VALUES\n"


class CopyBatch(Statement):
    """Rows of a COPY as an INSERT, whose text is made when it is read. `tree` has the rows' digest, not the rows."""

    __slots__ = ("_by_line", "_copied_at", "_options", "_read", "size", "span")
    size: int
    """Characters of rows."""
    span: tuple[int, int]
    """From where to where the rows are in the script's text."""
    _read: Callable[[], str]
    _options: CopyOptions
    _by_line: bool
    _copied_at: int

    def __init__(
        self,
        read: Callable[[], str],
        rows: str,
        options: CopyOptions,
        copy: Statement,
        span: tuple[int, int],
        *,
        one_character_per_line: bool = False,
    ) -> None:
        """`read` gives `rows` again. `one_character_per_line`: what the script's text has in their place."""
        set_field = object.__setattr__
        set_field(self, "_read", read)
        set_field(self, "_options", options)
        set_field(self, "_by_line", one_character_per_line)
        set_field(self, "_copied_at", copy.offset)
        set_field(self, "size", len(rows))
        set_field(self, "span", span)
        set_field(self, "offset", span[0])
        set_field(self, "first_byte", 0)
        set_field(self, "parsed", _tree(copy.node, hashlib.sha256(rows.encode()).hexdigest()))

    @property
    def text(self) -> str:
        rows = self._read()
        width = len(next(read_rows(rows, self._options, 0, len(rows))).fields)
        # A single row can be large, and the block would need it several times.
        if self._options.columns and self.has_one_row:
            return insert_statement(self._options, self._values())
        return insert_block(self._options, self._values(), width)

    @property
    def written(self) -> str:
        """The rows as a query, each on a line."""
        return _QUERY + self._values()

    def file_offset(self, at: int) -> int:
        """The position in the file of a character of `written`; before the rows, that of the COPY itself."""
        if at < len(_QUERY):
            return self._copied_at
        line = self.written.count("\n", len(_QUERY), at)
        rows = self._read()
        found = (row.start for row in read_rows(rows, self._options, 0, len(rows)))
        start = next(islice(found, line, None), 0)
        return self.offset + (rows.count("\n", 0, start) if self._by_line else start)

    def row_offset(self, number: int) -> int:
        """Where the row begins in `written`; rows count from 1."""
        lines = islice(re.finditer("\n", self.written), number - 1, None)
        return next(found.end() for found in lines)

    @property
    def has_one_row(self) -> bool:
        return "\n" not in self._values()

    def _values(self) -> str:
        return _rows_as_sql(self._read(), self._options)

    def __repr__(self) -> str:
        return f"CopyBatch({'.'.join(self._options.table)}, {self.span})"


def copy_batches(source: str, copy: CopyRows, options: CopyOptions) -> Iterator[CopyBatch]:
    """The rows in batches. Raises ScriptInvalid for rows that can't be read."""
    for first, last in batch_spans(source, options, copy.start, copy.end):
        read = partial(_slice, source, first, last)
        yield CopyBatch(read, read(), without_header(options), copy.statement, (first, last))


def batch_spans(
    text: str, options: CopyOptions, start: int, end: int, *, is_complete: bool = True
) -> list[tuple[int, int]]:
    """From where to where the batches are. Raises ScriptInvalid.

    If more text follows (not `is_complete`), the rows at the end belong to no batch, and raise no error.
    """
    spans: list[tuple[int, int]] = []
    first = last = -1
    try:
        for row in read_rows(text, options, start, end):
            if first >= 0 and row.end - first > BATCH_LENGTH:
                spans.append((first, last))
                first = -1
            first, last = row.start if first < 0 else first, row.end
    except ScriptInvalid:
        # Half a row looks like a mistake.
        if is_complete or end - max(last, start) > _LONGEST_ROW:
            raise
    if is_complete and first >= 0:
        spans.append((first, last))
    return spans


def without_header(options: CopyOptions) -> CopyOptions:
    return replace(options, header=False)


def _slice(source: str, first: int, last: int) -> str:
    return source[first:last]


RECORDED_ROWS = 1024 * 1024
"""Characters of rows that the migration history keeps."""
ROWS_LEFT_OUT = "-- mosaic-deploy: rows left out\n"


def without_rows(text: str, statements: Sequence[Statement]) -> str | None:
    """The text with a comment in place of the rows; None if they aren't more than the history keeps."""
    batches = [statement for statement in statements if isinstance(statement, CopyBatch)]
    if sum(batch.size for batch in batches) <= RECORDED_ROWS:
        return None
    pieces: list[str] = []
    at = 0
    for first, last in (batch.span for batch in batches):
        if first > at or not pieces:
            pieces += [text[at:first], ROWS_LEFT_OUT]
        at = last
    return "".join([*pieces, text[at:]])


def _tree(copy: Tree, digest: str) -> Tree:
    names = [{"ResTarget": {"name": item["String"]["sval"]}} for item in copy.get("attlist", [])]
    columns: dict[str, Any] = {"cols": names} if names else {}
    rows = {"SelectStmt": {"valuesLists": [], "op": "SETOP_NONE"}}
    return {
        "InsertStmt": {"relation": copy["relation"], **columns, "selectStmt": rows, "copied_rows": digest}
    }


@lru_cache(maxsize=1)
def _rows_as_sql(rows: str, options: CopyOptions) -> str:
    """Each row on a line."""
    return ROW_SEPARATOR.join(
        f"({', '.join(_sql(value) for value in row_values(row, options))})"
        for row in read_rows(rows, options, 0, len(rows))
    )


def _sql(value: Value) -> str:
    """A value as SQL on one line, with the same meaning whatever `standard_conforming_strings` is."""
    if value is None:
        return "NULL"
    if isinstance(value, Default):
        return "DEFAULT"
    if "\\" in value or "\n" in value or "\r" in value:
        escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("'", "''")
        return f"E'{escaped}'"
    return "'" + value.replace("'", "''") + "'"
