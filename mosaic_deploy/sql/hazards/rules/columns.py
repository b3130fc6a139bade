"""Rules about the columns of a table that exists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mosaic_deploy.sql.hazards.effects.reach import touched
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.rules.lossy_casts import loses
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax import types
from mosaic_deploy.sql.hazards.syntax.names import Name, of_range, shown
from mosaic_deploy.sql.hazards.syntax.trees import Act, commands, constraints, default_of, walk
from mosaic_deploy.sql.hazards.syntax.volatility import volatile_call
from mosaic_deploy.sql.parse import Tree


def drop_column(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    for _, command in commands(act, "AT_DropColumn"):
        column = str(command.get("name", ""))
        if column in scope.relation(table).added or not scope.exists(table):
            continue
        what = f"drops column {table}.{shown(column)}{scope.rows(table)}"
        hit = touched(scope, table)
        yield Finding(what, f"{table}.{shown(column)}", hit.table, reaches=hit.reaches)


def column_values_lost(act: Act, scope: Scope) -> Iterator[Finding]:
    """ALTER COLUMN … TYPE whose new values can't give the old ones back."""
    table = of_range(act.node["relation"])
    added = scope.relation(table).added
    for definition, command in commands(act, "AT_AlterColumnType"):
        column, using = str(command.get("name", "")), definition.get("raw_default")
        if column in added or not scope.exists(table):
            continue
        hit = touched(scope, table)
        why = _loss(column, definition, using, scope.column(table, column))
        if not why and scope.protects(*hit.all) and not _only_casts(using, column, None):
            why = "computes new values from the old ones"
        if why:
            name = f"{table}.{shown(column)}"
            what = f"changes the type of {name} and {why}{scope.rows(table)}"
            yield Finding(what, name, hit.table, at=definition.get("location"), reaches=hit.reaches)


def _loss(column: str, definition: Tree, using: Any, old: types.ColumnType | None) -> str:
    """What is lost of the column's values, an empty text where nothing is, or where it can't be told."""
    if using and not _mentions(using, column):
        return "drops its values: USING doesn't read them"
    new = types.of_type_name(definition["typeName"])
    if old is None or not _only_casts(using, column, None):
        return ""
    steps = [old, *_casts(using), new]
    explicit = [True] * (len(steps) - 2) + [False]
    lost = (loses(a, b, explicit=by_hand) for a, b, by_hand in zip(steps, steps[1:], explicit, strict=False))
    return next((why for why in lost if why), "")


def _casts(expression: Any) -> list[types.ColumnType]:
    """The types that the casts around a column go through, the first one first."""
    found: list[types.ColumnType] = []
    while expression and "TypeCast" in expression:
        found.insert(0, types.of_type_name(expression["TypeCast"]["typeName"]))
        expression = expression["TypeCast"]["arg"]
    return found


def _mentions(expression: Any, column: str) -> bool:
    """Whether the expression reads the column, or the whole row."""
    references = (fields.get("fields", []) for kind, fields in walk(expression) if kind == "ColumnRef")
    return any(part.get("String", {}).get("sval") == column for each in references for part in each)


