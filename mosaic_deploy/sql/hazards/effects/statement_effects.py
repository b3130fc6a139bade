"""What a statement says that it does: itself, nested statements, the body of a DO block, function calls."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from mosaic_deploy.sql.hazards.syntax.names import Name, range_name, unquoted
from mosaic_deploy.sql.hazards.syntax.plpgsql import DynamicSql, block_statements
from mosaic_deploy.sql.hazards.syntax.trees import (
    DYNAMIC_SQL,
    FUNCTION_CALL,
    FUNCTION_SETTING,
    WRITE_KINDS,
    Effect,
    option_is_true,
    options_by_name,
)
from mosaic_deploy.sql.parse import Statement, Tree
from mosaic_deploy.sql.tree import walk

_EVALUATED_KINDS = WRITE_KINDS | {
    "SelectStmt",
    "CallStmt",
    "CreateTableAsStmt",
    "CopyStmt",
    "DeclareCursorStmt",
    "ExecuteStmt",
    "IndexStmt",
}
"""Statements whose whole tree is evaluated when they run."""
_EVALUATED_PARTS = frozenset(
    {"AT_AddColumn", "AT_AlterColumnType", "AT_AddConstraint", "AT_ValidateConstraint", "AT_SetExpression"}
)
_NESTED_COMMAND_WORDS = ("delete", "update", "merge", "select", "conflict")
_IDENTIFIER = r'("(?:[^"]|"")+"|[\w$]+)'
_INSERT = re.compile(rf"\s*insert\s+into\s+(?:{_IDENTIFIER}\s*\.\s*)?{_IDENTIFIER}", re.IGNORECASE)
"""The table of a plain INSERT in a large file, which isn't parsed."""
_CALLS = re.compile(r'[^\w\s)."][ \t]*[\w."]+\s*\(')


def statement_effects(statement: Statement, step: int, *, certain: bool = True) -> Iterator[Effect]:
    """What `statement` does, the statement itself first; nothing for a plain INSERT in a large file."""
    plain = statement.kind == "InsertStmt" and statement.parsed is None
    if plain and not _does_more(statement.text):
        return
    yield from _effects_of_statement(statement, Effect(statement.kind, statement.node, step, certain))


def _does_more(insert: str) -> bool:
    """Whether an INSERT may do more than insert constants; may be true for a string that looks like SQL."""
    lowered = insert.lower()
    if any(word in lowered for word in _NESTED_COMMAND_WORDS):
        return True
    rows = max(0, lowered.find("values"))
    return insert.count("(", rows) > 1 and bool(_CALLS.search(insert, rows))


def routine_effects(statement: Statement, tree: Tree) -> Iterator[Effect]:
    """What a call of the function or procedure does that `statement` creates; `tree` is its CREATE FUNCTION."""
    options = options_by_name(tree.get("options", []))
    for item in tree.get("options", []):
        if setting := item.get("DefElem", {}).get("arg", {}).get("VariableSetStmt"):
            yield Effect(FUNCTION_SETTING, setting, 0, certain=False, file_offset=0)
    language = str((options.get("language") or {}).get("String", {}).get("sval", "sql")).lower()
    if body := tree.get("sql_body"):
        yield from _effects_of_body_tree(body)
        return
    texts = [str(item["String"].get("sval", "")) for item in _items(options.get("as")) if "String" in item]
    text = texts[0] if texts else ""
    if language == "sql":
        yield from _effects_of_text(text)
    elif language == "plpgsql":
        yield from _effects_of_block(
            block_statements(statement, text), Effect("", {}, 0, certain=False, file_offset=0)
        )
    else:
        yield Effect(DYNAMIC_SQL, {"text": text}, 0, certain=False, file_offset=0)


def rule_effects(effect: Effect) -> Iterator[Effect]:
    """What a rule does when it fires."""
    for item in effect.node.get("actions", []):
        for kind, node in item.items():
            yield from _with_nested_effects(Effect(kind, node, 0, certain=False, file_offset=0))


def file_offset(statement: Statement, location: int | None) -> int:
    """The position in the file, in characters, of a tree's `location`, which counts bytes from the file's start."""
    if location is None or location < statement.first_byte:
        return statement.offset
    before = statement.text.encode()[: location - statement.first_byte]
    return statement.offset + len(before.decode(errors="ignore"))


def _effects_of_statement(statement: Statement, effect: Effect) -> Iterator[Effect]:
    yield from _with_nested_effects(replace(effect, source=statement))
    if effect.kind == "DoStmt":
        body = str(
            (options_by_name(effect.node.get("args", [])).get("as") or {}).get("String", {}).get("sval", "")
        )
        yield from _effects_of_block(block_statements(statement, body), effect)


def _effects_of_block(found: Iterator[Statement | DynamicSql], outer: Effect) -> Iterator[Effect]:
    for inner in found:
        at = inner.offset if outer.file_offset is None else outer.file_offset
        if isinstance(inner, DynamicSql):
            yield Effect(DYNAMIC_SQL, {"text": inner.text}, outer.step, certain=False, file_offset=at)
        else:
            yield from _effects_of_statement(
                inner, Effect(inner.kind, inner.node, outer.step, certain=False, file_offset=at)
            )


