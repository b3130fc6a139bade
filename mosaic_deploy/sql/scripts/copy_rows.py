"""The rows of a COPY … FROM stdin as values, as PostgreSQL reads its text and csv formats."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from mosaic_deploy.sql.scripts.copy_options import ALL_COLUMNS, CopyOptions
from mosaic_deploy.sql.scripts.mistakes import Mistake, ScriptInvalid


class Default:
    """The value of a field that stands for the column's default."""


DEFAULT = Default()
Value = str | None | Default


@dataclass(frozen=True, slots=True)
class Row:
    """A row's raw fields (text format) or values (csv), from `start` up to `end` with its line end."""

    start: int
    end: int
    fields: list[str] | list[Value]


def read_rows(text: str, options: CopyOptions, start: int, end: int) -> Iterator[Row]:
    """The rows between two offsets of `text`, without the header. Raises ScriptInvalid."""
    rows = _csv_rows(text, options, start, end) if options.csv else _text_rows(text, options, start, end)
    expected = len(options.columns)
    for number, row in enumerate(rows):
        if number == 0 and options.header and start == row.start:
            _check_header(row, options)
            continue
        expected = expected or len(row.fields)
        if len(row.fields) != expected:
            raise ScriptInvalid([Mistake(_wrong_count(row, options, expected), row.start, _hint(options))])
        yield row


def _wrong_count(row: Row, options: CopyOptions, expected: int) -> str:
    """What PostgreSQL says of the row; of one that only differs from the first row, that it does."""
    found = len(row.fields)
    if not options.columns:
        return (
            f"this row has {found} value{'' if found == 1 else 's'} instead of {expected}, as the first one"
        )
    if found > expected:
        return "extra data after last expected column"
    return f'missing data for column "{options.columns[found]}"'


def row_values(row: Row, options: CopyOptions) -> list[Value]:
    """The row's values. Raises ScriptInvalid."""
    if options.csv:
        return row.fields  # type: ignore[return-value]
    return [_text_value(str(field), options, row.start) for field in row.fields]


def _hint(options: CopyOptions) -> str:
    return f"the rows are in the {'csv' if options.csv else 'text'} format, with {options.delimiter!r} between values"


def _check_header(row: Row, options: CopyOptions) -> None:
    names = [value for value in row.fields if isinstance(value, str)]
    if options.match_header and options.columns and names != list(options.columns):
        raise ScriptInvalid([Mistake("the header doesn't match the columns", row.start)])


def _text_rows(text: str, options: CopyOptions, at: int, end: int) -> Iterator[Row]:
    line_end = _first_line_end(text, at, end)
    while at < end:
        stop = _text_row_end(text, line_end, at, end)
        line = text[at:stop]
        if "\\." in line and any(one.group() == "\\." for one in _ESCAPED.finditer(line)):
            raise ScriptInvalid([Mistake("end-of-copy marker is not alone on its line", at, _MARKER_HINT)])
        after = min(end, stop + len(line_end))
        yield Row(at, after, _split_fields(line, options.delimiter))
        at = after


_MARKER_HINT = r"PostgreSQL reads \. as the end of the rows; write . for a dot, \\. for a backslash and a dot"
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_ESCAPED_OR_LINE_END = re.compile(r"\\.|\r?\n", re.DOTALL)


def _first_line_end(text: str, at: int, end: int) -> str:
    """The first line end that isn't part of a value: PostgreSQL takes it for that of all rows."""
    marks = (found.group() for found in _ESCAPED_OR_LINE_END.finditer(text, at, end))
    return next((mark for mark in marks if not mark.startswith("\\")), "\n")


def _text_row_end(text: str, line_end: str, at: int, end: int) -> int:
    """Where the row's line ends; a line end behind a backslash is part of a value."""
    stop = at
    while True:
        stop = text.find(line_end, stop, end)
        if stop < 0:
            return end
        if not _is_escaped(text, stop, at):
            return stop
        stop += len(line_end)


def _is_escaped(text: str, at: int, start: int) -> bool:
    """Whether an odd number of backslashes is before `at`."""
    first = at
    while first > start and text[first - 1] == "\\":
        first -= 1
    return (at - first) % 2 == 1


def _split_fields(line: str, delimiter: str) -> list[str]:
    fields = line.split(delimiter)
    if "\\" + delimiter not in line:
        return fields
    joined: list[list[str]] = []
    for field in fields:
        if joined and _is_escaped(joined[-1][-1], len(joined[-1][-1]), 0):
            joined[-1].append(field)
        else:
            joined.append([field])
    return [delimiter.join(parts) for parts in joined]