def column_type(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    for _, command in commands(act, "AT_AlterColumnType"):
        column, definition = str(command.get("name", "")), command["def"]["ColumnDef"]
        new = types.of_type_name(definition["typeName"])
        if not scope.exists(table):
            continue
        old = scope.column(table, column)
        plain = _only_casts(definition.get("raw_default"), column, new)
        if old and plain and not types.rewrites(old, new):
            continue
        before = f" from {old}" if old else ""
        rewrites = "rewrites the table" if old else "may rewrite the table"
        what = f"changes the type of {table}.{shown(column)}{before} to {new}, which {rewrites}{scope.rows(table)}"
        yield Finding(what, f"{table}.{shown(column)}", at=definition.get("location"))


def _only_casts(expression: Any, column: str, new: types.ColumnType | None) -> bool:
    """Whether USING is missing, the column itself, or the cast to `new` that PostgreSQL would make anyway.

    Without `new`, any casts.
    """
    if not expression:
        return True
    while (cast := expression.get("TypeCast")) and new in (None, types.of_type_name(cast["typeName"])):
        expression = cast["arg"]
    fields = expression.get("ColumnRef", {}).get("fields", [])
    return bool(fields) and fields[-1].get("String", {}).get("sval") == column


def add_column_rewrites(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    for definition, why in _rewriting(act, scope):
        if not scope.exists(table):
            continue
        column = f"{table}.{shown(definition['colname'])}"
        what = f"adds column {column} {why}, which rewrites the table{scope.rows(table)}"
        yield Finding(what, column, at=definition.get("location"))


def _rewriting(act: Act, scope: Scope) -> Iterator[tuple[Tree, str]]:
    """Added columns whose value differs from row to row, and why."""
    for definition, _ in commands(act, "AT_AddColumn"):
        if definition["typeName"]["names"][-1].get("String", {}).get("sval") in types.SERIALS:
            yield definition, "as a serial"
            continue
        kinds = {c["contype"]: c for c in constraints(definition)}
        if "CONSTR_IDENTITY" in kinds:
            yield definition, "as an identity"
        elif "CONSTR_GENERATED" in kinds:
            yield definition, "as a stored generated column"
        elif called := volatile_call(default_of(definition), scope.steady):
            yield definition, f"with the default {called}(), another value for each row"


def not_null_without_default(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    for definition, _ in commands(act, "AT_AddColumn"):
        if not _lacks_default(definition) or not scope.exists(table):
            continue
        column = f"{table}.{shown(definition['colname'])}"
        what = f"adds column {column} as NOT NULL without a default: it fails if the table has a row"
        yield Finding(what + scope.rows(table), column, at=definition.get("location"))


_GIVES_VALUES = frozenset({"CONSTR_IDENTITY", "CONSTR_GENERATED"})


def _lacks_default(definition: Tree) -> bool:
    kinds = {c["contype"] for c in constraints(definition)}
    serial = definition["typeName"]["names"][-1].get("String", {}).get("sval") in types.SERIALS
    required = not kinds.isdisjoint({"CONSTR_NOTNULL", "CONSTR_PRIMARY"})
    default = default_of(definition)
    has_value = default is not None and not default.get("A_Const", {}).get("isnull")
    return required and not serial and not has_value and kinds.isdisjoint(_GIVES_VALUES)


def set_not_null(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    for _, command in commands(act, "AT_SetNotNull"):
        column = str(command.get("name", ""))
        if column in scope.relation(table).proven or not scope.exists(table):
            continue
        name = f"{table}.{shown(column)}"
        what = f"makes {name} NOT NULL: every row is checked while reads and writes wait{scope.rows(table)}"
        yield Finding(what, name)


def rename_table(act: Act, scope: Scope) -> Iterator[Finding]:
    if act.node.get("renameType") != "OBJECT_TABLE":
        return
    table = of_range(act.node["relation"])
    if scope.exists(table):
        what = f"renames table {table} to {shown(act.node['newname'])}: what is running now asks for the old name"
        yield Finding(what, str(table))


def rename_column(act: Act, scope: Scope) -> Iterator[Finding]:
    node = act.node
    if node.get("renameType") != "OBJECT_COLUMN" or node.get("relationType") != "OBJECT_TABLE":
        return
    table = of_range(node["relation"])
    column = str(node.get("subname", ""))
    if column in scope.relation(table).added or not scope.exists(table):
        return
    name = f"{table}.{shown(column)}"
    what = f"renames column {name} to {shown(node['newname'])}: what is running now asks for the old name"
    yield Finding(what, name)


def primary_key_change(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    for _, command in commands(act, "AT_DropConstraint"):
        name = str(command.get("name", ""))
        if scope.exists(table) and _is_primary(name, table, scope):
            what = f"drops the primary key {shown(name)} of {table}: updates and deletes by it scan the table"
            yield Finding(what + scope.rows(table), str(table))


def _is_primary(constraint: str, table: Name, scope: Scope) -> bool:
    """By the live database where it is known, else by the name that PostgreSQL gives primary keys."""
    found = scope.fact(table)
    if found is not None and found.primary_keys:
        return constraint in found.primary_keys
    return constraint.endswith("_pkey")
