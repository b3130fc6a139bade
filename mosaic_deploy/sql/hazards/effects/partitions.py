"""What rules need to know about partitioned tables."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.live_objects import ObjectFacts
from mosaic_deploy.sql.hazards.syntax.names import Name, string_values
from mosaic_deploy.sql.parse import Tree
from mosaic_deploy.sql.tree import walk


def is_partitioned(table: Name, scope: Scope) -> bool:
    """Whether the table has partitions and no rows of its own."""
    found = scope.facts_of(table) or ObjectFacts()
    return scope.relation(table).partitioned or found.relation_kind == "p"


def is_partitioned_index(index: Name, scope: Scope) -> bool:
    found = scope.facts_of(index) or ObjectFacts()
    return scope.relation(index).partitioned or found.relation_kind == "I"


def proves_bound(check: Tree, bound: Tree, not_null: Collection[str]) -> bool:
    """Whether a CHECK expression proves a partition's bounds, so that PostgreSQL needn't read its rows.

    It compares with each value of the bounds, and its columns can't be null. What it does with the values isn't
    checked: ATTACH PARTITION fails if rows don't fit.
    """
    if bound.get("strategy") == "h" or bound.get("is_default"):
        return False
    wanted, found = set(_constants(bound)), set(_constants(check))
    tested = {_column(node.get("arg")) for kind, node in walk(check) if kind == "NullTest"}
    columns = {_column({kind: node}) for kind, node in walk(check) if kind == "ColumnRef"}
    return all(_is_among(one, found) for one in wanted) and columns <= {*tested, *not_null}


def _constants(root: Any) -> Iterator[str]:
    for kind, node in walk(root):
        if kind == "A_Const" and not node.get("isnull"):
            value: Tree = next((value for key, value in node.items() if key != "location"), {})
            yield str(next(iter(value.values()), 0))


def _is_among(value: str, others: Collection[str]) -> bool:
    """`2026-01-01` and `2026-01-01 00:00:00` are the same."""
    return any(value == one or one.startswith(f"{value} ") or value.startswith(f"{one} ") for one in others)


def _column(node: Any) -> str:
    fields = string_values((node or {}).get("ColumnRef", {}).get("fields", []))
    return fields[-1] if fields else ""
