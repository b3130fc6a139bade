"""The rows of a query as text: a table, the columns of a row below each other if it is too wide, or CSV."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mosaic_deploy.cli.render.layout import text_width, wrap
from mosaic_deploy.cli.visible_text import visible_text
from mosaic_deploy.model.quantities import count_text
from mosaic_deploy.sql.queries.record import TextRows

_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|-?Infinity|NaN")
_NULL = "NULL"
_GAP = " │ "
_MAX_PADDING = 60
"""Cells. A longer value in a pipe doesn't pad the other rows."""

Cell = list[str]
"""The lines of one value; all but the last end with `↵`."""


def rows_lines(found: TextRows, width: int | None, *, expanded: bool = False) -> Iterator[str]:
    """The rows, for a terminal of `width` columns; None for a pipe. Nothing is cut.

    If the table is wider than the terminal, or with `expanded`, each row is a list of its columns. Without columns only
    the number of rows is said.
    """
    if found.names:
        cells = [[_cell(value) for value in row] for row in found.rows]
        names = [_line(name) for name in found.names]
        sizes = [
            max(_width(cell) for cell in column)
            for column in zip([[name] for name in names], *cells, strict=True)
        ]
        fits = width is None or len(names) == 1 or sum(sizes) + len(_GAP) * (len(sizes) - 1) <= width
        yield from (
            _records(names, cells, width)
            if cells and (expanded or not fits)
            else _table(found, names, cells, sizes, width)
        )
    yield f"({count_text(len(found.rows), 'row')})"


def csv_text(found: TextRows) -> str:
    """The rows as PostgreSQL's COPY writes them as CSV with a header: NULL is nothing, an empty text `""`."""
    lines = [found.names, *found.rows] if found.names else []
    return "".join(f"{','.join(map(_csv_value, line))}\n" for line in lines)


def _csv_value(value: str | None) -> str:
    if value is None:
        return ""
    if value in ("", r"\.") or any(mark in value for mark in ',"\r\n'):
        return '"{}"'.format(value.replace('"', '""'))
    return value


def _cell(value: str | None) -> Cell:
    if value is None:
        return [_NULL]
    *more, last = map(_line, value.split("\n"))
    return [*(f"{line}↵" for line in more), last]


def _line(text: str) -> str:
    return visible_text(text).replace("\t", "\\t").replace("\n", "\\n")


def _width(cell: Cell) -> int:
    return max(map(text_width, cell))


def _table(
    found: TextRows,
    names: Sequence[str],
    cells: Sequence[Sequence[Cell]],
    sizes: Sequence[int],
    width: int | None,
) -> Iterator[str]:
    if width is None:
        sizes = [
            min(size, max(_MAX_PADDING, text_width(name))) for size, name in zip(sizes, names, strict=True)
        ]
    right = [_is_number(row[column] for row in found.rows) for column in range(len(names))]
    yield _joined([_padded(name, size) for name, size in zip(names, sizes, strict=True)])
    yield "─┼─".join("─" * (size if width is None else min(size, width)) for size in sizes)
    for row in cells:
        yield from _row_lines(row, sizes, right)


def _row_lines(row: Sequence[Cell], sizes: Sequence[int], right: Sequence[bool]) -> Iterator[str]:
    """A line, or several if a value has several."""
    for number in range(max(map(len, row))):
        lines = (cell[number] if number < len(cell) else "" for cell in row)
        yield _joined(
            [_padded(line, size, to_right=one) for line, size, one in zip(lines, sizes, right, strict=True)]
        )


def _joined(parts: Sequence[str]) -> str:
    return _GAP.join(parts).rstrip()


def _padded(text: str, size: int, *, to_right: bool = False) -> str:
    space = " " * max(0, size - text_width(text))
    return space + text if to_right else text + space


def _is_number(values: Iterator[str | None]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(map(_NUMBER.fullmatch, known))


def _records(names: Sequence[str], cells: Sequence[Sequence[Cell]], width: int | None) -> Iterator[str]:
    label = max(map(text_width, names))
    for number, row in enumerate(cells, 1):
        heading = f"─[ row {number:,} ]"
        yield heading + "─" * max(0, min(width or _MAX_PADDING, _MAX_PADDING) - text_width(heading))
        for name, cell in zip(names, row, strict=True):
            for line, text in enumerate(cell):
                head = _padded(name if line == 0 else "", label)
                yield from wrap(f"{head}{_GAP}{text}".rstrip(), width, label + len(_GAP))
