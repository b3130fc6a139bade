"""COPY rows as INSERT statements, because an SQL endpoint can't take COPY's protocol.

An INSERT … OVERRIDING SYSTEM VALUE accepts what COPY accepts and fires the same row triggers. A statement trigger
fires once per batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from mosaic_deploy.sql.parse import Statement, Tree
from mosaic_deploy.sql.quote import dollar_quote, identifier, literal
from mosaic_deploy.sql.scripts.copy_options import CopyOptions, read_copy_options
from mosaic_deploy.sql.scripts.copy_rows import Default, Row, Value, read_rows, row_values
from mosaic_deploy.sql.scripts.mistakes import Mistake, ScriptInvalid
from mosaic_deploy.sql.scripts.scan import CopyRows

BATCH_LENGTH = 256 * 1024
"""Characters of rows in a batch. A longer row is a batch of its own."""


_QUERY = "VALUES\n"


class CopyBatch(Statement):
    """Rows of a COPY as an INSERT, whose text is made when it is read. `tree` has the rows' digest, not the rows."""

    __slots__ = ("_first", "_last", "_options", "_source")
    _source: str
    _options: CopyOptions
    _first: int
    _last: int

    def __init__(self, source: str, options: CopyOptions, copy: Statement, first: int, last: int) -> None:
        set_field = object.__setattr__
        set_field(self, "_source", source)
        set_field(self, "_options", options)
        set_field(self, "_first", first)
        set_field(self, "_last", last)
        set_field(self, "offset", first)
        set_field(self, "first_byte", 0)
        digest = hashlib.sha256(source[first:last].encode()).hexdigest()
        set_field(self, "parsed", _tree(copy.node, digest))

    @property
    def text(self) -> str:
        return _insert(self._options, self._values())

    @property
    def written(self) -> str:
        """The rows as a query, each on a line."""
        return _QUERY + self._values()

    @property
    def size(self) -> int:
        """Characters of rows in the file."""
        return self._last - self._first

    @property
    def span(self) -> tuple[int, int]:
        """From where to where the rows are in the file."""
        return self._first, self._last

    def file_offset(self, at: int) -> int:
        line = self.written.count("\n", len(_QUERY), at)
        return next((row.start for number, row in enumerate(self._rows()) if number == line), self.offset)

    def _values(self) -> str:
        return _rows_as_sql(self._source, self._options, self._first, self._last)

    def _rows(self) -> Iterator[Row]:
        return read_rows(self._source, self._options, self._first, self._last)

    def __repr__(self) -> str:
        return f"CopyBatch({'.'.join(self._options.table)}, {self._first}:{self._last})"


def copy_batches(source: str, copy: CopyRows) -> list[CopyBatch]:
    """The rows in batches. Raises ScriptInvalid for options that aren't supported and rows that can't be read."""
    options = read_copy_options(copy.statement)
    if isinstance(options, Mistake):
        raise ScriptInvalid([options])
    body = replace(options, header=False)
    batches: list[CopyBatch] = []
    first = last = -1
    for row in read_rows(source, options, copy.start, copy.end):
        if first >= 0 and row.end - first > BATCH_LENGTH:
            batches.append(CopyBatch(source, body, copy.statement, first, last))
            first = -1
        first, last = row.start if first < 0 else first, row.end
    if first >= 0:
        batches.append(CopyBatch(source, body, copy.statement, first, last))
    return batches


RECORDED_ROWS = 1024 * 1024
"""Characters of rows that the migration history keeps."""
ROWS_LEFT_OUT = "-- mosaic-deploy: rows left out\n"


def without_rows(text: str, statements: Sequence[Statement]) -> str:
    """The text, with a comment in place of the rows if they are more than the history keeps."""
    spans = [statement.span for statement in statements if isinstance(statement, CopyBatch)]
    if sum(last - first for first, last in spans) <= RECORDED_ROWS:
        return text
    pieces: list[str] = []
    at = 0
    for first, last in spans:
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


def _insert(options: CopyOptions, lines: str) -> str:
    table = ".".join(identifier(part) for part in options.table)
    if options.columns:
        columns = ", ".join(identifier(column) for column in options.columns)
        return f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE VALUES\n{lines}"
    # COPY without columns fills all but the generated ones.
    body = _ALL_COLUMNS.format(
        table=literal(table),
        start=literal(f"INSERT INTO {table} ("),
        middle=literal(") OVERRIDING SYSTEM VALUE VALUES "),
        rows=dollar_quote(f"\n{lines}", "mosaic_rows"),
    )
    return f"DO {dollar_quote(body, 'mosaic_copy')}"


_ALL_COLUMNS = (
    "DECLARE names text; BEGIN "
    "SELECT pg_catalog.string_agg(pg_catalog.quote_ident(attname), ', ' ORDER BY attnum) INTO names "
    "FROM pg_catalog.pg_attribute WHERE attrelid OPERATOR(pg_catalog.=) {table}::pg_catalog.regclass "
    "AND attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped AND attgenerated OPERATOR(pg_catalog.=) ''; "
    "EXECUTE pg_catalog.concat({start}, names, {middle}, {rows}); END"
)


@lru_cache(maxsize=1)
def _rows_as_sql(source: str, options: CopyOptions, first: int, last: int) -> str:
    """Each row on a line."""
    return ",\n".join(
        f"({', '.join(_sql(value) for value in row_values(row, options))})"
        for row in read_rows(source, options, first, last)
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
