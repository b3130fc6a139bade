"""Which rows a WHERE condition selects, as far as its text shows."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from mosaic_deploy.sql.hazards.syntax.names import string_values
from mosaic_deploy.sql.parse import Tree

_REFLEXIVE_OPERATORS = frozenset({"=", "<=", ">="})
_COMPARISON_SIGNS = {"=": (0,), "<=": (-1, 0), ">=": (0, 1), "<": (-1,), ">": (1,), "<>": (-1, 1)}
"""The results of comparing two numbers (-1: the left one is less) for which the operator holds."""
_NotNullColumns = Callable[[], Collection[str]]


def is_always_true(
    where: Tree, not_null_columns: _NotNullColumns = tuple, null_columns: Collection[str] = ()
) -> bool:
    """Whether the condition is visibly true for every row: `true`, `1 = 1`, `id = id`, `a OR true`.

    `not_null_columns` returns the columns that can't be null; it is called only if needed. `null_columns` are null in
    every row.
    """
    kind, fields = next(iter(where.items()))
    if kind == "A_Const":
        return bool(fields.get("boolval", {}).get("boolval"))
    if kind == "TypeCast":
        return _casts_to_true(fields)
    if kind == "BoolExpr":
        return _boolean_is_always_true(fields, not_null_columns, null_columns)
    if kind == "NullTest":
        column = _column(fields.get("arg", {}))
        if fields.get("nulltesttype") == "IS_NULL":
            return column in null_columns
        return column is not None and column in not_null_columns()
    return kind == "A_Expr" and (_comparison_is_constant(fields) or _distinguishes_null(fields, null_columns))


def _distinguishes_null(fields: Tree, null_columns: Collection[str]) -> bool:
    """`c IS NOT DISTINCT FROM NULL` and `c IS DISTINCT FROM 'x'`, for a column that is null in every row."""
    other = fields.get("rexpr", {})
    if _column(fields.get("lexpr", {})) not in null_columns or "A_Const" not in other:
        return False
    null = bool(other["A_Const"].get("isnull"))
    return fields.get("kind") == ("AEXPR_NOT_DISTINCT" if null else "AEXPR_DISTINCT")


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


def _boolean_is_always_true(
    fields: Tree, not_null_columns: _NotNullColumns, null_columns: Collection[str]
) -> bool:
    parts = fields.get("args", [])
    if fields.get("boolop") == "NOT_EXPR":
        return _is_never_true(parts[0], null_columns)
    one = any if fields.get("boolop") == "OR_EXPR" else all
    return one(is_always_true(part, not_null_columns, null_columns) for part in parts)


def _is_never_true(where: Tree, null_columns: Collection[str] = ()) -> bool:
    kind, fields = next(iter(where.items()))
    if kind == "BoolExpr" and fields.get("boolop") == "NOT_EXPR":
        return is_always_true(fields["args"][0], tuple, null_columns)
    if kind == "NullTest" and fields.get("nulltesttype") == "IS_NOT_NULL":
        return _column(fields.get("arg", {})) in null_columns
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
