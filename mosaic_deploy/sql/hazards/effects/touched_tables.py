"""Which tables' rows a statement touches: those of the table it names, and of tables connected to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.live_objects import ObjectFacts
from mosaic_deploy.sql.hazards.syntax.names import Name


class TouchedTables(NamedTuple):
    """Live tables, in the form of Hazard's. `table` is the one the statement names, "" if it isn't live."""

    table: str
    cascades_to: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.table or self.cascades_to)

    @property
    def all(self) -> tuple[str, ...]:
        return (self.table, *self.cascades_to) if self.table else self.cascades_to

    @property
    def through_text(self) -> str:
        """` (which affects public.orders)`, for use after a name that these files create; "" for a live table."""
        return "" if self.table else f" (which affects {', '.join(self.cascades_to)})"


def touched_tables(scope: Scope, name: Name, *, deletes: bool = False) -> TouchedTables:
    """The live tables that lose or change rows when rows of `name` are deleted or overwritten.

    For a view these are the tables it reads; for a table its partitions and children, and its own parents.
    `deletes`: rows are deleted, so foreign keys with ON DELETE CASCADE or SET NULL apply too.
    """
    found: dict[str, None] = {}
    waiting, seen = [name], {name}
    while waiting:
        one = waiting.pop(0)
        found.update(dict.fromkeys(_own_tables(scope, one, deletes=deletes)))
        relation = scope.relation(one)
        dependents = {**relation.shares_rows_with, **(relation.cascades if deletes else {})}
        for other, live in dependents.items():
            found.update(dict.fromkeys(live))
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    table = scope.live_name(name) if scope.existed_before(name) else ""
    found.pop(table, None)
    return TouchedTables(table, tuple(found))


def known_empty(scope: Scope, tables: Collection[str], step: int) -> bool:
    """Whether these live tables surely hold no rows but those that step `step` itself writes.

    A table that another step of these files writes to may hold its rows by then.
    """
    written = {f"{key.schema}.{key.name}" for key, steps in scope.written.items() if not steps <= {step}}
    return bool(tables) and scope.empty_tables.issuperset(tables) and written.isdisjoint(tables)


def _own_tables(scope: Scope, name: Name, *, deletes: bool) -> Iterable[str]:
    """The live relation behind the name (old and new name) and what the live database connects to it."""
    if not scope.existed_before(name):
        return
    yield scope.live_name(name)
    key = scope.key(name)
    if key != scope.origin(name):
        yield f"{key.schema}.{key.name}"
    fact = scope.facts_of(name) or ObjectFacts()
    yield from sorted(fact.shares_rows_with)
    if deletes:
        yield from sorted(fact.cascades)
