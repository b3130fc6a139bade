"""What is live of the objects that a review asks about: handed in, so that the review itself stays pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class ObjectKind(StrEnum):
    RELATION = "relation"
    """Tables, views, indexes and sequences: they share their names."""
    SCHEMA = "schema"
    TYPE = "type"
    EXTENSION = "extension"
    FUNCTION = "function"
    """Functions and procedures of any schema that people have made; extensions' own are not there."""
    ANY_TABLE = "anything"
    """Whether the database holds a table at all; its name is empty."""


class ObjectRef(NamedTuple):
    """One question: is there such an object? `name` is written as SQL, quoted, with a schema where one is meant."""

    kind: ObjectKind
    name: str


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """The answer where there is one. `schema`, `name` are the object's own; `rows` is PostgreSQL's estimate.

    `columns` has each column's type as `format_type` writes it, `primary_keys` the names of such constraints,
    `storage_options` the storage options (`security_invoker=true`). Only relations have these.
    """

    schema: str = ""
    name: str = ""
    rows: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    primary_keys: frozenset[str] = frozenset()
    storage_options: frozenset[str] = frozenset()
    not_null_columns: frozenset[str] = frozenset()
    """Columns that can't be null."""
    shares_rows_with: frozenset[str] = frozenset()
    """Other tables whose rows are seen through it, as `schema.name`: partitions and children, what it is a
    partition or child of, and the tables below a view and its rules."""
    cascades: frozenset[str] = frozenset()
    """Tables that lose rows or values when its rows are deleted, by foreign keys that say so."""
    tables_with_row_type: frozenset[str] = frozenset()
    """Tables with a column of its row type."""
    routine_definitions: tuple[str, ...] = ()
    """Of functions: each as its CREATE statement; empty where it is in a language that can't be read."""


Facts = Mapping[ObjectRef, ObjectFacts]
"""Every name that was asked for and is there. What was asked for and isn't here doesn't exist."""


def row_estimate_text(rows: int | None) -> str:
    """` (≈2.1 M rows)`, to be put behind a table's name; empty where there is no estimate."""
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
