"""Reads a page of a table's rows, and single rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from mosaic_deploy.platform.dashboard.database import queries
from mosaic_deploy.platform.dashboard.database.addresses import RowAddress, RowsAddress, referenced_rows
from mosaic_deploy.platform.dashboard.database.queries import Paging
from mosaic_deploy.platform.dashboard.database.relations import ForeignKey, Relation
from mosaic_deploy.platform.dashboard.database.sessions import DatabaseProblem
from mosaic_deploy.platform.dashboard.database.values import Cell, shown_cell
from mosaic_deploy.platform.postgres.connections import Session

PAGE_ROWS = 50
SHOWN_COLUMNS = 40
_EDITED_BYTES, _FORM_TEXT = 1_000_000, 4_000_000
"""A row's page has values up to the first size, if all columns together can't have more than the second. A browser sends
three bytes for many characters of one, and a form is limited."""


@dataclass(frozen=True, slots=True)
class ShownRow:
    """`query` is the address of the row's own page; empty for rows that nothing identifies."""

    cells: tuple[Cell, ...]
    query: str


@dataclass(frozen=True, slots=True)
class RowsPage:
    """`columns` are those that the page shows. `before` and `after` are the addresses of the pages around it."""

    columns: tuple[str, ...]
    rows: tuple[ShownRow, ...]
    before: RowsAddress | None
    after: RowsAddress | None
    how: Paging


@dataclass(frozen=True, slots=True)
class FullRow:
    """One row: texts of all columns, in order; None is NULL if the size is None, else a value that is too large.

    `version` changes with every change of the row.
    """

    texts: tuple[str | None, ...]
    sizes: tuple[int | None, ...]
    version: str

    def values(self, relation: Relation) -> dict[str, str | None]:
        return {one.name: text for one, text in zip(relation.columns, self.texts, strict=True)}


async def read_page(session: Session, relation: Relation, address: RowsAddress, path: str) -> RowsPage:
    """`path` is the address of pages of rows, without their query. Raises psycopg.Error."""
    columns = _shown_columns(relation, address.first_column)
    found: list[tuple[Any, ...]] = []
    for segment in queries.page_segments(relation, address, columns, PAGE_ROWS + 1):
        if len(found) <= PAGE_ROWS:
            # Places are found in order by these scans only.
            if queries.paging(relation, address.sort) is Paging.PLACE:
                await session.execute(_SCAN_BY_PLACE)
            found += await (await session.execute(segment.query, segment.parameters)).fetchall()
    more = len(found) > PAGE_ROWS
    kept = found[:PAGE_ROWS]
    if address.backward:
        kept.reverse()
    how = queries.paging(relation, address.sort)
    before, after = _pages_around(address, kept, how, more=more)
    shown = [relation.column(name) for name in columns]
    kinds = [one.kind if one else "other" for one in shown]
    links = _links(relation, columns)
    rows = tuple(
        ShownRow(
            tuple(
                _linked(shown_cell(text, size, kind, queries.SHOWN_CHARACTERS), texts, columns, key, path)
                for text, size, kind, key in zip(texts, sizes, kinds, links, strict=True)
            ),
            RowAddress(relation.schema, relation.name, tuple(row_key)).query if row_key else "",
        )
        for texts, sizes, _, row_key in kept
    )
    return RowsPage(tuple(columns), rows, before, after, how)


_SCAN_BY_PLACE = (
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off"
)


async def read_row(
    session: Session, relation: Relation, key: Sequence[str | None], *, lock: bool = False
) -> FullRow | None:
    """The row with that key; None if there is none. With `lock` nobody else can change it until the transaction ends."""
    limit = min(_EDITED_BYTES, _FORM_TEXT // max(1, len(relation.columns)))
    expected = len(relation.key) or 2
    if len(key) != expected or relation.letter in ("v", "f"):
        return None
    query = queries.row_query(relation, limit, lock=lock)
    try:
        rows = await (await session.execute(query, list(key))).fetchall()
    except psycopg.errors.DataError as error:
        raise DatabaseProblem("this address names no row: its key isn't of the right type") from error
    if len(rows) != 1:
        return None
    texts, sizes, version = rows[0]
    return FullRow(tuple(texts), tuple(sizes), version)


async def count_rows(session: Session, relation: Relation, address: RowsAddress) -> int:
    """Exactly, by reading them all. Raises psycopg.Error if that takes too long."""
    query = queries.count_query(relation, address.filters)
    row = await (await session.execute(query.query, query.parameters)).fetchone()
    return int(row[0]) if row else 0


def _shown_columns(relation: Relation, first: int) -> list[str]:
    """A part of many columns, always with the key."""
    names = [one.name for one in relation.columns]
    part = names[first : first + SHOWN_COLUMNS]
    return [*(one for one in relation.key if one not in part), *part] if first else part


def _pages_around(
    address: RowsAddress, rows: Sequence[tuple[Any, ...]], how: Paging, *, more: bool
) -> tuple[RowsAddress | None, RowsAddress | None]:
    """The pages before and after this one."""
    if how is Paging.OFFSET:
        at = address.offset
        before = replace(address, offset=max(0, at - PAGE_ROWS)) if at else None
        return before, replace(address, offset=at + PAGE_ROWS) if more else None
    if not rows:
        return (address.first_page if address.after else None), None
    first, last = tuple(rows[0][2]), tuple(rows[-1][2])
    has_before = more if address.backward else bool(address.after)
    has_after = more or address.backward
    following = replace(address, after=last, backward=False) if has_after else None
    if how is Paging.PLACE:
        return (address.first_page if has_before else None), following
    return (replace(address, after=first, backward=True) if has_before else None), following


def _links(relation: Relation, columns: Sequence[str]) -> list[ForeignKey | None]:
    """For each column the foreign key that it is the first column of, if all of its columns are shown."""
    keys: dict[str, ForeignKey] = {}
    for key in relation.foreign_keys:
        if set(key.columns) <= set(columns):
            keys.setdefault(key.columns[0], key)
    return [keys.get(name) for name in columns]


def _linked(
    cell: Cell, texts: Sequence[str | None], columns: Sequence[str], key: ForeignKey | None, path: str
) -> Cell:
    if key is None:
        return cell
    by_name = dict(zip(columns, texts, strict=True))
    if any(len(by_name[one] or "") > queries.SHOWN_CHARACTERS for one in key.columns):
        return cell
    target = referenced_rows(key.schema, key.table, key.target_columns, [by_name[one] for one in key.columns])
    return replace(cell, url=f"{path}?{target.query}") if target else cell
