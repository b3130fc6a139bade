"""Rules about constraints on existing tables."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.sql.hazards.effects.partitions import is_partitioned, proves_bound
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.effects.touched_tables import known_empty
from mosaic_deploy.sql.hazards.live_objects import ObjectFacts, ObjectKind
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.names import Name, list_name, quote_if_needed, range_name
from mosaic_deploy.sql.hazards.syntax.trees import (
    Effect,
    alter_commands,
    column_constraints,
    default_expression,
    expression_from_text,
)
from mosaic_deploy.sql.parse import Tree

_INDEX_CONSTRAINTS = {
    "CONSTR_UNIQUE": "a unique constraint",
    "CONSTR_PRIMARY": "a primary key",
    "CONSTR_EXCLUSION": "an exclusion constraint",
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
    for definition, _ in alter_commands(effect, "AT_AlterConstraint"):
        enforces = definition.get("alterEnforceability") and definition.get("is_enforced")
        if enforces and scope.existed_before(table):
            name = f"{table}.{quote_if_needed(str(definition.get('conname')))}"
            rows = scope.row_estimate(table)
            yield Finding(
                f"enforces foreign key {name}: checks every row{rows}, blocking writes to both tables", name
            )


def check_validates(effect: Effect, scope: Scope) -> Iterator[Finding]:
    if effect.kind == "AlterDomainStmt":
        yield from _domain_check(effect, scope)
        return
    for constraint in _added_constraints(effect, "CONSTR_CHECK"):
        table = range_name(effect.node["relation"])
        if constraint.get("skip_validation") or not scope.existed_before(table):
            continue
        what = (
            f"adds a check to {table}: checks every row{scope.row_estimate(table)}, blocking reads and writes"
        )
        yield Finding(what, _constraint_object(table, constraint), byte_location=constraint.get("location"))


def _domain_check(effect: Effect, scope: Scope) -> Iterator[Finding]:
    domain = list_name(effect.node.get("typeName", []))
    constraint = effect.node.get("def", {}).get("Constraint", {})
    adds = effect.node.get("subtype") == "C" and not constraint.get("skip_validation")
    if (adds or effect.node.get("subtype") == "O") and scope.existed_before(domain, ObjectKind.TYPE):
        change = "adds a check to" if adds else "sets NOT NULL on"
        what = f"{change} domain {domain}: checks every row of every table that uses it, blocking writes"
        yield Finding(what, str(domain))


def attach_scans(effect: Effect, scope: Scope) -> Iterator[Finding]:
    """ATTACH PARTITION, unless a validated check proves that every row fits."""
    table = range_name(effect.node["relation"])
    for definition, _ in alter_commands(effect, "AT_AttachPartition"):
        partition = range_name(definition["name"])
        bound = definition.get("bound", {})
        if not scope.existed_before(partition) or _is_empty(partition, effect, scope):
            continue
        if not any(proves_bound(check, bound, not_null) for check, not_null in _checks(partition, scope)):
            rows = scope.row_estimate(partition)
            what = f"attaches {partition}{rows} to {table}: checks every row of it, blocking reads and writes"
            yield Finding(what, str(partition))


def _is_empty(table: Name, effect: Effect, scope: Scope) -> bool:
    return known_empty(scope, (scope.live_name(table),), effect.step)


def _checks(table: Name, scope: Scope) -> Iterator[tuple[Tree, frozenset[str]]]:
    """The validated checks of a table, each with the table's columns that can't be null."""
    relation, fact = scope.relation(table), scope.facts_of(table) or ObjectFacts()
    not_null = frozenset(relation.not_null | relation.proven_not_null | fact.not_null_columns)
    for check in relation.checks.values():
        yield check, not_null
    for text in fact.checks:
        if check := expression_from_text(text.removeprefix("CHECK ")):
            yield check, not_null


def constraint_builds_index(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for constraint in _added_constraints(effect, *_INDEX_CONSTRAINTS):
        if constraint.get("indexname") or not scope.existed_before(table):
            continue
        kind = _INDEX_CONSTRAINTS[constraint["contype"]]
        instead = ""
        if is_partitioned(table, scope):
            if not effect.node["relation"].get("inh"):
                continue  # ONLY: the table itself has no rows, and its partitions' indexes are attached later
            instead = "ALTER TABLE ONLY … ADD CONSTRAINT, build a unique index on each partition CONCURRENTLY, then ATTACH PARTITION"
        elif constraint["contype"] == "CONSTR_EXCLUSION" or constraint.get("without_overlaps"):
            instead = "it can't be built CONCURRENTLY: add it while the table is small or nothing uses it"
        what = (
            f"adds {kind} to {table}{scope.row_estimate(table)}: builds its index, blocking reads and writes"
        )
        yield Finding(
            what,
            _constraint_object(table, constraint),
            byte_location=constraint.get("location"),
            instead=instead,
        )


def validate_same_transaction(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for _, command in alter_commands(effect, "AT_ValidateConstraint"):
        name = str(command.get("name", ""))
        if scope.relation(table).unvalidated.get(name) != effect.step or not scope.existed_before(table):
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
