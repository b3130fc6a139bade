"""Rules about rows: what empties or overwrites a table that exists."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from mosaic_deploy.model.hazard import Danger
from mosaic_deploy.sql.hazards.effects.reach import Touched, touched
from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.facts import Fact
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.names import Name, of_range, strings
from mosaic_deploy.sql.hazards.syntax.trees import Act
from mosaic_deploy.sql.parse import Tree

_TABLE = "{table}"
_EVERY = f"every row of {_TABLE}"


def truncate(act: Act, scope: Scope) -> Iterator[Finding]:
    cascades = act.node.get("behavior") == "DROP_CASCADE"
    for item in act.node.get("relations", []):
        table = of_range(item["RangeVar"])
        if hit := touched(scope, table):
            further = ", and every table that refers to it" if cascades else ""
            what = f"empties table {table}{hit.through}{scope.rows(table)}{further}"
            yield Finding(what, str(table), "*" if cascades else hit.table, reaches=hit.reaches)


def delete_without_where(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    for some, _ in _changes(act, "CMD_DELETE", table, scope):
        if some is not None and (hit := touched(scope, table, deletes=True)):
            what = f"deletes {_of(some, table, hit)}{scope.rows(table)}"
            yield Finding(what, str(table), hit.table, reaches=hit.reaches)


def update_without_where(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    for some, targets in _changes(act, "CMD_UPDATE", table, scope):
        if some is None or not (hit := touched(scope, table)):
            continue
        names = ", ".join(sorted(targets))
        if targets <= scope.relation(table).added:
            what = f"fills {names} in {_of(some, table, hit)} at once: they stay locked until it commits"
            yield Finding(what + scope.rows(table), str(table), severity=Danger.BLOCKING)
            continue
        what = f"overwrites {names} in {_of(some, table, hit)}{scope.rows(table)}"
        yield Finding(what, str(table), hit.table, reaches=hit.reaches)


def protected_rows(act: Act, scope: Scope) -> Iterator[Finding]:
    """What narrows its rows down, where the policy protects whichever they are."""
    if not scope.protected:
        return
    table = of_range(act.node["relation"])
    added = scope.relation(table).added
    for command, verb in (("CMD_DELETE", "deletes rows"), ("CMD_UPDATE", "overwrites")):
        for some, targets in _changes(act, command, table, scope):
            if some is not None or (targets and targets <= added):
                continue
            if _only_fills(act, targets):
                continue
            hit = touched(scope, table, deletes=command == "CMD_DELETE")
            if scope.protects(*hit.all):
                columns = f" {', '.join(sorted(targets))} in rows" if targets else ""
                yield _of_rows(f"{verb}{columns} of {table}", table, hit)


def _of(some: str, table: Name, hit: Touched) -> str:
    return some.replace(_TABLE, f"{table}{hit.through}")


def _of_rows(what: str, table: Name, hit: Touched) -> Finding:
    return Finding(f"{what}{hit.through}", str(table), hit.table, reaches=hit.reaches)


def _only_fills(act: Act, targets: Collection[str]) -> bool:
    """An UPDATE that puts values only where there were none."""
    return act.kind == "UpdateStmt" and leaves_values(act.node.get("whereClause"), targets)


def _changes(
    act: Act, command: str, table: Name, scope: Scope
) -> Iterator[tuple[str | None, frozenset[str]]]:
    """How the act deletes or updates rows: (which ones, the columns that it sets).

    Which ones is `_EVERY` or the like, with the table to be put in, None where a condition narrows them down.
    """
    node = act.node
    if f"CMD_{act.kind.removesuffix('Stmt').upper()}" == command:
        yield _EVERY if _always(node.get("whereClause"), table, scope) else None, _targets(node)
    elif act.kind == "InsertStmt" and command == "CMD_UPDATE":
        conflict = node.get("onConflictClause", {})
        if conflict.get("action") == "ONCONFLICT_UPDATE":
            yield None, _targets(conflict)
    elif act.kind == "MergeStmt":
        for item in node.get("mergeWhenClauses", []):
            clause = item["MergeWhenClause"]
            if clause.get("commandType") == command:
                yield _merged(clause, node["joinCondition"], table, scope), _targets(clause)


def _merged(clause: Tree, join: Tree, table: Name, scope: Scope) -> str | None:
    if not _always(clause.get("condition"), table, scope):
        return None
    if clause.get("matchKind") == "MERGE_WHEN_NOT_MATCHED_BY_SOURCE":
        return f"{_EVERY} that the source doesn't have"
    return _EVERY if _always(join, table, scope) else None


def _targets(node: Tree) -> frozenset[str]:
    return frozenset(str(item.get("ResTarget", {}).get("name")) for item in node.get("targetList", []))


def _always(where: Tree | None, table: Name, scope: Scope) -> bool:
    def required() -> Collection[str]:
        return (scope.fact(table) or Fact()).required

    return where is None or always(where, required)


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