def _effects_of_text(text: str) -> Iterator[Effect]:
    """The effects of an SQL function's body."""
    from mosaic_deploy.sql.parse import SqlSyntaxError, parse

    try:
        found = parse(text)
    except SqlSyntaxError:
        yield Effect(DYNAMIC_SQL, {"text": text}, 0, certain=False, file_offset=0)
        return
    for one in found:
        yield from _effects_of_statement(one, Effect(one.kind, one.node, 0, certain=False, file_offset=0))


def _effects_of_body_tree(body: Tree) -> Iterator[Effect]:
    """The effects of a function body that is parsed already: BEGIN ATOMIC, or RETURN expression."""
    if "List" not in body:
        yield from _with_nested_effects(Effect("SelectStmt", body, 0, certain=False, file_offset=0))
        return
    for item in body["List"].get("items", []):
        # An empty body has an empty item.
        for kind, node in (next(iter(tree.items())) for tree in _items(item) or [item] if tree):
            yield from _with_nested_effects(
                Effect("SelectStmt" if kind == "ReturnStmt" else kind, node, 0, certain=False, file_offset=0)
            )


def _items(node: Any) -> list[Tree]:
    return list((node or {}).get("List", {}).get("items", []))


def _with_nested_effects(effect: Effect) -> Iterator[Effect]:
    yield effect
    for kind, node in _nested_statements(effect):
        yield from _with_nested_effects(replace(effect, kind=kind, node=node))
    for kind, node in _evaluated_nodes(effect):
        if kind in WRITE_KINDS:
            yield replace(effect, kind=kind, node=node)
        elif "funcname" in node:
            yield replace(effect, kind=FUNCTION_CALL, node=node)


def _evaluated_nodes(effect: Effect) -> list[tuple[str, Tree]]:
    """Writes and function calls inside the statement that run with it, in source order."""
    roots: list[Any] = []
    if effect.kind in _EVALUATED_KINDS:
        roots = [effect.node]
    elif effect.kind == "AlterTableStmt":
        commands = [item.get("AlterTableCmd", {}) for item in effect.node.get("cmds", [])]
        roots = [command for command in commands if command.get("subtype") in _EVALUATED_PARTS]
    found = [
        (kind, node) for kind, node in walk(roots) if kind in WRITE_KINDS or kind in ("FuncCall", "funccall")
    ]
    return sorted(found, key=lambda one: _location(*one))


def _location(kind: str, node: Tree) -> int:
    return int((node.get("relation", {}) if kind in WRITE_KINDS else node).get("location", 0))


def _nested_statements(effect: Effect) -> Iterator[tuple[str, Tree]]:
    """Statements that run as part of it."""
    trees: list[Tree] = []
    if effect.kind == "CreateSchemaStmt":
        role = effect.node.get("authrole", {}).get("rolename", "current_user")
        schema = effect.node.get("schemaname") or role
        trees = [_in_schema(tree, schema) for tree in effect.node.get("schemaElts", [])]
    elif effect.kind == "PrepareStmt" or (effect.kind == "ExplainStmt" and _analyzes(effect.node)):
        trees = [effect.node.get("query", {})]
    for tree in trees:
        yield from tree.items()


def _in_schema(tree: Tree, schema: str) -> Tree:
    """The statement of a CREATE SCHEMA; what it creates is in that schema."""
    [(kind, node)] = tree.items()
    named = {
        field: {"schemaname": schema, **node[field]}
        for field in ("relation", "view", "sequence")
        if field in node
    }
    return {kind: {**node, **named}}


def _analyzes(node: Tree) -> bool:
    named = options_by_name(node.get("options", []))
    return "analyze" in named and option_is_true(named["analyze"])


def written_tables(effect: Effect) -> list[tuple[Name, frozenset[str]]]:
    """The tables whose rows the effect writes, with the events that happen (`INSERT`, `DELETE`, …)."""
    if effect.kind == "TruncateStmt":
        tables = [item["RangeVar"] for item in effect.node.get("relations", [])]
        return [(range_name(table), frozenset({"TRUNCATE"})) for table in tables]
    if effect.kind not in WRITE_KINDS and not (effect.kind == "CopyStmt" and effect.node.get("is_from")):
        return []
    return [(range_name(effect.node["relation"]), _write_events(effect))]


def written_names(statements: Iterable[Statement]) -> dict[Name, frozenset[str]]:
    """What the statements name as the tables or views whose rows they write, also in DO blocks, with the events."""
    found: dict[Name, frozenset[str]] = {}

    def add(name: Name, events: frozenset[str]) -> None:
        found[name] = found.get(name, frozenset()) | events

    for statement in statements:
        if (
            statement.kind == "InsertStmt"
            and statement.parsed is None
            and (head := _INSERT.match(statement.text))
        ):
            schema, name = head.groups()
            add(Name(schema and unquoted(schema), unquoted(name)), frozenset({"INSERT"}))
        for effect in statement_effects(statement, 0):
            for name, events in written_tables(effect):
                add(name, events)
    return found


def _write_events(effect: Effect) -> frozenset[str]:
    if effect.kind == "MergeStmt":
        found = [item["MergeWhenClause"].get("commandType", "") for item in effect.node["mergeWhenClauses"]]
        return frozenset(str(one).removeprefix("CMD_") for one in found)
    if effect.node.get("onConflictClause", {}).get("action") == "ONCONFLICT_UPDATE":
        return frozenset({"INSERT", "UPDATE"})
    return frozenset({"INSERT" if effect.kind == "CopyStmt" else effect.kind.removesuffix("Stmt").upper()})
