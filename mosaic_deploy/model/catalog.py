"""Objects of a database schema, as read from PostgreSQL's catalogs, and their differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class SchemaObject:
    """A table, or an object in the table `parent`, such as a column or index. Names are SQL names without `public.`."""

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
"""Schema objects and their definitions in PostgreSQL's form; empty if there is nothing beyond the name."""


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A changed object. `before` is None if it was added, `after` is None if it was dropped."""

    object: SchemaObject
    before: str | None
    after: str | None

    @property
    def action(self) -> str:
        if self.before is None:
            return "add"
        return "drop" if self.after is None else "change"
