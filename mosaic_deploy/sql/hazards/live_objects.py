"""Facts about live objects that a review asks for. The caller fetches them, so a review does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class ObjectKind(StrEnum):
    RELATION = "relation"
    """Tables, views, indexes and sequences, which share one namespace."""
    SCHEMA = "schema"
    TYPE = "type"
    EXTENSION = "extension"
    FUNCTION = "function"
    """Functions and procedures in any schema, except those of PostgreSQL and of extensions."""
    ANY_TABLE = "anything"
    """Whether the database has any table; the name is empty."""


class ObjectRef(NamedTuple):
    """An object to look up. `name` is quoted SQL, with a schema if one is known."""

    kind: ObjectKind
    name: str


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
    tables_with_row_type: frozenset[str] = frozenset()
    """Tables with a column of its row type."""
    routine_definitions: tuple[str, ...] = ()
    """For functions: each overload's CREATE statement; "" if its language can't be read."""


Facts = Mapping[ObjectRef, ObjectFacts]
"""The requested objects that exist. A requested object that isn't in here doesn't exist."""


def row_estimate_text(rows: int | None) -> str:
    """` (≈2.1 M rows)`, for use after a table's name; "" without an estimate."""
    if rows is None:
        return ""
    if rows == 1:
        return " (≈1 row)"
    value, unit = float(rows), ""
    for larger in (" k", " M", " G"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    number = f"{value:.1f}".removesuffix(".0") if unit else str(rows)
    return f" (≈{number}{unit} rows)"
