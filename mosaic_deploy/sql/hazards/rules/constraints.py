"""Rules about constraints on a table that exists."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.names import Name, of_range, shown
from mosaic_deploy.sql.hazards.syntax.trees import Act, commands, constraints, default_of
from mosaic_deploy.sql.parse import Tree

_INDEXED = {
    "CONSTR_UNIQUE": "unique constraint",
    "CONSTR_PRIMARY": "primary key",
    "CONSTR_EXCLUSION": "exclusion constraint",
}


def foreign_key_validates(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    for constraint in _added(act, "CONSTR_FOREIGN"):
        if constraint.get("skip_validation") or not scope.exists(table):
            continue
        other = of_range(constraint["pktable"])
        what = f"adds a foreign key from {table} to {other}: every row is checked while writes to both wait"
        yield Finding(what + scope.rows(table), _named(table, constraint), at=constraint.get("location"))


def check_validates(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    for constraint in _added(act, "CONSTR_CHECK"):
        if constraint.get("skip_validation") or not scope.exists(table):
            continue
        what = f"adds a check to {table}: every row is checked while reads and writes wait"
        yield Finding(what + scope.rows(table), _named(table, constraint), at=constraint.get("location"))


def constraint_builds_index(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    for constraint in _added(act, *_INDEXED):
        if constraint.get("indexname") or not scope.exists(table):
            continue
        kind = _INDEXED[constraint["contype"]]
        what = f"adds a {kind} to {table}: its index is built while reads and writes wait{scope.rows(table)}"
        yield Finding(what, _named(table, constraint), at=constraint.get("location"))


def validate_same_transaction(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    for _, command in commands(act, "AT_ValidateConstraint"):
        name = str(command.get("name", ""))
        if scope.relation(table).unvalidated.get(name) != act.unit or not scope.exists(table):
            continue
        what = (
            f"validates {shown(name)} in the transaction that added it, whose lock on {table} is still held"
        )
        yield Finding(what + scope.rows(table), f"{table}.{shown(name)}")


def _added(act: Act, *kinds: str) -> Iterator[Tree]:
    """Constraints of these kinds that ALTER TABLE adds, by themselves or beside a new column."""
    for constraint, _ in commands(act, "AT_AddConstraint"):
        if constraint.get("contype") in kinds:
            yield constraint
    for definition, _ in commands(act, "AT_AddColumn"):
        for constraint in constraints(definition):
            if constraint["contype"] in kinds and not _passes_unseen(definition, constraint):
                yield constraint


def _passes_unseen(definition: Tree, constraint: Tree) -> bool:
    """A reference in a new column that is null everywhere: PostgreSQL doesn't check it."""
    return constraint["contype"] == "CONSTR_FOREIGN" and default_of(definition) is None


def _named(table: Name, constraint: Tree) -> str:
    name = constraint.get("conname")
    return f"{table}.{shown(name)}" if name else str(table)
