"""What CREATE TABLE and ALTER TABLE reveal about a table's constraints, and other statements about its security."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mosaic_deploy.sql.hazards.effects.relation import Relation
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.effects.statement_effects import written_tables
from mosaic_deploy.sql.hazards.syntax.names import Name, list_name, range_name, string_values
from mosaic_deploy.sql.hazards.syntax.trees import Effect, alter_commands, column_constraints, new_columns
from mosaic_deploy.sql.parse import Tree


def record_new_table(effect: Effect, relation: Relation) -> None:
    """Records what CREATE TABLE says about the table besides its columns; nothing if it may exist already."""
    if not effect.certain or effect.node.get("if_not_exists"):
        return
    relation.created = True
    relation.partitioned = "partspec" in effect.node
    relation.row_security = bool(relation.row_security)
    for item in effect.node.get("tableElts", []):
        if "Constraint" in item:
            _record_constraint(item["Constraint"], relation, range_name(effect.node["relation"]).name)
    _record_column_constraints(effect, relation)


def record_constraints(effect: Effect, scope: Scope) -> None:
    """Records the constraints that ALTER TABLE adds, validates or drops."""
    table = range_name(effect.node["relation"])
    relation = scope.relation(table)
    for constraint, _ in alter_commands(effect, "AT_AddConstraint"):
        name = _record_constraint(constraint, relation, table.name)
        if constraint.get("skip_validation"):
            relation.unvalidated[name] = effect.step
    for _, command in alter_commands(effect, "AT_ValidateConstraint"):
        name = str(command.get("name", ""))
        relation.checks.update(relation.unvalidated_checks.pop(name, {}))
        if proven := relation.not_null_checks.get(name):
            relation.proven_not_null.add(proven)
    for _, command in alter_commands(effect, "AT_DropConstraint"):
        relation.checks.pop(str(command.get("name", "")), None)
    for _, command in alter_commands(effect, "AT_SetNotNull") if effect.certain else ():
        relation.not_null.add(str(command.get("name", "")))
    for _, command in alter_commands(effect, "AT_DropNotNull"):
        relation.not_null.discard(str(command.get("name", "")))
        relation.proven_not_null.discard(str(command.get("name", "")))
    if effect.certain:
        _record_column_constraints(effect, relation)


def _record_column_constraints(effect: Effect, relation: Relation) -> None:
    for definition in new_columns(effect):
        kinds = {constraint["contype"] for constraint in column_constraints(definition)}
        if not kinds.isdisjoint({"CONSTR_NOTNULL", "CONSTR_PRIMARY"}):
            relation.not_null.add(definition["colname"])


def _record_constraint(constraint: Tree, relation: Relation, table: str) -> str:
    """Records a table constraint; returns its name."""
    kind = constraint.get("contype")
    column = _column_not_null(constraint)
    name = str(constraint.get("conname") or _default_name(table, constraint, column))
    if kind == "CONSTR_CHECK":
        checks = (
            relation.unvalidated_checks.setdefault(name, {})
            if constraint.get("skip_validation")
            else relation.checks
        )
        checks[name] = constraint.get("raw_expr", {})
    if kind == "CONSTR_PRIMARY":
        relation.not_null.update(string_values(constraint.get("keys", [])))
    if column and constraint.get("skip_validation"):
        relation.not_null_checks[name] = column
    elif column:
        relation.proven_not_null.add(column)
    return name


def _default_name(table: str, constraint: Tree, column: str) -> str:
    """The name that PostgreSQL gives an unnamed NOT NULL or CHECK constraint."""
    return f"{table}_{column}_{'not_null' if constraint.get('contype') == 'CONSTR_NOTNULL' else 'check'}"


def _column_not_null(constraint: Tree) -> str:
    """The column of `NOT NULL column` or `CHECK (column IS NOT NULL)`; "" for any other constraint."""
    if constraint.get("contype") == "CONSTR_NOTNULL":
        return next(iter(string_values(constraint.get("keys", []))), "")
    test: Any = (constraint.get("raw_expr") or {}).get("NullTest", {})
    fields = test.get("arg", {}).get("ColumnRef", {}).get("fields", [])
    if constraint.get("contype") != "CONSTR_CHECK" or test.get("nulltesttype") != "IS_NOT_NULL" or not fields:
        return ""
    return str(fields[-1].get("String", {}).get("sval", ""))


_ROW_SECURITY = {"AT_EnableRowSecurity": True, "AT_DisableRowSecurity": False}


def record_row_security(effect: Effect, scope: Scope) -> None:
    """Records row-level security and its policies."""
    if effect.kind == "CreatePolicyStmt":
        scope.relation(range_name(effect.node["table"])).policies.add(effect.node["policy_name"])
    elif effect.kind == "AlterTableStmt":
        for _, command in alter_commands(effect, *_ROW_SECURITY):
            table = range_name(effect.node["relation"])
            scope.relation(table).row_security = _ROW_SECURITY[command["subtype"]]


def record_written_tables(effect: Effect, scope: Scope) -> None:
    """Records whose rows the effect writes."""
    for table, events in written_tables(effect):
        if not events.isdisjoint({"INSERT", "UPDATE"}):
            scope.written.setdefault(scope.origin(table), set()).add(effect.step)
            scope.relation(table).null_columns -= _written_columns(effect, scope.relation(table))


def _written_columns(effect: Effect, relation: Relation) -> set[str]:
    """The columns that an UPDATE or INSERT sets; all of them if it doesn't name them."""
    targets = effect.node.get("targetList" if effect.kind == "UpdateStmt" else "cols", [])
    return {str(item.get("ResTarget", {}).get("name")) for item in targets} or relation.null_columns


def dropped_policies(effect: Effect) -> Iterator[tuple[list[Tree], str]]:
    """(the table's name as a list, the policy) for each policy that a DROP POLICY drops."""
    if effect.node.get("removeType") == "OBJECT_POLICY":
        for item in effect.node.get("objects", []):
            parts = item["List"]["items"]
            yield parts[:-1], list_name(parts).name


def rename_column(scope: Scope, table: Name, old: str, new: str) -> None:
    """Records that a column is renamed."""
    relation = scope.relation(table)
    known = scope.column(table, old) if old in relation.columns else None
    relation.columns.pop(old, None)
    if known:
        relation.columns[new] = known
    for names in (relation.added_columns, relation.null_columns, relation.proven_not_null, relation.not_null):
        if old in names:
            names.remove(old)
            names.add(new)


def rename_policy(scope: Scope, table: Name, old: str, new: str) -> None:
    """Records that a policy is renamed."""
    renamed = scope.relation(table).renamed_policies
    renamed[new] = renamed.pop(old, old)
