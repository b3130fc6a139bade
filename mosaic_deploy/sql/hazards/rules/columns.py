"""Rules about columns and names of existing tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mosaic_deploy.sql.hazards.effects.dropped import (
    dependents,
    dependents_text,
    dropped_objects,
    tables_of,
)
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.effects.touched_tables import touched_tables
from mosaic_deploy.sql.hazards.live_objects import ObjectFacts, ObjectKind
from mosaic_deploy.sql.hazards.rules.lossy_casts import cast_loss, expression_loss
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax import types
from mosaic_deploy.sql.hazards.syntax.functions import volatile_call
from mosaic_deploy.sql.hazards.syntax.names import (
    Name,
    list_name,
    quote_if_needed,
    range_name,
    string_values,
)
from mosaic_deploy.sql.hazards.syntax.trees import (
    Effect,
    alter_commands,
    column_constraints,
    default_expression,
    gives_values,
)
from mosaic_deploy.sql.parse import Tree
from mosaic_deploy.sql.tree import walk


def drop_column(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for _, command in alter_commands(effect, "AT_DropColumn"):
        column = str(command.get("name", ""))
        if column in scope.relation(table).added_columns or not scope.existed_before(table):
            continue
        dropped = next(one for one in dropped_objects(effect) if one.part == column and one.kind == "column")
        found = dependents(scope, dropped) or ()
        rows = scope.row_estimate(table)
        what = f"drops column {table}.{quote_if_needed(column)}{rows}{dependents_text(found)}"
        hit = touched_tables(scope, table)
        tables = tuple(dict.fromkeys((*hit.cascades_to, *tables_of(found))))
        name, parents = f"{table}.{quote_if_needed(column)}", hit.parents.difference(tables_of(found))
        yield Finding(what, name, hit.table, cascades_to=tables, parents=parents)


def column_values_lost(effect: Effect, scope: Scope) -> Iterator[Finding]:
    """ALTER COLUMN … TYPE from which the old values can't be recovered."""
    table = range_name(effect.node["relation"])
    added = scope.relation(table).added_columns
    for definition, command in alter_commands(effect, "AT_AlterColumnType"):
        column, using = str(command.get("name", "")), definition.get("raw_default")
        if column in added or not scope.existed_before(table):
            continue
        hit = touched_tables(scope, table)
        why = _lost_values(column, definition, using, scope.column(table, column))
        if not why and scope.is_protected(*hit.all) and not _only_casts(using, column, None):
            why = "recomputes its values"
        if why:
            name = f"{table}.{quote_if_needed(column)}"
            what = f"changes the type of {name} and {why}{scope.row_estimate(table)}"
            place = definition.get("location")
            others, parents = hit.cascades_to, hit.parents
            yield Finding(what, name, hit.table, byte_location=place, cascades_to=others, parents=parents)


def _lost_values(column: str, definition: Tree, using: Any, old: types.ColumnType | None) -> str:
    """What is lost of the column's values; "" if nothing, or if it can't be determined."""
    if using and not _reads_column(using, column):
        return "discards its values: USING doesn't read the column"
    new = types.type_from_node(definition["typeName"])
    if not _only_casts(using, column, None):
        return expression_loss(using, column, new)
    if old is None:
        return ""
    steps = [old, *_cast_types(using), new]
    explicit = [True] * (len(steps) - 2) + [False]
    lost = (
        cast_loss(a, b, explicit=by_hand) for a, b, by_hand in zip(steps, steps[1:], explicit, strict=False)
    )
    return next((why for why in lost if why), "")


def _cast_types(expression: Any) -> list[types.ColumnType]:
    """The types that the casts around a column go through, innermost first."""
    found: list[types.ColumnType] = []
    while expression and "TypeCast" in expression:
        found.insert(0, types.type_from_node(expression["TypeCast"]["typeName"]))
        expression = expression["TypeCast"]["arg"]
    return found


def _reads_column(expression: Any, column: str) -> bool:
    """Whether the expression reads the column."""
    references = (fields.get("fields", []) for kind, fields in walk(expression) if kind == "ColumnRef")
    return any(part.get("String", {}).get("sval") == column for each in references for part in each)


