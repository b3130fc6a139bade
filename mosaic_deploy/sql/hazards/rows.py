"""Rules about rows: what empties or overwrites a table that exists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mosaic_deploy.model.hazard import Danger
from mosaic_deploy.sql.hazards.acts import Act
from mosaic_deploy.sql.hazards.names import of_range
from mosaic_deploy.sql.hazards.rule import Finding
from mosaic_deploy.sql.hazards.scope import Scope
from mosaic_deploy.sql.parse import Tree


def truncate(act: Act, scope: Scope) -> Iterator[Finding]:
    cascades = act.node.get("behavior") == "DROP_CASCADE"
    for item in act.node.get("relations", []):
        table = of_range(item["RangeVar"])
        if scope.exists(table):
            further = ", and every table that refers to it" if cascades else ""
            what = f"empties table {table}{scope.rows(table)}{further}"
            yield Finding(what, str(table), "*" if cascades else scope.full(table))


def delete_without_where(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    if is_unconditional(act.node) and scope.exists(table):
        yield Finding(f"deletes every row of {table}{scope.rows(table)}", str(table), scope.full(table))


def update_without_where(act: Act, scope: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    if not is_unconditional(act.node) or not scope.exists(table):
        return
    targets = {item.get("ResTarget", {}).get("name") for item in act.node.get("targetList", [])}
    if targets <= scope.relation(table).added:
        what = f"fills {', '.join(sorted(map(str, targets)))} in every row of {table} at once: they stay locked until it commits"
        yield Finding(what + scope.rows(table), str(table), severity=Danger.BLOCKING)
        return
    what = f"overwrites {', '.join(sorted(map(str, targets)))} in every row of {table}{scope.rows(table)}"
    yield Finding(what, str(table), scope.full(table))


def is_unconditional(node: Tree) -> bool:
    """Whether an UPDATE or DELETE has no WHERE, or one that is always true (`true`, `1 = 1`)."""
    where = node.get("whereClause")
    return where is None or _always(where)


def _always(where: Any) -> bool:
    if "A_Const" in where:
        return bool(where["A_Const"].get("boolval", {}).get("boolval"))
    expression = where.get("A_Expr", {})
    left, right = expression.get("lexpr", {}).get("A_Const"), expression.get("rexpr", {}).get("A_Const")
    if left is None or right is None or expression.get("name") != [{"String": {"sval": "="}}]:
        return False
    return bool(_value(left) == _value(right))


def _value(constant: Tree) -> Tree:
    return {key: value for key, value in constant.items() if key != "location"}
