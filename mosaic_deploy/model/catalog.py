"""Objects of a database schema, as read from PostgreSQL's catalogs, and their differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class SchemaObject:
    """A table, or an object in the table `parent`, such as a column or index. Names are SQL names without `public.`.

    Of a grant, `name` is who has it, and `parent` what it is on; of a comment, `name` is the kind and name of its object.
    """

    kind: str
    name: str
    parent: str = ""

    def __str__(self) -> str:
        """`table items`, `column items.price`, `index items_name on items`, `grant to app on items`."""
        if self.kind == "comment":
            return f"comment on {self.name}"
        kind = "grant to" if self.kind == "grant" else self.kind
        if not self.parent:
            return f"{kind} {self.name}"
        return (
            f"{kind} {self.parent}.{self.name}"
            if kind == "column"
            else f"{kind} {self.name} on {self.parent}"
        )


Catalog = Mapping[SchemaObject, str]
"""Schema objects and their definitions in PostgreSQL's form; empty if there is nothing beyond the name."""


_PRIVILEGES = ("grant", "default privileges")


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

    @property
    def definition(self) -> str:
        """`integer → bigint`, or the new definition; nothing for one of several lines, such as a function's body.

        Of what was dropped, only privileges.
        """
        before, after = self.before, self.after
        if "\n" in f"{before or ''}{after or ''}":
            return ""
        if after is None:
            return (before or "") if self.object.kind in _PRIVILEGES else ""
        if before is None:
            return after
        return f"{before or 'nothing'} → {after or 'nothing'}"

    @property
    def summary(self) -> str:
        """`column books.title text`, without a sign."""
        return f"{self.object} {self.definition}".rstrip()
