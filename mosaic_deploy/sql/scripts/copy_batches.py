"""COPY rows as INSERT statements, because an SQL endpoint can't take COPY's protocol.

An INSERT … OVERRIDING SYSTEM VALUE accepts what COPY accepts and fires the same row triggers. A statement trigger
fires once per batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
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
        return _insert(self._source, self._options, self._first, self._last)

    @property
    def size(self) -> int:
        """Characters of rows in the file."""
        return self._last - self._first

    def file_offset(self, at: int) -> int:
        """Each row is a line of `text`, after the line with the columns."""
        line = self.text.count("\n", 0, at)
        for number, row in enumerate(self._rows(), 1):
            if number == line:
                return row.start
        return self.offset

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


def _tree(copy: Tree, digest: str) -> Tree:
    names = [{"ResTarget": {"name": item["String"]["sval"]}} for item in copy.get("attlist", [])]
    columns: dict[str, Any] = {"cols": names} if names else {}
    rows = {"SelectStmt": {"valuesLists": [], "op": "SETOP_NONE"}}
    return {
        "InsertStmt": {"relation": copy["relation"], **columns, "selectStmt": rows, "copied_rows": digest}
    }


@lru_cache(maxsize=1)
def _insert(source: str, options: CopyOptions, first: int, last: int) -> str:
    lines = ",\n".join(
        f"({', '.join(_sql(value) for value in row_values(row, options))})"
        for row in read_rows(source, options, first, last)
    )
    table = ".".join(identifier(part) for part in options.table)
    if options.columns:
        columns = ", ".join(identifier(column) for column in options.columns)
        return f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE VALUES\n{lines}"
    # COPY without columns fills all but the generated ones.
    body = f"""DECLARE columns text; BEGIN SELECT pg_catalog.string_agg(pg_catalog.quote_ident(attname), ', ' ORDER BY attnum) INTO columns FROM pg_catalog.pg_attribute WHERE attrelid OPERATOR(pg_catalog.=) {literal(table)}::pg_catalog.regclass AND attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped AND attgenerated OPERATOR(pg_catalog.=) ''; EXECUTE pg_catalog.concat({literal(f"INSERT INTO {table} (")}, columns, {literal(") OVERRIDING SYSTEM VALUE VALUES ")}, {dollar_quote(chr(10) + lines, "mosaic_rows")}); END"""
    return f"DO {dollar_quote(body, 'mosaic_copy')}"


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
