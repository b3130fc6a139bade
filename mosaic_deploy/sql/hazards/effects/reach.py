"""Whose rows a statement touches: the table that it names, and those behind it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.facts import ObjectFacts
from mosaic_deploy.sql.hazards.syntax.names import Name


class TouchedTables(NamedTuple):
    """Live tables as in Hazard. `table` is the one that the statement names, empty where it isn't live."""

    table: str
    cascades_to: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.table or self.cascades_to)

    @property
    def all(self) -> tuple[str, ...]:
        return (self.table, *self.cascades_to) if self.table else self.cascades_to

    @property
    def through_text(self) -> str:
        """` (through it public.orders)` for what these files have made, to be put behind the name."""
        return "" if self.table else f" (through it {', '.join(self.cascades_to)})"


def touched_tables(scope: Scope, name: Name, *, deletes: bool = False) -> TouchedTables:
    """Whose rows are overwritten or gone where those of `name` are.

    Behind a view stand the tables that it reads, behind a table its partitions and children, and what it is one
    of. `deletes`: rows are deleted one by one, so that foreign keys which say so take others with them.
    """
    found: dict[str, None] = {}
    waiting, seen = [name], {name}
    while waiting:
        one = waiting.pop(0)
        found.update(dict.fromkeys(_own_tables(scope, one, deletes=deletes)))
        relation = scope.relation(one)
        behind = {**relation.shares_rows_with, **(relation.cascades if deletes else {})}
        for other, live in behind.items():
            found.update(dict.fromkeys(live))
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    table = scope.live_name(name) if scope.existed_before(name) else ""
    found.pop(table, None)
    return TouchedTables(table, tuple(found))


def _own_tables(scope: Scope, name: Name, *, deletes: bool) -> Iterable[str]:
    """The live relation that the name means, under its old and its new name, and what the database has behind it."""
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
