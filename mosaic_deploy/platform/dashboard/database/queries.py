"""The SQL that reads a table's rows: filtered, in order, a page at a time. Names are quoted, values are parameters.

Pages follow each other by value (keyset paging), so a page costs the same wherever it is: in an index's order if the
table has a key, else by the rows' places in the table's file. Only what has neither is paged by counting rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from psycopg import sql

from mosaic_deploy.platform.dashboard.database.addresses import Filter, RowsAddress
from mosaic_deploy.platform.dashboard.database.relations import Relation

SHOWN_CHARACTERS = 300
LARGE_BYTES = 64 * 1024
"""Values stored in more than this are shown by their size only."""
_TABLE, _CTID = "tableoid", "ctid"
_PLACE_TYPES = {_TABLE: "oid", _CTID: "tid"}
"""System columns that tell rows apart which have no key."""
_COMPARISONS = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


class Paging(StrEnum):
    """How pages follow each other: by the values of a key, by place in the table's file, or by counting rows."""

    KEY = "key"
    PLACE = "place"
    OFFSET = "offset"


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the rows in order: a query for up to `limit` of them, with its parameters."""

    query: sql.Composed
    parameters: tuple[object, ...]


def paging(relation: Relation, sort: str) -> Paging:
    if relation.key and (relation.key_sorted or sort):
        return Paging.KEY
    if sort:
        return Paging.KEY
    return Paging.PLACE if relation.single else Paging.OFFSET


def order_columns(relation: Relation, sort: str) -> tuple[str, ...]:
    """What rows are sorted by, if they are paged by key: the last of them make each row unique."""
    unique = relation.key or ((_CTID,) if relation.single else (_TABLE, _CTID))
    return (sort, *(one for one in unique if one != sort)) if sort else unique


def page_segments(
    relation: Relation, address: RowsAddress, columns: Sequence[str], limit: int
) -> list[Segment]:
    """The queries for a page of up to `limit` rows, to be run until there are enough.

    Each row: texts of `columns`, their sizes in bytes, texts of the order's columns, and texts of the row's key.
    """
    how = paging(relation, address.sort)
    order = order_columns(relation, address.sort) if how is Paging.KEY else ()
    head = _select(relation, columns, order)
    where, values = filter_conditions(relation, address.filters)
    if how is Paging.OFFSET:
        tail = sql.SQL(" LIMIT {} OFFSET {}").format(sql.Literal(limit), sql.Literal(address.offset))
        return [Segment(head + _where(where) + tail, values)]
    tail = sql.SQL(" LIMIT {}").format(sql.Literal(limit))
    if how is Paging.PLACE:
        # No ORDER BY, which would sort the whole table: a scan of a range of places finds them in order.
        place = address.after[0] if address.after else "(0,0)"
        return [
            Segment(head + _where([*where, sql.SQL("ctid > %s::pg_catalog.tid")]) + tail, (*values, place))
        ]
    column = relation.column(address.sort) if address.sort else None
    nullable = column is not None and not column.not_null
    return [
        Segment(head + _where([*where, *conditions]) + by + tail, (*values, *more))
        for conditions, by, more in _ordered(
            order, address.after, descending=address.descending != address.backward, nullable=nullable
        )
    ]


_Part = tuple[list[sql.Composable], sql.Composable, tuple[object, ...]]


def _ordered(
    order: tuple[str, ...], after: tuple[str | None, ...], *, descending: bool, nullable: bool
) -> list[_Part]:
    """Conditions, ORDER BY and parameters of each part. NULLs are a part of their own: nothing is greater than NULL."""
    if len(after) != len(order):
        after = ()
    rows = _following(order, after if after and after[0] is not None else (), descending=descending)
    if not nullable:
        return [rows]
    first = quoted(order[0])
    filled: _Part = ([sql.SQL("{} IS NOT NULL").format(first), *rows[0]], rows[1], rows[2])
    in_nulls = bool(after) and after[0] is None
    rest = _following(order[1:], after[1:] if in_nulls else (), descending=descending)
    empty: _Part = ([sql.SQL("{} IS NULL").format(first), *rest[0]], rest[1], rest[2])
    if descending:
        # NULLs come first.
        return [empty, filled] if in_nulls or not after else [filled]
    return [empty] if in_nulls else [filled, empty]


def _following(order: tuple[str, ...], after: tuple[str | None, ...], *, descending: bool) -> _Part:
    if not order:
        return [], sql.SQL(""), ()
    names = [quoted(one) for one in order]
    direction = sql.SQL(" DESC" if descending else "")
    by = sql.SQL(" ORDER BY ") + sql.SQL(", ").join(name + direction for name in names)
    if not after:
        return [], by, ()
    condition = sql.SQL("({}) {} ({})").format(
        sql.SQL(", ").join(names),
        sql.SQL("<" if descending else ">"),
        sql.SQL(", ").join(
            [sql.SQL(f"%s::pg_catalog.{_PLACE_TYPES[one]}" if one in _PLACE_TYPES else "%s") for one in order]
        ),
    )
    return [condition], by, tuple(after)


def filter_conditions(
    relation: Relation, filters: Sequence[Filter]
) -> tuple[list[sql.Composable], tuple[object, ...]]:
    """Conditions and their parameters. A filter for a column that isn't there is left out."""
    conditions: list[sql.Composable] = []
    values: list[object] = []
    for one in filters:
        column = relation.column(one.column)
        if column is None:
            continue
        name: sql.Composable = quoted(one.column)
        if one.operator in ("null", "notnull"):
            # Not IS NULL, which is true for a composite value whose fields are NULL.
            test = "pg_catalog.num_nulls({}) = {}"
            conditions.append(sql.SQL(test).format(name, sql.Literal(1 if one.operator == "null" else 0)))
            continue
        text = sql.SQL("pg_catalog.format('%%s', {})").format(name)
        if one.operator == "contains":
            test = "pg_catalog.strpos(pg_catalog.lower({}), pg_catalog.lower(%s)) > 0"
            conditions.append(sql.SQL(test).format(text))
        elif one.operator == "starts":
            conditions.append(sql.SQL("pg_catalog.starts_with({}, %s)").format(text))
        else:
            left = name if column.comparable else text
            conditions.append(left + sql.SQL(f" {_COMPARISONS[one.operator]} %s"))
        values.append(one.value)
    return conditions, tuple(values)


