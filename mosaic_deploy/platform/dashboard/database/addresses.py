"""The addresses of tables, of their rows in some order, and of one row. What they name is hostile text until it is found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from mosaic_deploy.platform.faults import Fault

OPERATORS = {
    "eq": "=", "ne": "≠", "lt": "<", "le": "≤", "gt": ">", "ge": "≥",
    "contains": "contains", "starts": "starts with", "null": "is NULL", "notnull": "isn't NULL",
}  # fmt: skip
"""The operators of filters, as in addresses and as shown."""
_LAST_OFFSET = 100_000


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition for rows. `operator` is one of OPERATORS."""

    column: str
    operator: str = "eq"
    value: str = ""


@dataclass(frozen=True, slots=True)
class RowsAddress:
    """A page of a table's rows.

    `after` are the values, as texts, of what the rows are sorted by in the last row before the page; with `backward` in
    the first row after it. `offset` is for tables that can't be paged by value. `first_column` counts from 0.
    """

    schema: str
    table: str
    filters: tuple[Filter, ...] = ()
    sort: str = ""
    descending: bool = False
    after: tuple[str | None, ...] = ()
    backward: bool = False
    offset: int = 0
    first_column: int = 0
    count: bool = False

    @property
    def query(self) -> str:
        """The address's query, without those parts that are as usual."""
        pairs = [("schema", self.schema), ("table", self.table), *self.filter_pairs]
        more = {
            "sort": self.sort,
            "desc": "1" if self.descending else "",
            "after": json.dumps(self.after, ensure_ascii=False) if self.after else "",
            "back": "1" if self.backward else "",
            "offset": str(self.offset or ""),
            "columns": str(self.first_column or ""),
            "count": "1" if self.count else "",
        }
        return urlencode([*pairs, *((name, value) for name, value in more.items() if value)])

    @property
    def filter_pairs(self) -> list[tuple[str, str]]:
        return [
            pair
            for one in self.filters
            for pair in (("column", one.column), ("is", one.operator), ("value", one.value))
        ]

    @property
    def first_page(self) -> RowsAddress:
        return replace(self, after=(), backward=False, offset=0)

    def sorted_by(self, column: str) -> RowsAddress:
        """The first page sorted by that column; descending, then unsorted, if it is that already."""
        first = self.first_page
        if self.sort != column:
            return replace(first, sort=column, descending=False)
        return (
            replace(first, descending=True)
            if not self.descending
            else replace(first, sort="", descending=False)
        )

    def showing(self, **changes: object) -> RowsAddress:
        return replace(self, **changes)  # type: ignore[arg-type]


def parse_rows_address(parameters: Iterable[tuple[str, str]]) -> RowsAddress:
    """The address in a query's parameters. Raises Fault (400) for one that isn't any page's."""
    given = list(parameters)
    values = dict(given)
    filters: list[Filter] = []
    for name, text in given:
        if name == "column":
            filters.append(Filter(text))
        elif filters and name == "is":
            filters[-1] = replace(filters[-1], operator=text)
        elif filters and name == "value":
            filters[-1] = replace(filters[-1], value=text)
    filters = [one for one in filters if one.column]
    if any(one.operator not in OPERATORS for one in filters):
        raise _invalid("unknown operator")
    sort = values.get("sort", "")
    return RowsAddress(
        required_name(values, "schema"),
        required_name(values, "table"),
        tuple(filters),
        sort,
        bool(sort and values.get("desc")),
        parse_texts(values.get("after", "")),
        bool(values.get("back")),
        min(_number(values, "offset"), _LAST_OFFSET),
        _number(values, "columns"),
        bool(values.get("count")),
    )


@dataclass(frozen=True, slots=True)
class RowAddress:
    """One row, by its key's values as texts. Without a key: the table's OID and the row's `ctid`."""

    schema: str
    table: str
    key: tuple[str | None, ...]

    @property
    def query(self) -> str:
        return urlencode({"schema": self.schema, "table": self.table, "row": self.row})

    @property
    def row(self) -> str:
        return json.dumps(self.key, ensure_ascii=False)


def parse_row_address(values: Mapping[str, str]) -> RowAddress:
    """Raises Fault (400)."""
    key = parse_texts(values.get("row", ""))
    if not key:
        raise _invalid("it names no row")
    return RowAddress(required_name(values, "schema"), required_name(values, "table"), key)


def referenced_rows(
    schema: str, table: str, columns: Sequence[str], values: Sequence[str | None]
) -> RowsAddress | None:
    """The rows with these values, to which a foreign key leads; None if one of the values is NULL, which leads nowhere."""
    if any(value is None for value in values):
        return None
    filters = [Filter(column, "eq", value or "") for column, value in zip(columns, values, strict=True)]
    return RowsAddress(schema, table, tuple(filters))


def required_name(values: Mapping[str, str], field: str) -> str:
    name = values.get(field, "")
    if not name or "\0" in name:
        raise _invalid(f"`{field}` is missing")
    return name


def parse_texts(text: str) -> tuple[str | None, ...]:
    """A JSON array of texts and nulls; () for an empty text. Raises Fault (400)."""
    if not text:
        return ()
    try:
        values = json.loads(text)
        # Escapes in JSON can be halves of characters, which no encoding has.
        json.dumps(values, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or not all(one is None or isinstance(one, str) for one in values):
        raise _invalid("a row's place isn't an array of texts")
    if any("\0" in (one or "") for one in values):
        raise _invalid("a row's place has a NUL character")
    return tuple(values)


def _number(values: Mapping[str, str], field: str) -> int:
    text = values.get(field, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _invalid(why: str) -> Fault:
    return Fault(400, "address_invalid", f"this address isn't valid: {why}")
