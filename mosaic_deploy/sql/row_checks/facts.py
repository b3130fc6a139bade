"""The constraints of a database as values. Tables, columns, domains and routines are identified by OID or number."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Column:
    """`not_null` only if every row is known to have a value. `filled`: with a default, an identity or the value of an earlier
    default, so that a new column has values. `generated` is the expression."""

    number: int
    name: str
    type: str
    type_oid: int
    not_null: bool
    not_inherited: bool
    generated: str
    filled: bool


@dataclass(frozen=True, slots=True)
class Table:
    """`kind` is PostgreSQL's relkind, `file` its relfilenode, `key` the columns of the primary key.

    `acts`: writes to it may change other tables, through triggers, rules or foreign keys.
    """

    oid: int
    schema: str
    name: str
    kind: str
    file: int
    key: tuple[int, ...]
    parents: tuple[int, ...]
    acts: bool
    columns: Mapping[int, Column]


@dataclass(frozen=True, slots=True)
class Constraint:
    """A CHECK (type `c`), FOREIGN KEY (`f`) or EXCLUDE (`x`). `holds` if it was validated."""

    oid: int
    table: int
    name: str
    type: str
    holds: bool
    columns: tuple[int, ...]
    expression: str
    not_inherited: bool
    inherited: bool
    functions: bool
    referenced: int = 0
    referenced_columns: tuple[int, ...] = ()
    match: str = "s"
    operators: tuple[tuple[str, str], ...] = ()
    period: bool = False


@dataclass(frozen=True, slots=True)
class IndexKey:
    """A column (`number`), or an expression. `collation` if it isn't the column's; `usual` if `=` decides what is equal."""

    number: int
    expression: str
    collation: str
    usual: bool


@dataclass(frozen=True, slots=True)
class UniqueIndex:
    """`type` is that of its constraint: `p`, `u`, or empty without one. `columns` are all that it uses."""

    oid: int
    table: int
    name: str
    type: str
    keys: tuple[IndexKey, ...]
    predicate: str
    columns: tuple[int, ...]
    nulls_equal: bool
    exclusion: bool
    inherited: bool
    functions: bool

    @property
    def uses_rows(self) -> bool:
        """Whether it may use whole rows (`t.*`)."""
        return any(".*" in text for text in self.expressions)

    @property
    def expressions(self) -> tuple[str, ...]:
        keys = tuple(key.expression for key in self.keys)
        return (*keys, self.predicate) if self.predicate else keys


@dataclass(frozen=True, slots=True)
class DomainCheck:
    oid: int
    name: str
    holds: bool
    expression: str
    functions: bool


@dataclass(frozen=True, slots=True)
class Domain:
    oid: int
    schema: str
    name: str
    base: str
    not_null: bool
    checks: tuple[DomainCheck, ...]


@dataclass(frozen=True, slots=True)
class ConstraintFacts:
    """By OID. `routines` are (name, digest) of those that aren't PostgreSQL's or an extension's; `volatile` are names."""

    tables: Mapping[int, Table]
    constraints: Mapping[int, Constraint]
    indexes: Mapping[int, UniqueIndex]
    domains: Mapping[int, Domain]
    routines: Mapping[int, tuple[str, str]]
    event_triggers: bool
    volatile: frozenset[str] = frozenset()

    def descendants(self, oid: int) -> frozenset[int]:
        """The table and all its partitions and children."""
        found, waiting = {oid}, [oid]
        while waiting:
            above = waiting.pop()
            below = {each.oid for each in self.tables.values() if above in each.parents} - found
            found |= below
            waiting.extend(below)
        return frozenset(found)


def parse_facts(text: str) -> ConstraintFacts:
    """The facts from FACTS_QUERY's JSON. Raises ValueError."""
    try:
        found: dict[str, Any] = json.loads(text)
        return ConstraintFacts(
            {each["oid"]: _table(each) for each in _by_age(found["tables"])},
            {each["oid"]: _constraint(each) for each in _by_age(found["constraints"])},
            {each["oid"]: _index(each) for each in _by_age(found["indexes"])},
            {each["oid"]: _domain(each) for each in found["domains"] or ()},
            {oid: (name, digest) for oid, name, digest in found["routines"] or ()},
            bool(found["event_triggers"]),
            frozenset(found["volatile"] or ()),
        )
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError("facts about constraints in an unexpected format") from error


def _by_age(found: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    return sorted(found or (), key=lambda each: int(each["oid"]))


def _table(found: dict[str, Any]) -> Table:
    columns = {each[0]: Column(*each) for each in found["columns"] or ()}
    return Table(
        **{**found, "columns": columns, "key": _tuple(found["key"]), "parents": _tuple(found["parents"])}
    )


def _constraint(found: dict[str, Any]) -> Constraint:
    changed = {
        "columns": _tuple(found["columns"]),
        "expression": found["expression"] or "",
        "referenced_columns": _tuple(found["referenced_columns"]),
        "operators": tuple((schema, name) for schema, name in found["operators"] or ()),
    }
    return Constraint(**{**found, **changed})


def _index(found: dict[str, Any]) -> UniqueIndex:
    keys = tuple(
        IndexKey(each["number"], each["expression"], each["collation"] or "", bool(each["usual"]))
        for each in found["keys"]
    )
    # Columns of a constraint depend on that, and not on the index.
    columns = tuple(sorted({*(key.number for key in keys), *_tuple(found["columns"])} - {0}))
    changed = {"keys": keys, "columns": columns, "predicate": found["predicate"] or ""}
    return UniqueIndex(**{**found, **changed})


def _domain(found: dict[str, Any]) -> Domain:
    return Domain(**{**found, "checks": tuple(DomainCheck(**each) for each in found["checks"] or ())})


def _tuple(found: Iterable[int] | None) -> tuple[int, ...]:
    return tuple(found or ())
