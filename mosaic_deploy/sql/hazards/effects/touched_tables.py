"""Which live tables' rows a statement touches: those of the table it names, and of tables connected to it in the catalog."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.live_objects import ObjectFacts, row_estimate_text
from mosaic_deploy.sql.hazards.syntax.names import Name


class TouchedTables(NamedTuple):
    """Live tables, in the form of Hazard's. `table` is the one the statement names, "" if it isn't live.

    Of `cascades_to`, foreign keys delete the rows of `deleted` and update those of `updated`, each with its row estimate as in
    `row_estimate_text`; the other tables share rows with `table`.
    """

    table: str
    cascades_to: tuple[str, ...]
    parents: frozenset[str] = frozenset()
    """Those of `cascades_to` that lose no row of their own, as the statement only touches partitions or children of them."""
    deleted: Mapping[str, str] = MappingProxyType({})
    updated: Mapping[str, str] = MappingProxyType({})

    def __bool__(self) -> bool:
        return bool(self.table)

    @property
    def all(self) -> tuple[str, ...]:
        return (self.table, *self.cascades_to) if self.table else self.cascades_to

    @property
    def sharing(self) -> tuple[str, ...]:
        """Those of `cascades_to` that share rows with `table`."""
        return tuple(one for one in self.cascades_to if one not in self.deleted and one not in self.updated)


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
    by_key = sorted(fact.cascades - fact.shares_rows_with - {table}) if deletes else []
    found = (*renamed, *sorted(fact.shares_rows_with), *by_key)
    rows = {one: row_estimate_text(fact.cascade_rows.get(one)) for one in by_key if one not in fact.parents}
    updated = {one: text for one, text in rows.items() if one in fact.cascade_updates}
    deleted = {one: text for one, text in rows.items() if one not in updated}
    cascades_to = tuple(one for one in dict.fromkeys(found) if one != table)
    return TouchedTables(table, cascades_to, fact.parents, deleted, updated)


def known_empty(
    scope: Scope, tables: Collection[str], step: int, parents: Collection[str] = frozenset()
) -> bool:
    """Whether these live tables surely hold no rows but those that step `step` itself writes.

    A table that another step of these files writes to may hold its rows by then. Of `parents` only that counts: such a row may be in
    one of the tables.
    """
    written = {f"{key.schema}.{key.name}" for key, steps in scope.written.items() if not steps <= {step}}
    return bool(tables) and scope.empty_tables.issuperset(tables) and written.isdisjoint((*tables, *parents))
