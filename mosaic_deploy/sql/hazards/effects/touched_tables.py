"""Which live tables' rows a statement touches: those of the table it names, and of tables connected to it in the catalog."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.live_objects import ObjectFacts
from mosaic_deploy.sql.hazards.syntax.names import Name


class TouchedTables(NamedTuple):
    """Live tables, in the form of Hazard's. `table` is the one the statement names, "" if it isn't live."""

    table: str
    cascades_to: tuple[str, ...]
    parents: frozenset[str] = frozenset()
    """Those of `cascades_to` that lose no row of their own, as the statement only touches partitions or children of them."""

    def __bool__(self) -> bool:
        return bool(self.table)

    @property
    def all(self) -> tuple[str, ...]:
        return (self.table, *self.cascades_to) if self.table else self.cascades_to


def touched_tables(scope: Scope, name: Name, *, deletes: bool = False) -> TouchedTables:
    """The live tables that lose or change rows when rows of `name` are deleted or overwritten.

    Nothing for a relation that the files create. For a view these are the tables it reads; for a table its partitions and
    children, and its own parents.
    `deletes`: rows are deleted, so foreign keys with ON DELETE CASCADE or SET NULL apply too.
    """
    if not scope.existed_before(name):
        return TouchedTables("", ())
    table, key = scope.live_name(name), scope.key(name)
    fact = scope.facts_of(name) or ObjectFacts()
    renamed = [f"{key.schema}.{key.name}"] if key != scope.origin(name) else []
    found = (*renamed, *sorted(fact.shares_rows_with), *(sorted(fact.cascades) if deletes else ()))
    return TouchedTables(table, tuple(one for one in dict.fromkeys(found) if one != table), fact.parents)


def known_empty(
    scope: Scope, tables: Collection[str], step: int, parents: Collection[str] = frozenset()
) -> bool:
    """Whether these live tables surely hold no rows but those that step `step` itself writes.

    A table that another step of these files writes to may hold its rows by then. Of `parents` only that counts: such a row may be in
    one of the tables.
    """
    written = {f"{key.schema}.{key.name}" for key, steps in scope.written.items() if not steps <= {step}}
    return bool(tables) and scope.empty_tables.issuperset(tables) and written.isdisjoint((*tables, *parents))
