"""Conditions of UPDATE, DELETE and MERGE: which are true of every row, and which spare every value."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from mosaic_deploy.sql.hazards.names import strings
from mosaic_deploy.sql.parse import Tree

_REFLEXIVE = frozenset({"=", "<=", ">="})
_MIRRORED = {"=": (0,), "<=": (-1, 0), ">=": (0, 1), "<": (-1,), ">": (1,), "<>": (-1, 1)}
"""How two numbers may compare, -1 where the left one is less, for the operator to hold."""
_Required = Callable[[], Collection[str]]


def always(where: Tree, required: _Required = tuple) -> bool:
    """Whether the condition is true of every row, as far as it can be seen: `true`, `1 = 1`, `id = id`, `a OR true`.

    `required` gives the columns that can't be null; it is asked only where that matters.
    """
    kind, fields = next(iter(where.items()))
    if kind == "A_Const":
        return bool(fields.get("boolval", {}).get("boolval"))
    if kind == "TypeCast":
        return _says_true(fields)
    if kind == "BoolExpr":
        return _boolean(fields, required)
    if kind == "NullTest":
        column = _column(fields.get("arg", {}))
        return fields.get("nulltesttype") == "IS_NOT_NULL" and column is not None and column in required()
    return kind == "A_Expr" and _compares(fields)


def leaves_values(where: Any, columns: Collection[str]) -> bool:
    """Whether the condition lets only rows through in which each of these columns is null."""
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


def _boolean(fields: Tree, required: _Required) -> bool:
    parts = fields.get("args", [])
    if fields.get("boolop") == "NOT_EXPR":
        return _never(parts[0])
    one = any if fields.get("boolop") == "OR_EXPR" else all
    return one(always(part, required) for part in parts)


def _never(where: Tree) -> bool:
    kind, fields = next(iter(where.items()))
    if kind == "BoolExpr" and fields.get("boolop") == "NOT_EXPR":
        return always(fields["args"][0])
    if kind == "A_Const":
        return "boolval" in fields and not fields["boolval"].get("boolval")
    return kind == "A_Expr" and _compares(fields, negated=True)


def _compares(fields: Tree, *, negated: bool = False) -> bool:
    """A constant with a constant, or a column with itself (which is true of all that aren't null)."""
    [operator] = strings(fields.get("name", [])) or [""]
    left, right = fields.get("lexpr", {}), fields.get("rexpr", {})
    if not isinstance(left, dict) or not isinstance(right, dict):
        return False
    if "ColumnRef" in left and _column(left) == _column(right):
        return operator in _REFLEXIVE and not negated and _table(left) == _table(right)
    one, other = _number(left), _number(right)
    if one is None or other is None:
        same = "A_Const" in left and _value(left["A_Const"]) == _value(right.get("A_Const"))
        return same and operator == "=" and not negated
    holds = (one > other) - (one < other) in _MIRRORED.get(operator, ())
    return operator in _MIRRORED and holds is not negated


def _says_true(cast: Tree) -> bool:
    text = str(cast.get("arg", {}).get("A_Const", {}).get("sval", {}).get("sval", "")).lower()
    return strings(cast["typeName"].get("names", []))[-1:] == ["bool"] and text in (
        "t",
        "true",
        "yes",
        "on",
        "1",
    )


def _column(node: Tree) -> str | None:
    fields = node.get("ColumnRef", {}).get("fields", []) if isinstance(node, dict) else []
    return strings(fields)[-1] if strings(fields) else None


def _table(node: Tree) -> list[str]:
    return strings(node["ColumnRef"]["fields"])[:-1]


def _number(node: Tree) -> int | None:
    constant = node.get("A_Const", {})
    return int(constant["ival"].get("ival", 0)) if "ival" in constant else None


def _value(constant: Any) -> Any:
    return {key: value for key, value in (constant or {}).items() if key != "location"}
