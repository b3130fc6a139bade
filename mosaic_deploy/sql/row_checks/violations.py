"""Queries for the rows of one live table that violate a constraint: how many, up to a bound, and the first primary keys.

A table is read under the names that it and its columns have after the migrations, because the constraints use those.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from mosaic_deploy.sql.quote import identifier
from mosaic_deploy.sql.row_checks.facts import Constraint, Domain, Table, UniqueIndex

MAX_ROWS = 1000
"""Violating rows that are counted; one more is looked for."""
MAX_KEYS = 3
MAX_KEY_LENGTH = 40
"""Characters of one column of a key; one more is read."""
_KEY = "mosaic_deploy key {}"
_INTEGERS = {"smallint": 15, "integer": 31, "bigint": 63}


@dataclass(frozen=True, slots=True)
class LiveTable:
    """A table before the migrations, as it is live, and after them. `only`: without partitions and children."""

    before: Table
    after: Table
    only: bool = False

    @property
    def live_name(self) -> str:
        only = "ONLY " if self.only else ""
        return f"{only}{identifier(self.before.schema)}.{identifier(self.before.name)}"

    def column(self, number: int) -> str:
        """The live name."""
        return identifier(self.before.columns[number].name)

    def rows(self, columns: Collection[int]) -> str:
        """A FROM item with these columns, under the names of afterwards, and those of the primary key."""
        shown = [
            f"r.{self.column(number)} AS {identifier(self.after.columns[number].name)}"
            for number in sorted(columns)
        ]
        keys = [f"r.{self.column(number)} AS {name}" for number, name in self._keys()]
        selected = ", ".join((*shown, *keys)) or "1 AS nothing"
        return f"(SELECT {selected} FROM {self.live_name} AS r) AS {identifier(self.after.name)}"

    @property
    def key_names(self) -> str:
        """The columns of the primary key in `rows`; 1 without one."""
        return ", ".join(name for _, name in self._keys()) or "1"

    def counted(self, violating: str) -> str:
        """The query for the number and first keys of the rows of `violating`, a SELECT of `key_names`."""
        names = [name for _, name in self._keys()]
        keys = "NULL"
        if names:
            texts = ", ".join(
                f"pg_catalog.left({name}::pg_catalog.text, {MAX_KEY_LENGTH + 1})" for name in names
            )
            keys = (
                f"pg_catalog.to_json((pg_catalog.array_agg(pg_catalog.json_build_array({texts}) "
                f"ORDER BY {', '.join(names)}))[1:{MAX_KEYS}])"
            )
        return (
            f"SELECT pg_catalog.json_build_object('rows', pg_catalog.count(*), 'keys', {keys}) "
            f"FROM ({violating} LIMIT {MAX_ROWS + 1}) AS violating"
        )

    def _keys(self) -> Iterator[tuple[int, str]]:
        for place, number in enumerate(self.before.key):
            yield number, identifier(_KEY.format(place))

    def where(self, condition: str, columns: Collection[int]) -> str:
        return self.counted(f"SELECT {self.key_names} FROM {self.rows(columns)} WHERE {condition}")


def without_value(table: LiveTable, number: int) -> str:
    """Not `IS NULL`, which is also true of a composite value without any field."""
    name = identifier(table.after.columns[number].name)
    return table.where(f"{name} IS NOT DISTINCT FROM NULL", [number])


def any_rows(table: LiveTable) -> str:
    """Every row, for a new column that none has a value of."""
    return table.where("true", [])


def failing_check(table: LiveTable, expression: str, columns: Collection[int]) -> str:
    return table.where(f"({expression}) IS FALSE", columns)


def failing_domain_check(table: LiveTable, number: int, domain: Domain, expression: str) -> str:
    """PostgreSQL writes the value as VALUE in the expression, which is then a column here."""
    keys = "" if table.key_names == "1" else f", {table.key_names}"
    name = identifier(table.after.columns[number].name)
    rows = f"(SELECT {name}::{domain.base} AS value{keys} FROM {table.rows([number])}) AS found"
    return table.counted(f"SELECT {table.key_names} FROM {rows} WHERE ({expression}) IS FALSE")


def duplicates(table: LiveTable, index: UniqueIndex) -> str:
    """All rows of each group of equal ones."""
    keys = [
        f"({key.expression})" + (f" COLLATE {key.collation}" if key.collation else "") for key in index.keys
    ]
    conditions = [f"({index.predicate})"] if index.predicate else []
    if not index.nulls_equal:
        conditions += [f"({key.expression}) IS DISTINCT FROM NULL" for key in index.keys]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    inner = "" if table.key_names == "1" else f", {table.key_names}"
    rows = (
        f"(SELECT pg_catalog.count(*) OVER (PARTITION BY {', '.join(keys)}) AS equal{inner} "
        f"FROM {table.rows(index.columns)}{where}) AS grouped"
    )
    return table.counted(f"SELECT {table.key_names} FROM {rows} WHERE equal > 1")


def without_referenced_row(table: LiveTable, other: LiveTable, key: Constraint) -> str:
    """`other` is the referenced table."""
    names = [f"f.{identifier(table.after.columns[number].name)}" for number in key.columns]
    joiner = " OR " if key.match == "f" else " AND "
    present = joiner.join(f"{name} IS DISTINCT FROM NULL" for name in names)
    equal = " AND ".join(
        f"p.{other.column(referenced)} OPERATOR({identifier(schema)}.{operator}) {name}"
        for referenced, name, (schema, operator) in zip(
            key.referenced_columns, names, key.operators, strict=True
        )
    )
    rows = f"(SELECT * FROM {table.rows(key.columns)}) AS f"
    missing = f"NOT EXISTS (SELECT FROM {other.live_name} AS p WHERE {equal})"
    return table.counted(f"SELECT {table.key_names} FROM {rows} WHERE ({present}) AND {missing}")


def not_convertible(table: LiveTable, number: int) -> str | None:
    """The rows whose value doesn't fit the column's new type, if the type got narrower in a known way."""
    old, new = table.before.columns[number].type, table.after.columns[number].type
    name = identifier(table.after.columns[number].name)
    condition = _too_long(name, old, new) or _out_of_range(name, old, new) or _too_many_digits(name, old, new)
    return table.where(condition, [number]) if condition else None


def _too_long(name: str, old: str, new: str) -> str:
    """PostgreSQL cuts spaces at the end, and refuses to cut anything else."""
    base, arguments = _split(new)
    if base != "character varying" or not arguments or _split(old)[0] not in ("text", base, "character"):
        return ""
    return f"pg_catalog.rtrim(pg_catalog.substr({name}::pg_catalog.text, {arguments[0] + 1}), ' ') <> ''"


def _out_of_range(name: str, old: str, new: str) -> str:
    bits, base = _INTEGERS.get(new), _split(old)[0]
    if bits is None or (base != "numeric" and _INTEGERS.get(base, 0) <= bits):
        return ""
    value = f"pg_catalog.round({name})" if base == "numeric" else name
    return f"{value} NOT BETWEEN {-(2**bits)} AND {2**bits - 1}"


def _too_many_digits(name: str, old: str, new: str) -> str:
    base, arguments = _split(new)
    if base != "numeric" or not arguments or _split(old)[0] not in ("numeric", *_INTEGERS):
        return ""
    precision, scale = arguments[0], arguments[1] if len(arguments) > 1 else 0
    value = f"{name}::pg_catalog.numeric"
    return (
        f"{value} <> 'NaN' AND pg_catalog.abs(pg_catalog.round({value}, {scale})) "
        f">= pg_catalog.power(10::pg_catalog.numeric, {precision - scale})"
    )


def _split(type_name: str) -> tuple[str, Sequence[int]]:
    """`numeric(10,2)` as `numeric` and [10, 2]."""
    base, _, rest = type_name.partition("(")
    arguments = rest.removesuffix(")")
    try:
        return base, [int(each) for each in arguments.split(",")] if arguments else []
    except ValueError:
        return type_name, []
