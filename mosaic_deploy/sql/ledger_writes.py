"""Finds user statements that write to the tracking tables' schema, which only deploys may do. Reading is allowed.

Covers what a statement names itself, in nested statements, in a DO block or the body of a function it creates, and in
SQL that those execute as a constant. SQL assembled at run time isn't covered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mosaic_deploy.sql.hazards.effects.statement_effects import routine_effects, statement_effects
from mosaic_deploy.sql.hazards.syntax.names import list_name
from mosaic_deploy.sql.hazards.syntax.trees import FUNCTION_CALL, WRITE_KINDS, Effect
from mosaic_deploy.sql.parse import Statement, Tree

LEDGER_SCHEMA = "mosaic_deploy"
_READ_NODES = frozenset({"SelectStmt", "ColumnRef", "FuncCall", "TableLikeClause"})
"""Nodes inside a statement that only read the objects they name."""
_HARMLESS_KINDS = frozenset({"VacuumStmt", "ExplainStmt", "PrepareStmt", "DeclareCursorStmt"})
"""Statements that change nothing they name. Those inside PREPARE and EXPLAIN ANALYZE are effects of their own."""
_SCHEMA_FIELDS = ("schemaname", "newschema")
_READ_PRIVILEGES = frozenset({"select", "usage"})


def first_ledger_write(statements: Sequence[Statement], text: str) -> tuple[Statement, int] | None:
    """The first statement that writes to the schema and its offset in `text` in characters; None if there is none."""
    if not may_name_ledger(text):
        return None
    for statement in statements:
        if may_name_ledger(statement.text):
            for effect in _all_effects(statement):
                if _writes(effect):
                    return (
                        statement,
                        statement.offset if effect.file_offset is None else effect.file_offset,
                    )
    return None


def may_name_ledger(text: str) -> bool:
    """Whether the text has the schema's name, or a name with Unicode escapes, which may be it."""
    lowered = text.lower()
    return LEDGER_SCHEMA in lowered or 'u&"' in lowered


def _all_effects(statement: Statement) -> Iterator[Effect]:
    tree = statement.node
    if statement.kind == "InsertStmt" and statement.parsed is None:
        # `statement_effects` skips plain INSERTs of a large file.
        yield Effect(statement.kind, tree, 0)
    yield from statement_effects(statement, 0)
    if statement.kind == "CreateFunctionStmt":
        for effect in routine_effects(statement, tree):
            # An offset in the body isn't one in the file.
            yield Effect(effect.kind, effect.node, 0, file_offset=statement.offset)


def _writes(effect: Effect) -> bool:
    node = effect.node
    if effect.kind in WRITE_KINDS:
        return _is_in_ledger(node.get("relation"))
    if effect.kind == "SelectStmt":
        return _is_in_ledger(node.get("intoClause", {}).get("rel"))
    if effect.kind == FUNCTION_CALL:
        return list_name(node["funcname"]).name == "set_config" and _sets_ledger_path(node.get("args", []))
    if effect.kind == "CopyStmt":
        return bool(node.get("is_from")) and _is_in_ledger(node.get("relation"))
    if effect.kind in _HARMLESS_KINDS or (effect.kind == "GrantStmt" and _grants_only_read(node)):
        return False
    return _targets_schema(node) or _mentions_schema(node)


def _is_in_ledger(relation: Any) -> bool:
    return isinstance(relation, dict) and relation.get("schemaname") == LEDGER_SCHEMA


def _grants_only_read(node: Tree) -> bool:
    """Whether a GRANT gives read privileges only."""
    privileges = [item.get("AccessPriv", {}).get("priv_name") for item in node.get("privileges", [])]
    return bool(node.get("is_grant")) and bool(privileges) and set(privileges) <= _READ_PRIVILEGES


def _targets_schema(node: Tree) -> bool:
    """Whether the statement is about the schema itself."""
    kinds = (node.get(name) for name in ("removeType", "renameType", "objtype", "objectType"))
    if "OBJECT_SCHEMA" not in kinds and node.get("targtype") != "ACL_TARGET_ALL_IN_SCHEMA":
        return False
    named = [
        node.get("subname"),
        node.get("newname"),
        *_string_values(node.get("objects")),
        *_string_values([node.get("object")]),
    ]
    return LEDGER_SCHEMA in named


def _mentions_schema(root: Any) -> bool:
    """Whether a node below `root` names the schema for more than reading."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            if len(node) > 1 and _string_values(node[:1]) == [LEDGER_SCHEMA]:
                return True
            waiting.extend(node)
        elif isinstance(node, dict):
            if (
                any(node.get(name) == LEDGER_SCHEMA for name in _SCHEMA_FIELDS)
                or _sets_search_path(node)
                or _installs_into_schema(node)
            ):
                return True
            waiting.extend(inner for kind, inner in node.items() if kind not in _READ_NODES)
    return False


def _sets_search_path(node: Tree) -> bool:
    """Whether the statement puts the schema on the search path."""
    if node.get("name") != "search_path":
        return False
    constants = (item.get("A_Const", {}).get("sval", {}).get("sval", "") for item in node.get("args", []))
    return any(LEDGER_SCHEMA in str(constant) for constant in constants)


def _sets_ledger_path(arguments: Any) -> bool:
    """Whether the arguments of `set_config` name the search path and the schema."""
    # Both are folded to lower case by PostgreSQL.
    texts = [str(item.get("A_Const", {}).get("sval", {}).get("sval", "")).lower() for item in arguments]
    return texts[:1] == ["search_path"] and any(LEDGER_SCHEMA in text for text in texts[1:2])


def _installs_into_schema(node: Tree) -> bool:
    """CREATE EXTENSION … SCHEMA."""
    return node.get("defname") == "schema" and _string_values([node.get("arg")]) == [LEDGER_SCHEMA]


def _string_values(items: Any) -> list[str]:
    found = [item["String"] for item in items or () if isinstance(item, dict) and "String" in item]
    return [str(each.get("sval", "")) for each in found]
