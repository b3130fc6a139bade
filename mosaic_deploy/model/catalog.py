"""What a database consists of, as far as migrations make it: one value of what PostgreSQL's catalogs say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class SchemaObject:
    """A table, or a column, index, … `parent` a table. Names are written as in SQL, without the schema `public`."""

    kind: str
    name: str
    parent: str = ""

    def __str__(self) -> str:
        """`table items`, `column items.price`, `index items_name on items`."""
        if not self.parent:
            return f"{self.kind} {self.name}"
        return (
            f"{self.kind} {self.parent}.{self.name}"
            if self.kind == "column"
            else f"{self.kind} {self.name} on {self.parent}"
        )


Catalog = Mapping[SchemaObject, str]
"""Each part with its definition as PostgreSQL writes it, empty where the name says all."""


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """`before` is None for a new part, `after` for one that is gone."""

    object: SchemaObject
    before: str | None
    after: str | None

    @property
    def action(self) -> str:
        if self.before is None:
            return "add"
        return "drop" if self.after is None else "change"
