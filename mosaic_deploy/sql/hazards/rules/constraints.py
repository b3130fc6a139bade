"""Rules about constraints on existing tables."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.names import Name, quote_if_needed, range_name
from mosaic_deploy.sql.hazards.syntax.trees import (
    Effect,
    alter_commands,
    column_constraints,
    default_expression,
)
from mosaic_deploy.sql.parse import Tree

_INDEX_CONSTRAINTS = {
    "CONSTR_UNIQUE": "unique constraint",
    "CONSTR_PRIMARY": "primary key",
    "CONSTR_EXCLUSION": "exclusion constraint",
}


def foreign_key_validates(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for constraint in _added_constraints(effect, "CONSTR_FOREIGN"):
        if constraint.get("skip_validation") or not scope.existed_before(table):
            continue
        other = range_name(constraint["pktable"])
        rows = scope.row_estimate(table)
        what = f"adds a foreign key from {table} to {other}: checks every row{rows}, blocking writes to both tables"
        yield Finding(
            what,
            _constraint_object(table, constraint),
            byte_location=constraint.get("location"),
        )


def check_validates(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for constraint in _added_constraints(effect, "CONSTR_CHECK"):
        if constraint.get("skip_validation") or not scope.existed_before(table):
            continue
        what = (
            f"adds a check to {table}: checks every row{scope.row_estimate(table)}, blocking reads and writes"
        )
        yield Finding(what, _constraint_object(table, constraint), byte_location=constraint.get("location"))


def constraint_builds_index(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for constraint in _added_constraints(effect, *_INDEX_CONSTRAINTS):
        if constraint.get("indexname") or not scope.existed_before(table):
            continue
        kind = _INDEX_CONSTRAINTS[constraint["contype"]]
        what = f"adds a {kind} to {table}{scope.row_estimate(table)}: builds its index, blocking reads and writes"
        yield Finding(what, _constraint_object(table, constraint), byte_location=constraint.get("location"))


def validate_same_transaction(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for _, command in alter_commands(effect, "AT_ValidateConstraint"):
        name = str(command.get("name", ""))
        if scope.relation(table).unvalidated.get(name) != effect.unit or not scope.existed_before(table):
            continue
        what = (
            f"validates {quote_if_needed(name)} in the transaction that added it, which still locks {table}"
        )
        yield Finding(what + scope.row_estimate(table), f"{table}.{quote_if_needed(name)}")


def _added_constraints(effect: Effect, *kinds: str) -> Iterator[Tree]:
    """Constraints of these kinds that ALTER TABLE adds, alone or with a new column."""
    for constraint, _ in alter_commands(effect, "AT_AddConstraint"):
        if constraint.get("contype") in kinds:
            yield constraint
    for definition, _ in alter_commands(effect, "AT_AddColumn"):
        for constraint in column_constraints(definition):
            if constraint["contype"] in kinds and not _skips_validation(definition, constraint):
                yield constraint


def _skips_validation(definition: Tree, constraint: Tree) -> bool:
    """Whether the constraint is a reference from a new, all-null column, which PostgreSQL doesn't check."""
    return constraint["contype"] == "CONSTR_FOREIGN" and default_expression(definition) is None


def _constraint_object(table: Name, constraint: Tree) -> str:
    name = constraint.get("conname")
    return f"{table}.{quote_if_needed(name)}" if name else str(table)
