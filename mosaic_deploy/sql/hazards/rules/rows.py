"""Rules about statements that delete or overwrite rows of existing tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from mosaic_deploy.model.hazard import HazardSeverity
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.effects.touched_tables import TouchedTables, touched_tables
from mosaic_deploy.sql.hazards.live_objects import ObjectFacts
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.names import Name, range_name, string_values
from mosaic_deploy.sql.hazards.syntax.trees import Effect
from mosaic_deploy.sql.parse import Tree

_TABLE = "{table}"
_EVERY_ROW = f"every row of {_TABLE}"


def truncate(effect: Effect, scope: Scope) -> Iterator[Finding]:
    cascades = effect.node.get("behavior") == "DROP_CASCADE"
    for item in effect.node.get("relations", []):
        table = range_name(item["RangeVar"])
        if hit := touched_tables(scope, table):
            further = ", and every table that references it" if cascades else ""
            what = f"empties table {table}{hit.through_text}{scope.row_estimate(table)}{further}"
            yield Finding(what, str(table), "*" if cascades else hit.table, cascades_to=hit.cascades_to)


def delete_without_where(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for rows, _ in _row_changes(effect, "CMD_DELETE", table, scope):
        if rows is not None and (hit := touched_tables(scope, table, deletes=True)):
            what = f"deletes {_rows_phrase(rows, table, hit)}{scope.row_estimate(table)}"
            yield Finding(what, str(table), hit.table, cascades_to=hit.cascades_to)


def update_without_where(effect: Effect, scope: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    for rows, targets in _row_changes(effect, "CMD_UPDATE", table, scope):
        if rows is None or not (hit := touched_tables(scope, table)):
            continue
        names = ", ".join(sorted(targets))
        if targets <= scope.relation(table).added_columns:
            filled = f"{_rows_phrase(rows, table, hit)}{scope.row_estimate(table)}"
            what = f"fills {names} in {filled} at once: rows stay locked until commit"
            yield Finding(what, str(table), severity=HazardSeverity.BLOCKING)
            continue
        what = f"overwrites {names} in {_rows_phrase(rows, table, hit)}{scope.row_estimate(table)}"
        yield Finding(what, str(table), hit.table, cascades_to=hit.cascades_to)


def protected_rows(effect: Effect, scope: Scope) -> Iterator[Finding]:
    """Deletes and updates with a condition, which are allowed except on protected tables."""
    if not scope.protected_tables:
        return
    table = range_name(effect.node["relation"])
    added = scope.relation(table).added_columns
    for command, verb in (("CMD_DELETE", "deletes rows"), ("CMD_UPDATE", "overwrites")):
        for rows, targets in _row_changes(effect, command, table, scope):
            if rows is not None or (targets and targets <= added):
                continue
            if _only_fills_nulls(effect, targets):
                continue
            hit = touched_tables(scope, table, deletes=command == "CMD_DELETE")
            if scope.is_protected(*hit.all):
                columns = f" {', '.join(sorted(targets))} in rows" if targets else ""
                what = f"{verb}{columns} of {table}{hit.through_text}"
                yield Finding(what, str(table), hit.table, cascades_to=hit.cascades_to)


def _rows_phrase(rows: str, table: Name, hit: TouchedTables) -> str:
    return rows.replace(_TABLE, f"{table}{hit.through_text}")


def _only_fills_nulls(effect: Effect, targets: Collection[str]) -> bool:
    """Whether an UPDATE sets values only where they are null."""
    return effect.kind == "UpdateStmt" and matches_only_nulls(effect.node.get("whereClause"), targets)


def _row_changes(
    effect: Effect, command: str, table: Name, scope: Scope
) -> Iterator[tuple[str | None, frozenset[str]]]:
    """How the effect deletes or updates rows: (which rows, the columns it sets).

    `which rows` is a template such as `_EVERY_ROW`; None if a condition limits them.
    """
    node = effect.node
    if f"CMD_{effect.kind.removesuffix('Stmt').upper()}" == command:
        yield (
            _EVERY_ROW if _matches_every_row(node.get("whereClause"), table, scope) else None,
            _set_columns(node),
        )
    elif effect.kind == "InsertStmt" and command == "CMD_UPDATE":
        conflict = node.get("onConflictClause", {})
        if conflict.get("action") == "ONCONFLICT_UPDATE":
            yield None, _set_columns(conflict)
    elif effect.kind == "MergeStmt":
        for item in node.get("mergeWhenClauses", []):
            clause = item["MergeWhenClause"]
            if clause.get("commandType") == command:
                yield _merged_rows(clause, node["joinCondition"], table, scope), _set_columns(clause)


def _merged_rows(clause: Tree, join: Tree, table: Name, scope: Scope) -> str | None:
    if not _matches_every_row(clause.get("condition"), table, scope):
        return None
    if clause.get("matchKind") == "MERGE_WHEN_NOT_MATCHED_BY_SOURCE":
        return f"{_EVERY_ROW} that isn't in the source"
    return _EVERY_ROW if _matches_every_row(join, table, scope) else None


def _set_columns(node: Tree) -> frozenset[str]:
    return frozenset(str(item.get("ResTarget", {}).get("name")) for item in node.get("targetList", []))


def _matches_every_row(where: Tree | None, table: Name, scope: Scope) -> bool:
    def not_null_columns() -> Collection[str]:
        return (scope.facts_of(table) or ObjectFacts()).not_null_columns

    return where is None or is_always_true(where, not_null_columns)


_REFLEXIVE_OPERATORS = frozenset({"=", "<=", ">="})
_COMPARISON_SIGNS = {"=": (0,), "<=": (-1, 0), ">=": (0, 1), "<": (-1,), ">": (1,), "<>": (-1, 1)}
"""The results of comparing two numbers (-1: the left one is less) for which the operator holds."""
_NotNullColumns = Callable[[], Collection[str]]


def is_always_true(where: Tree, not_null_columns: _NotNullColumns = tuple) -> bool:
    """Whether the condition is visibly true for every row: `true`, `1 = 1`, `id = id`, `a OR true`.

    `not_null_columns` returns the columns that can't be null; it is called only if needed.
    """
    kind, fields = next(iter(where.items()))
    if kind == "A_Const":
        return bool(fields.get("boolval", {}).get("boolval"))
    if kind == "TypeCast":
        return _casts_to_true(fields)
    if kind == "BoolExpr":
        return _boolean_is_always_true(fields, not_null_columns)
    if kind == "NullTest":
        column = _column(fields.get("arg", {}))
        return (
            fields.get("nulltesttype") == "IS_NOT_NULL"
            and column is not None
            and column in not_null_columns()
        )
    return kind == "A_Expr" and _comparison_is_constant(fields)


def matches_only_nulls(where: Any, columns: Collection[str]) -> bool:
    """Whether the condition selects only rows in which each of these columns is null."""
    if not where or not columns:
        return False
    parts, found = [where], set()
    while parts:
        part = parts.pop()
        expression = part.get("BoolExpr", {})
        if expression.get("boolop") == "AND_EXPR":
            parts += expression.get("args", [])
        test = part.get("NullTest", {})
        if test.get("nulltesttype") == "IS_NULL":
            found.add(_column(test.get("arg", {})))
    return set(columns) <= found


def _boolean_is_always_true(fields: Tree, not_null_columns: _NotNullColumns) -> bool:
    parts = fields.get("args", [])
    if fields.get("boolop") == "NOT_EXPR":
        return _is_never_true(parts[0])
    one = any if fields.get("boolop") == "OR_EXPR" else all
    return one(is_always_true(part, not_null_columns) for part in parts)


def _is_never_true(where: Tree) -> bool:
    kind, fields = next(iter(where.items()))
    if kind == "BoolExpr" and fields.get("boolop") == "NOT_EXPR":
        return is_always_true(fields["args"][0])
    if kind == "A_Const":
        return "boolval" in fields and not fields["boolval"].get("boolval")
    return kind == "A_Expr" and _comparison_is_constant(fields, negated=True)


def _comparison_is_constant(fields: Tree, *, negated: bool = False) -> bool:
    """Whether a comparison of two constants, or of a column with itself, is always true (or false if `negated`)."""
    [operator] = string_values(fields.get("name", [])) or [""]
    left, right = fields.get("lexpr", {}), fields.get("rexpr", {})
    if not isinstance(left, dict) or not isinstance(right, dict):
        return False
    if "ColumnRef" in left and _column(left) == _column(right):
        return operator in _REFLEXIVE_OPERATORS and not negated and _table(left) == _table(right)
    one, other = _number(left), _number(right)
    if one is None or other is None:
        same = "A_Const" in left and _value(left["A_Const"]) == _value(right.get("A_Const"))
        return same and operator == "=" and not negated
    holds = (one > other) - (one < other) in _COMPARISON_SIGNS.get(operator, ())
    return operator in _COMPARISON_SIGNS and holds is not negated


def _casts_to_true(cast: Tree) -> bool:
    text = str(cast.get("arg", {}).get("A_Const", {}).get("sval", {}).get("sval", "")).lower()
    return string_values(cast["typeName"].get("names", []))[-1:] == ["bool"] and text in (
        "t",
        "true",
        "yes",
        "on",
        "1",
    )


def _column(node: Tree) -> str | None:
    fields = node.get("ColumnRef", {}).get("fields", []) if isinstance(node, dict) else []
    return string_values(fields)[-1] if string_values(fields) else None


def _table(node: Tree) -> list[str]:
    return string_values(node["ColumnRef"]["fields"])[:-1]


def _number(node: Tree) -> int | None:
    constant = node.get("A_Const", {})
    return int(constant["ival"].get("ival", 0)) if "ival" in constant else None


def _value(constant: Any) -> Any:
    return {key: value for key, value in (constant or {}).items() if key != "location"}
