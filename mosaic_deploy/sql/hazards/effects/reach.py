"""Whose rows a statement touches: the table that it names, and those behind it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.facts import Fact
from mosaic_deploy.sql.hazards.syntax.names import Name


class Touched(NamedTuple):
    """Live tables as in Hazard. `table` is the one that the statement names, empty where it isn't live."""

    table: str
    reaches: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.table or self.reaches)

    @property
    def all(self) -> tuple[str, ...]:
        return (self.table, *self.reaches) if self.table else self.reaches

    @property
    def through(self) -> str:
        """` (through it public.orders)` for what these files have made, to be put behind the name."""
        return "" if self.table else f" (through it {', '.join(self.reaches)})"


def touched(scope: Scope, name: Name, *, deletes: bool = False) -> Touched:
    """Whose rows are overwritten or gone where those of `name` are.

    Behind a view stand the tables that it reads, behind a table its partitions and children, and what it is one
    of. `deletes`: rows are deleted one by one, so that foreign keys which say so take others with them.
    """
    found: dict[str, None] = {}
    waiting, seen = [name], {name}
    while waiting:
        one = waiting.pop(0)
        found.update(dict.fromkeys(_itself(scope, one, deletes=deletes)))
        relation = scope.relation(one)
        behind = {**relation.holds, **(relation.cascades if deletes else {})}
        for other, live in behind.items():
            found.update(dict.fromkeys(live))
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    table = scope.full(name) if scope.exists(name) else ""
    found.pop(table, None)
    return Touched(table, tuple(found))


def _itself(scope: Scope, name: Name, *, deletes: bool) -> Iterable[str]:
    """The live relation that the name means, under its old and its new name, and what the database has behind it."""
    if not scope.exists(name):
        return
    yield scope.full(name)
    key = scope.key(name)
    if key != scope.origin(name):
        yield f"{key.schema}.{key.name}"
    fact = scope.fact(name) or Fact()
    yield from sorted(fact.holds)
    if deletes:
        yield from sorted(fact.cascades)
