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
from mosaic_deploy.sql.quote import dollar_quote, identifier, literal
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

    __slots__ = ("_by_line", "_options", "_read", "size", "span")
    size: int
    """Characters of rows."""
    span: tuple[int, int]
    """From where to where the rows are in the script's text."""
    _read: Callable[[], str]
    _options: CopyOptions
    _by_line: bool

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
        set_field(self, "size", len(rows))
        set_field(self, "span", span)
        set_field(self, "offset", span[0])
        set_field(self, "first_byte", 0)
        set_field(self, "parsed", _tree(copy.node, hashlib.sha256(rows.encode()).hexdigest()))

    @property
    def text(self) -> str:
        rows = self._read()
        first = next(read_rows(rows, self._options, 0, len(rows)))
        return _insert(self._options, self._values(), len(first.fields))

    @property
    def written(self) -> str:
        """The rows as a query, each on a line."""
        return _QUERY + self._values()

    def file_offset(self, at: int) -> int:
        line = self.written.count("\n", len(_QUERY), at)
        rows = self._read()
        found = (row.start for row in read_rows(rows, self._options, 0, len(rows)))
        start = next(islice(found, line, None), 0)
        return self.offset + (rows.count("\n", 0, start) if self._by_line else start)

    def row_in(self, detail: str) -> int:
        """The offset in `written` of the row that PostgreSQL's detail of an error is about; 0 if that isn't clear."""
        rows = self._read()
        values = (row_values(row, self._options) for row in read_rows(rows, self._options, 0, len(rows)))
        found = [number for number, row in enumerate(values) if _is_about(detail, row, self._options.columns)]
        if len(found) > 1:
            # Of two rows with a key, the second one can't be inserted.
            found = found[1:2] if " already exists" in detail else []
        if not found:
            return 0
        lines = islice(re.finditer("\n", self.written), found[0], None)
        return next(lines).end()

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


def _insert(options: CopyOptions, lines: str, width: int) -> str:
    table = ".".join(identifier(part) for part in options.table)
    if options.columns:
        columns = ", ".join(identifier(column) for column in options.columns)
        return f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE VALUES\n{lines}"
    # COPY without columns fills all but the generated ones.
    body = (_ALL_OR_NO_COLUMNS if _are_empty(lines) else _ALL_COLUMNS).format(
        table=literal(table),
        width=width,
        after=width + 1,
        start=literal(f"INSERT INTO {table} ("),
        middle=literal(") OVERRIDING SYSTEM VALUE VALUES "),
        rows=dollar_quote(f"\n{lines}", "mosaic_rows"),
    )
    return f"DO {dollar_quote(body, 'mosaic_copy')}"


_ALL_COLUMNS = (
    "DECLARE names text; fields text[]; BEGIN "
    "SELECT pg_catalog.string_agg(pg_catalog.quote_ident(attname), ', ' ORDER BY attnum), "
    "pg_catalog.array_agg(attname::pg_catalog.text ORDER BY attnum) INTO names, fields "
    "FROM pg_catalog.pg_attribute WHERE attrelid OPERATOR(pg_catalog.=) {table}::pg_catalog.regclass "
    "AND attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped AND attgenerated OPERATOR(pg_catalog.=) ''; "
    "IF COALESCE(pg_catalog.cardinality(fields), 0) OPERATOR(pg_catalog.<) {width} THEN "
    "RAISE EXCEPTION 'extra data after last expected column' USING ERRCODE = '22P04'; END IF; "
    "IF pg_catalog.cardinality(fields) OPERATOR(pg_catalog.>) {width} THEN "
    "RAISE EXCEPTION 'missing data for column \"%\"', fields[{after}] USING ERRCODE = '22P04'; END IF; "
    "EXECUTE pg_catalog.concat({start}, names, {middle}, {rows}); END"
)


_ALL_OR_NO_COLUMNS = _ALL_COLUMNS.replace(
    "IF COALESCE",
    "IF names IS NULL THEN EXECUTE pg_catalog.concat('INSERT INTO ', {table}, ' SELECT FROM (VALUES ', {rows}, ') r'); "
    "RETURN; END IF; IF COALESCE",
)
"""The rows of a table without columns, or with generated ones only, are empty lines."""


def _are_empty(lines: str) -> bool:
    return set(lines.split(",\n")) == {"('')"}


_ROW_DETAIL = re.compile(r"Failing row contains \((.*)\)\.", re.DOTALL)
_KEY_DETAIL = re.compile(
    r"Key \((.*?)\)=\((.*)\) (?:already exists|is not present in table|is duplicated|conflicts)", re.DOTALL
)
_SHOWN_BYTES = 64
"""PostgreSQL shows no more of a value of a failing row."""


def _is_about(detail: str, row: Sequence[Value], columns: Sequence[str]) -> bool:
    """Whether the detail of an error has these values, in all columns or in those of a key."""
    if whole := _ROW_DETAIL.fullmatch(detail):
        return whole.group(1) == ", ".join(_shown(value) for value in row)
    key = _KEY_DETAIL.match(detail)
    by_name = dict(zip(columns, row, strict=False))
    names = key.group(1).split(", ") if key else []
    if key is None or not set(names) <= set(by_name):
        return False
    return key.group(2) == ", ".join(str(by_name[name]) for name in names)


def _shown(value: Value) -> str:
    if value is None:
        return "null"
    text = str(value)
    if len(text.encode()) <= _SHOWN_BYTES:
        return text
    return text.encode()[:_SHOWN_BYTES].decode(errors="ignore") + "..."


@lru_cache(maxsize=1)
def _rows_as_sql(rows: str, options: CopyOptions) -> str:
    """Each row on a line."""
    return ",\n".join(
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
