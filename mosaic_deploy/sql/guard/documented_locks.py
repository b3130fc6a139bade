"""The locks of statements outside transactions, as PostgreSQL's documentation has them: when they have ended, nothing shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mosaic_deploy.sql.parse import Statement, Tree

_WEAK, _FULL = "SHARE UPDATE EXCLUSIVE", "ACCESS EXCLUSIVE"
_NONE = frozenset(
    {
        "CreatedbStmt",
        "DropdbStmt",
        "CreateTableSpaceStmt",
        "DropTableSpaceStmt",
        "AlterSystemStmt",
        "CreateSubscriptionStmt",
        "DropSubscriptionStmt",
        "DiscardStmt",
    }
)
"""Statements that lock no table."""


class DocumentedLock(NamedTuple):
    """A lock on a table, or on the table of an index; `schema` is empty if the statement has none."""

    schema: str
    name: str
    mode: str
    rewrites: bool = False


def documented_locks(statement: Statement) -> tuple[DocumentedLock, ...] | None:
    """None if they depend on what the statement runs, or on which tables there are."""
    kind, node = statement.kind, statement.node
    if kind in _NONE:
        return ()
    if kind == "DropStmt":
        return tuple(_named(item["List"]["items"]) for item in node["objects"])
    if kind == "VacuumStmt" and "rels" in node:
        return tuple(_vacuumed(node))
    if kind in ("IndexStmt", "ReindexStmt", "AlterTableStmt") and "relation" in node:
        return (_lock(node["relation"], _WEAK), *_detached(node))
    return None


def _vacuumed(node: Tree) -> Iterator[DocumentedLock]:
    full = any(_is_full(item["DefElem"]) for item in node.get("options", []))
    for item in node["rels"]:
        yield _lock(item["VacuumRelation"]["relation"], _FULL if full else _WEAK, rewrites=full)


def _is_full(option: Tree) -> bool:
    """Whether it is `FULL`, or `FULL true`."""
    values: Tree = next(iter(option.get("arg", {}).values()), {})
    value = values.get("sval", values.get("boolval", values.get("ival", "true")))
    return option.get("defname") == "full" and str(value).lower() not in ("false", "off", "0", "{}")


def _detached(node: Tree) -> Iterator[DocumentedLock]:
    for item in node.get("cmds", []):
        if partition := item.get("AlterTableCmd", {}).get("def", {}).get("PartitionCmd"):
            yield _lock(partition["name"], _FULL)


def _lock(relation: Tree, mode: str, *, rewrites: bool = False) -> DocumentedLock:
    return DocumentedLock(str(relation.get("schemaname", "")), str(relation["relname"]), mode, rewrites)


def _named(parts: list[Tree]) -> DocumentedLock:
    names = [str(part["String"]["sval"]) for part in parts]
    return DocumentedLock(names[-2] if len(names) > 1 else "", names[-1], _WEAK)