def count_query(relation: Relation, filters: Sequence[Filter]) -> Segment:
    where, values = filter_conditions(relation, filters)
    return Segment(sql.SQL("SELECT count(*) FROM {}").format(table_name(relation)) + _where(where), values)


def row_query(relation: Relation, limit: int, *, lock: bool) -> sql.Composed:
    """One row, found by `row_condition`: the texts of all columns (NULL if longer than `limit` bytes), their sizes, and its
    version."""
    cells = _array([_text_up_to(one.name, limit) for one in relation.columns], "text")
    sizes = _array([_size(one.name) for one in relation.columns], "int")
    version = sql.SQL("xmin::text" if relation.letter in ("r", "p") else "''::text")
    query = sql.SQL("SELECT {}, {}, {} FROM {}").format(cells, sizes, version, table_name(relation))
    return query + _where([row_condition(relation)]) + sql.SQL(" FOR UPDATE" if lock else " LIMIT 2")


def row_condition(relation: Relation) -> sql.Composable:
    """Its parameters are the row's key."""
    if relation.key:
        return sql.SQL(" AND ").join(quoted(one) + sql.SQL(" = %s") for one in relation.key)
    return sql.SQL("tableoid = %s::pg_catalog.oid AND ctid = %s::pg_catalog.tid")


def row_key(relation: Relation) -> sql.Composable:
    """An array of the texts that `row_condition` needs; empty for rows that nothing identifies."""
    if relation.key:
        return _array([_text(one) for one in relation.key], "text")
    if relation.letter in ("r", "p", "m"):
        return sql.SQL("ARRAY[tableoid::pg_catalog.oid::text, ctid::text]")
    return sql.SQL("ARRAY[]::text[]")


def table_name(relation: Relation) -> sql.Identifier:
    return quoted(relation.schema, relation.name)


def quoted(*names: str) -> sql.Identifier:
    """For queries with parameters, in which psycopg reads a % as the beginning of one."""
    return sql.Identifier(*(one.replace("%", "%%") for one in names))


def _select(relation: Relation, columns: Sequence[str], order: Sequence[str]) -> sql.Composed:
    """Arrays, because a SELECT can't have two values for each of 1,600 columns."""
    return sql.SQL("SELECT {}, {}, {}, {} FROM {}").format(
        _array([_short_text(one) for one in columns], "text"),
        _array([_size(one) for one in columns], "int"),
        _array([_text(one) for one in order], "text")
        if order
        else sql.SQL("ARRAY[ctid::text]" if relation.single else "ARRAY[]::text[]"),
        row_key(relation),
        table_name(relation),
    )


def _array(values: Sequence[sql.Composable], kind: str) -> sql.Composable:
    return sql.SQL("ARRAY[{}]::" + kind + "[]").format(sql.SQL(", ").join(values))


def _size(name: str) -> sql.Composable:
    """NULL for NULL, unlike `format`, whose result is an empty text then."""
    return sql.SQL("pg_catalog.pg_column_size({})").format(quoted(name))


def _text(name: str) -> sql.Composable:
    """The text that PostgreSQL's own output has. A cast to text differs for some types, such as inet and character."""
    return sql.SQL("CASE WHEN {} IS NOT NULL THEN pg_catalog.format('%%s', {}) END").format(
        _size(name), quoted(name)
    )


def _text_up_to(name: str, limit: int) -> sql.Composable:
    """Stored values are compressed: one that is small enough may still be long."""
    text = sql.SQL("pg_catalog.format('%%s', {})").format(quoted(name))
    return sql.SQL(
        "CASE WHEN {} <= {} THEN CASE WHEN pg_catalog.octet_length({}) <= {} THEN {} END END"
    ).format(_size(name), sql.Literal(limit), text, sql.Literal(limit), text)


def _short_text(name: str) -> sql.Composable:
    """One character more than is shown, so that a cut is seen."""
    return sql.SQL(
        "CASE WHEN {} <= {} THEN pg_catalog.\"left\"(pg_catalog.format('%%s', {}), {}) END"
    ).format(_size(name), sql.Literal(LARGE_BYTES), quoted(name), sql.Literal(SHOWN_CHARACTERS + 1))


def _where(conditions: Sequence[sql.Composable]) -> sql.Composable:
    return sql.SQL(" WHERE ") + sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("")