def column_type(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for _, command in alter_commands(effect, "AT_AlterColumnType"):
        column, definition = str(command.get("name", "")), command["def"]["ColumnDef"]
        new = types.type_from_node(definition["typeName"])
        if not scope.existed_before(table):
            continue
        old = scope.column(table, column)
        plain = _only_casts(definition.get("raw_default"), column, new)
        if old and plain and not types.rewrites_table(old, new):
            continue
        before = f" from {old}" if old else ""
        rewrites = "rewrites the table" if old else "may rewrite the table"
        what = f"changes the type of {table}.{quote_if_needed(column)}{before} to {new}, which {rewrites}{scope.row_estimate(table)}"
        yield Finding(what, f"{table}.{quote_if_needed(column)}", byte_location=definition.get("location"))


def _only_casts(expression: Any, column: str, new: types.ColumnType | None) -> bool:
    """Whether USING is missing, is the column itself, or only casts it to `new` (to any type if `new` is None)."""
    if not expression:
        return True
    while (cast := expression.get("TypeCast")) and new in (None, types.type_from_node(cast["typeName"])):
        expression = cast["arg"]
    fields = expression.get("ColumnRef", {}).get("fields", [])
    return bool(fields) and fields[-1].get("String", {}).get("sval") == column


def add_column_rewrites(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for definition, why in _rewriting_columns(effect, scope):
        if not scope.existed_before(table):
            continue
        column = f"{table}.{quote_if_needed(definition['colname'])}"
        what = f"adds column {column} {why}, which rewrites the table{scope.row_estimate(table)}"
        yield Finding(what, column, byte_location=definition.get("location"))


def _rewriting_columns(effect: Effect, scope: Scope) -> Iterator[tuple[Tree, str]]:
    """Added columns whose value differs per row, and why."""
    for definition, _ in alter_commands(effect, "AT_AddColumn"):
        if definition["typeName"]["names"][-1].get("String", {}).get("sval") in types.SERIALS:
            yield definition, "as a serial"
            continue
        kinds = {c["contype"]: c for c in column_constraints(definition)}
        if "CONSTR_IDENTITY" in kinds:
            yield definition, "as an identity"
        elif generated := kinds.get("CONSTR_GENERATED"):
            if generated.get("generated_kind") != "v":
                yield definition, "as a stored generated column"
        elif called := volatile_call(default_expression(definition), scope.stable_functions):
            yield definition, f"with a default computed per row ({called}())"
        elif _is_constrained_domain(definition["typeName"], scope):
            yield definition, "of a domain with a constraint"


def _is_constrained_domain(node: Tree, scope: Scope) -> bool:
    name = list_name(node.get("names", []))
    if "arrayBounds" in node or name.schema == "pg_catalog":
        return False
    found = scope.facts_of(name, ObjectKind.TYPE) or ObjectFacts()
    return bool(scope.relation(name).checks or found.checks)


def not_null_without_default(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for definition, _ in alter_commands(effect, "AT_AddColumn"):
        if not _lacks_default(definition) or not scope.existed_before(table):
            continue
        column = f"{table}.{quote_if_needed(definition['colname'])}"
        what = f"adds column {column} as NOT NULL without a default: fails if the table has rows"
        yield Finding(what + scope.row_estimate(table), column, byte_location=definition.get("location"))


def _lacks_default(definition: Tree) -> bool:
    kinds = {c["contype"] for c in column_constraints(definition)}
    required = not kinds.isdisjoint({"CONSTR_NOTNULL", "CONSTR_PRIMARY"})
    return required and not gives_values(definition)


def set_not_null(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    columns = [str(command.get("name", "")) for _, command in alter_commands(effect, "AT_SetNotNull")]
    for constraint, _ in alter_commands(effect, "AT_AddConstraint"):
        if constraint.get("contype") == "CONSTR_NOTNULL" and not constraint.get("skip_validation"):
            columns += string_values(constraint.get("keys", []))
    for column in columns:
        if (
            column in scope.relation(table).not_null
            or column in scope.relation(table).proven_not_null
            or not scope.existed_before(table)
        ):
            continue
        name = f"{table}.{quote_if_needed(column)}"
        what = f"sets {name} NOT NULL: checks every row{scope.row_estimate(table)}, blocking reads and writes"
        yield Finding(what, name)


def primary_key_change(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for _, command in alter_commands(effect, "AT_DropConstraint"):
        name = str(command.get("name", ""))
        if scope.existed_before(table) and _is_primary(name, table, scope):
            what = f"drops primary key {quote_if_needed(name)} of {table}: updates and deletes by key will scan the table"
            yield Finding(what + scope.row_estimate(table), str(table))


def _is_primary(constraint: str, table: Name, scope: Scope) -> bool:
    """According to the live database if known, else to the name PostgreSQL gives primary keys."""
    found = scope.facts_of(table)
    if found is not None and found.primary_keys:
        return constraint in found.primary_keys
    return constraint.endswith("_pkey")