_BYTES = re.compile(r"(?:\\(?:[0-7]{1,3}|x[0-9A-Fa-f]{1,2}))+")
_BYTE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2}))")
_ESCAPE = re.compile(rf"({_BYTES.pattern})|\\(.)", re.DOTALL)
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _text_value(field: str, options: CopyOptions, offset: int) -> Value:
    if field == options.null:
        return None
    if options.default is not None and field == options.default:
        return DEFAULT
    if "\\" not in field:
        return field
    try:
        return _ESCAPE.sub(_unescape, field)
    except UnicodeDecodeError:
        raise ScriptInvalid([Mistake("the escapes of this row aren't UTF-8", offset)]) from None


def _unescape(found: re.Match[str]) -> str:
    if found.group(2) is not None:
        return _LETTERS.get(found.group(2), found.group(2))
    codes = (
        int(octal, 8) & 0xFF if octal else int(hexadecimal, 16)
        for octal, hexadecimal in _BYTE.findall(found.group(1))
    )
    return bytes(codes).decode()


class _CsvFields:
    """Finds the fields of rows in one csv dialect. Not with one pattern, which would keep memory for each character pair."""

    def __init__(self, delimiter: str, quote: str, escape: str) -> None:
        d, q, e = re.escape(delimiter), re.escape(quote), re.escape(escape)
        self._quote = quote
        self._plain = re.compile(rf"[^{d}{q}\r\n]*")
        # An escaped character comes first: it isn't the end.
        self._quote_or_escaped = re.compile(rf"{e}([{q}{e}])|{q}")

    def end(self, text: str, at: int, end: int) -> int:
        """Where the field at `at` ends; at its quote if that has no end."""
        while (quote := self._plain_end(text, at, end)) < end and text.startswith(self._quote, quote):
            closed = self._quoted_end(text, quote, end)
            if closed is None:
                return quote
            at = closed
        return quote

    def value(self, raw: str) -> str:
        """The value of a field with quotes."""
        parts, at = [], 0
        while (quote := self._plain_end(raw, at, len(raw))) < len(raw):
            closed = self._quoted_end(raw, quote, len(raw))
            assert closed is not None, "the field ended"
            inner = raw[quote + 1 : closed - 1]
            parts += [raw[at:quote], self._quote_or_escaped.sub(r"\1", inner)]
            at = closed
        return "".join([*parts, raw[at:]])

    def _plain_end(self, text: str, at: int, end: int) -> int:
        found = self._plain.match(text, at, end)
        return found.end() if found else at

    def _quoted_end(self, text: str, quote: int, end: int) -> int | None:
        return next(
            (
                mark.end()
                for mark in self._quote_or_escaped.finditer(text, quote + 1, end)
                if mark.group(1) is None
            ),
            None,
        )


@lru_cache(maxsize=8)
def _csv_fields(delimiter: str, quote: str, escape: str) -> _CsvFields:
    return _CsvFields(delimiter, quote, escape)


_LINE_END = re.compile(r"\r\n|\n|\r")


def _csv_rows(text: str, options: CopyOptions, at: int, end: int) -> Iterator[Row]:
    fields = _csv_fields(options.delimiter, options.quote, options.escape)
    while at < end:
        start, values = at, list[Value]()
        while True:
            field_end = fields.end(text, at, end)
            values.append(_csv_value(text[at:field_end], fields, options, len(values)))
            at = field_end
            if at == end or not text.startswith(options.delimiter, at):
                break
            at += len(options.delimiter)
        ended = _LINE_END.match(text, at, end)
        if at < end and not ended:
            raise ScriptInvalid([Mistake("unterminated quote in this row", start, _hint(options))])
        at = ended.end() if ended else end
        yield Row(start, at, values)


def _csv_value(raw: str, fields: _CsvFields, options: CopyOptions, number: int) -> Value:
    column = options.columns[number] if number < len(options.columns) else ""
    if options.quote not in raw:
        if raw == options.null and not _named(column, options.force_not_null):
            return None
        return DEFAULT if options.default is not None and raw == options.default else raw
    value = fields.value(raw)
    return None if value == options.null and _named(column, options.force_null) else value


def _named(column: str, columns: frozenset[str]) -> bool:
    return ALL_COLUMNS in columns or column in columns
