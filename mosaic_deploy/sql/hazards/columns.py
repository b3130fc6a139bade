"""Rules about the columns of a table that exists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mosaic_deploy.sql.hazards import types
from mosaic_deploy.sql.hazards.acts import Act
from mosaic_deploy.sql.hazards.names import Name, of_range, shown
from mosaic_deploy.sql.hazards.rule import Finding
from mosaic_deploy.sql.hazards.scope import Scope
from mosaic_deploy.sql.hazards.trees import commands, constraints, default_of
from mosaic_deploy.sql.hazards.volatility import volatile_call
from mosaic_deploy.sql.parse import Tree


def drop_column(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    for _, command in commands(act, "AT_DropColumn"):
        column = str(command.get("name", ""))
        if column in scope.relation(table).added or not scope.exists(table):
            continue
        what = f"drops column {table}.{shown(column)}{scope.rows(table)}"
        yield Finding(what, f"{table}.{shown(column)}", scope.full(table))


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


def _only_casts(expression: Any, column: str, new: types.ColumnType) -> bool:
    """Whether USING is missing, the column itself, or the cast that PostgreSQL would make anyway."""
    if not expression:
        return True
    cast = expression.get("TypeCast")
    if cast and types.of_type_name(cast["typeName"]) == new:
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
