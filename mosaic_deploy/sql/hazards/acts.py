"""A statement as everything it does: itself, what stands in its WITH, and what a DO block runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mosaic_deploy.sql.hazards.plpgsql import Dynamic, do_body
from mosaic_deploy.sql.parse import Statement, Tree

DYNAMIC = "DynamicSql"
"""The kind of an act whose SQL is made as it runs; its node has `text`, what can be seen of it."""
_WRITES = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that a statement does. `unit` is the number of the transaction it happens in, across all files.

    `certain` is false where it may not happen, or be undone: inside a DO block, before ROLLBACK TO. `at` is a place in the file in characters,
    None where the node's own byte locations are the file's.
    """

    kind: str
    node: Tree
    unit: int
    certain: bool = True
    at: int | None = None


def acts(statement: Statement, unit: int, *, certain: bool = True) -> Iterator[Act]:
    """What `statement` does, itself first."""
    if statement.kind == "InsertStmt" and statement.parsed is None:
        return  # a large file's: nothing that begins with INSERT can hold another command
    yield from _act(Act(statement.kind, statement.node, unit, certain))
    if statement.kind != "DoStmt":
        return
    for inner in do_body(statement):
        if isinstance(inner, Dynamic):
            yield Act(DYNAMIC, {"text": inner.text}, unit, certain=False, at=inner.offset)
        else:
            yield from _act(Act(inner.kind, inner.node, unit, certain=False, at=inner.offset))


def _act(act: Act) -> Iterator[Act]:
    yield act
    for inner in _within(act):
        kind, node = next(iter(inner.items()), ("", {}))
        yield from _act(Act(kind, node, act.unit, act.certain, act.at))


def _within(act: Act) -> Iterator[Tree]:
    """Trees of what happens as a part of it."""
    for item in act.node.get("withClause", {}).get("ctes", []):
        query = item.get("CommonTableExpr", {}).get("ctequery", {})
        if not _WRITES.isdisjoint(query):
            yield query
    if act.kind == "CreateSchemaStmt":
        yield from act.node.get("schemaElts", [])
    elif act.kind == "PrepareStmt" or (act.kind == "ExplainStmt" and _analyzes(act.node)):
        yield act.node.get("query", {})


def _analyzes(node: Tree) -> bool:
    return any(item.get("DefElem", {}).get("defname") == "analyze" for item in node.get("options", []))
