"""Facts about live objects that a review asks for. The caller fetches them, so a review does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from mosaic_deploy.model.quantities import amount_text


class ObjectKind(StrEnum):
    RELATION = "relation"
    """Tables, views, indexes and sequences, which share one namespace."""
    SCHEMA = "schema"
    TYPE = "type"
    EXTENSION = "extension"
    FUNCTION = "function"
    """Functions and procedures in any schema, except those of PostgreSQL and of extensions. The name is without a schema."""
    ANY_TABLE = "anything"
    """Whether the database has any table; the name is empty."""
    DROPPED = "dropped"
    """An object that a statement drops; `part` says which, as in `ObjectRef`."""
    DROPPED_CASCADE = "dropped cascade"
    """The same with CASCADE: the facts also list what PostgreSQL drops with it."""


class ObjectRef(NamedTuple):
    """An object to look up. `name` is quoted SQL, with a schema if one is known.

    `part` is for dropped objects: the kind of object, and after a colon the name of the part of the relation `name`, or
    the number of a function's arguments: `relation`, `column:fax`, `policy:own rows`, `function:2`, `function:`,
    `other` (which isn't looked up).
    """

    kind: ObjectKind
    name: str
    part: str = ""


class Dependent(NamedTuple):
    """An object that DROP … CASCADE drops with another one. `kind` and `name` are PostgreSQL's: `view`, `public.v`.

    `table` is the table that loses rows or values with it (`public.orders`), "" if none does.
    """

    kind: str
    name: str
    table: str = ""

    def __str__(self) -> str:
        return f"{self.kind.removeprefix('table ')} {self.name}".replace(" public.", " ")


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """A live object. `schema` and `name` are its actual ones; `rows` is PostgreSQL's estimate.

    `columns` maps each column to its type as `format_type` writes it; `primary_keys` are constraint names;
    `storage_options` look like `security_invoker=true`. Only relations have these.
    """

    schema: str = ""
    name: str = ""
    rows: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    primary_keys: frozenset[str] = frozenset()
    storage_options: frozenset[str] = frozenset()
    not_null_columns: frozenset[str] = frozenset()
    """Columns declared NOT NULL."""
    shares_rows_with: frozenset[str] = frozenset()
    """Other tables with the same rows, as `schema.name`: its partitions, children and parents, and the tables
    below a view and its rules."""
    cascades: frozenset[str] = frozenset()
    """Tables that lose rows or values when its rows are deleted, because of foreign keys."""
    cascade_updates: frozenset[str] = frozenset()
    """Those of `cascades` whose rows stay, because the foreign keys only set columns of them."""
    cascade_rows: Mapping[str, int] = field(default_factory=dict)
    """PostgreSQL's estimates of the rows of `cascades`."""
    parents: frozenset[str] = frozenset()
    """Those of `shares_rows_with` and `cascades` that lose no row of their own: they are there only as parents of others."""
    key_updates: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Tables whose rows change when these columns of its own do, because of foreign keys with ON UPDATE CASCADE or SET NULL."""
    partition_keys: frozenset[str] = frozenset()
    """The columns by which it and the partitioned tables below it choose the partition of a row; "" for an expression."""
    tables_with_row_type: frozenset[str] = frozenset()
    """Tables with a column of its row type."""
    relation_kind: str = ""
    """PostgreSQL's `relkind`: `r` for a table, `p` for a partitioned one, `I` for its index."""
    populated: bool = True
    """False for a materialized view WITH NO DATA."""
    row_security: bool = False
    """Whether row-level security is on."""
    policies: frozenset[str] = frozenset()
    checks: tuple[str, ...] = ()
    """Its validated CHECK constraints, as `CHECK (…)`; for a domain, all its constraints."""
    empty_tables: frozenset[str] = frozenset()
    """Those of the relation itself, `shares_rows_with`, `cascades` and `dependents` that hold no row, as `schema.name`."""
    last_values: Mapping[str, tuple[int | None, int]] = field(default_factory=dict)
    """How far a sequence is, under the name "", and those that belong to columns of a table, under the columns' names: the last
    value, None if it was never used, and the increment."""
    dependents: tuple[Dependent, ...] = ()
    """For objects dropped with CASCADE: what is dropped with them."""


Facts = Mapping[ObjectRef, ObjectFacts]
"""The requested objects that exist. A requested object that isn't in here doesn't exist."""


def row_estimate_text(rows: int | None) -> str:
    """` (≈2.1 M rows)`, for use after a table's name; "" without an estimate."""
    return "" if rows is None else f" ({amount_text(rows, 'row')})"
