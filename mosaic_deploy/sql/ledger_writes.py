"""The schema of the ledger, which only deploys write: statements of a user's that would change something in it.

Seen is what a statement names: itself, its parts, what a DO block or the body of a function that it creates says, and
SQL that such a block executes as a constant. SQL that is put together as it runs isn't. Reading is nobody's concern.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mosaic_deploy.sql.hazards.effects.acts import acts, body_acts
from mosaic_deploy.sql.hazards.syntax.trees import WRITES, Act
from mosaic_deploy.sql.parse import Statement, Tree

SCHEMA = "mosaic_deploy"
_READS = frozenset({"SelectStmt", "ColumnRef", "FuncCall", "TableLikeClause"})
"""Nodes inside a statement that only read what they name."""
_HARMLESS = frozenset({"VacuumStmt", "ExplainStmt", "PrepareStmt", "DeclareCursorStmt"})
"""Statements that change nothing that they name; what PREPARE and EXPLAIN ANALYZE hold is looked at by itself."""
_NAMING = ("schemaname", "newschema")
_READING_RIGHTS = frozenset({"select", "usage"})


def first_write(statements: Sequence[Statement], text: str) -> tuple[Statement, int] | None:
    """The first statement that writes to the schema, and the place in `text`, in characters; None where none does."""
    if SCHEMA not in text.lower():
        return None
    for statement in statements:
        if SCHEMA in statement.text.lower():
            for act in _all_acts(statement):
                if _writes(act):
                    return statement, statement.offset if act.at is None else act.at
    return None


def _all_acts(statement: Statement) -> Iterator[Act]:
    tree = statement.node
    if statement.kind == "InsertStmt" and statement.parsed is None:
        # `acts` spares itself the plain ones of a large file.
        yield Act(statement.kind, tree, 0)
    yield from acts(statement, 0)
    if statement.kind == "CreateFunctionStmt":
        for act in body_acts(statement, tree):
            # A place in the body isn't one in the file.
            yield Act(act.kind, act.node, 0, at=statement.offset)


def _writes(act: Act) -> bool:
    node = act.node
    if act.kind in WRITES:
        return _of_range(node.get("relation"))
    if act.kind == "SelectStmt":
        return _of_range(node.get("intoClause", {}).get("rel"))
    if act.kind == "CopyStmt":
        return bool(node.get("is_from")) and _of_range(node.get("relation"))
    if act.kind in _HARMLESS or (act.kind == "GrantStmt" and _only_reading(node)):
        return False
    return _about_schema(node) or _names(node)


def _of_range(relation: Any) -> bool:
    return isinstance(relation, dict) and relation.get("schemaname") == SCHEMA


def _only_reading(node: Tree) -> bool:
    """Whether a GRANT lets somebody read, and nothing else."""
    rights = [item.get("AccessPriv", {}).get("priv_name") for item in node.get("privileges", [])]
    return bool(node.get("is_grant")) and bool(rights) and set(rights) <= _READING_RIGHTS


def _about_schema(node: Tree) -> bool:
    """Whether the statement is about the schema itself, whose name then stands alone."""
    kinds = (node.get(name) for name in ("removeType", "renameType", "objtype", "objectType"))
    if "OBJECT_SCHEMA" not in kinds and node.get("targtype") != "ACL_TARGET_ALL_IN_SCHEMA":
        return False
    named = [
        node.get("subname"),
        node.get("newname"),
        *_strings(node.get("objects")),
        *_strings([node.get("object")]),
    ]
    return SCHEMA in named


def _names(root: Any) -> bool:
    """Whether the schema is named anywhere below where more than reading is meant."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            if len(node) > 1 and _strings(node[:1]) == [SCHEMA]:
                return True
            waiting.extend(node)
        elif isinstance(node, dict):
            if any(node.get(name) == SCHEMA for name in _NAMING) or _sets_path(node) or _moves_into(node):
                return True
            waiting.extend(inner for kind, inner in node.items() if kind not in _READS)
    return False


def _sets_path(node: Tree) -> bool:
    """Whether what follows would find the schema's tables by their bare names."""
    if node.get("name") != "search_path":
        return False
    constants = (item.get("A_Const", {}).get("sval", {}).get("sval", "") for item in node.get("args", []))
    return any(SCHEMA in str(constant) for constant in constants)


def _moves_into(node: Tree) -> bool:
    """CREATE EXTENSION … SCHEMA."""
    return node.get("defname") == "schema" and _strings([node.get("arg")]) == [SCHEMA]


def _strings(items: Any) -> list[str]:
    found = [item["String"] for item in items or () if isinstance(item, dict) and "String" in item]
    return [str(each.get("sval", "")) for each in found]
