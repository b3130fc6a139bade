"""A statement as everything it does: itself, what stands inside it, what a DO block runs, what it calls."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mosaic_deploy.sql.hazards.syntax.names import Name, of_items, of_range
from mosaic_deploy.sql.hazards.syntax.plpgsql import Dynamic, block
from mosaic_deploy.sql.hazards.syntax.trees import CALL, DYNAMIC, UNREAD, WRITES, Act, options, truth, walk
from mosaic_deploy.sql.parse import Statement, Tree

_EVALUATED = WRITES | {
    "SelectStmt",
    "CallStmt",
    "CreateTableAsStmt",
    "CopyStmt",
    "DeclareCursorStmt",
    "ExecuteStmt",
    "IndexStmt",
}
"""Statements whose whole tree is run: nothing in it is only kept for later."""
_EVALUATED_PARTS = frozenset(
    {"AT_AddColumn", "AT_AlterColumnType", "AT_AddConstraint", "AT_ValidateConstraint", "AT_SetExpression"}
)
_MORE = ("delete", "update", "merge", "select", "conflict")
_CALLS = re.compile(r'[^\w\s)."][ \t]*[\w."]+\s*\(')
_RUN_TEXT = frozenset({"dblink", "dblink_exec", "dblink_send_query", "schedule", "schedule_in_database"})
"""Functions of common extensions that run a text as SQL, now or later."""


def acts(statement: Statement, unit: int, *, certain: bool = True) -> Iterator[Act]:
    """What `statement` does, itself first."""
    plain = statement.kind == "InsertStmt" and statement.parsed is None
    if plain and not _does_more(statement.text):
        return  # a large file's: constants for one table
    for act in _of_statement(statement, Act(statement.kind, statement.node, unit, certain)):
        if act.kind == CALL and act.at is None:
            yield replace(act, at=place(statement, act.node.get("location")))
        else:
            yield act


def _does_more(insert: str) -> bool:
    """Whether an INSERT may do more than to insert constants; true also where one of its texts only looks so."""
    lowered = insert.lower()
    if any(word in lowered for word in _MORE):
        return True
    rows = max(0, lowered.find("values"))
    return insert.count("(", rows) > 1 and bool(_CALLS.search(insert, rows))


def body_acts(statement: Statement, tree: Tree) -> Iterator[Act]:
    """What the function or procedure does that `statement` creates; `tree` is its CREATE FUNCTION."""
    made = options(tree.get("options", []))
    language = str((made.get("language") or {}).get("String", {}).get("sval", "sql")).lower()
    kept = tree.get("sql_body")
    if kept:
        yield from _of_trees(kept)
        return
    texts = [str(item["String"].get("sval", "")) for item in _items(made.get("as")) if "String" in item]
    text = texts[0] if texts else ""
    if language == "sql":
        yield from _of_text(text)
    elif language == "plpgsql":
        yield from _of_block(block(statement, text), Act("", {}, 0, certain=False, at=0))
    else:
        yield Act(UNREAD, {"language": language}, 0, certain=False, at=0)


def rule_acts(act: Act) -> Iterator[Act]:
    """What a rule does from its CREATE on, when it is fired."""
    for item in act.node.get("actions", []):
        for kind, node in item.items():
            yield from _act(Act(kind, node, 0, certain=False, at=0))


_EVENTS = {4: "INSERT", 8: "DELETE", 16: "UPDATE", 32: "TRUNCATE"}


def trigger_events(act: Act) -> frozenset[str]:
    """What fires the trigger; the numbers are PostgreSQL's own (catalog/pg_trigger.h)."""
    return frozenset(word for bit, word in _EVENTS.items() if int(act.node.get("events", 0)) & bit)


def place(statement: Statement, location: int | None) -> int:
    """Where in the file a tree's location is, in characters; the tree counts bytes, from the file's beginning."""
    if location is None or location < statement.first_byte:
        return statement.offset
    before = statement.text.encode()[: location - statement.first_byte]
    return statement.offset + len(before.decode(errors="ignore"))


def _of_statement(statement: Statement, act: Act) -> Iterator[Act]:
    yield from _act(replace(act, source=statement))
    if act.kind == "DoStmt":
        body = str((options(act.node.get("args", [])).get("as") or {}).get("String", {}).get("sval", ""))
        yield from _of_block(block(statement, body), act)


def _of_block(found: Iterator[Statement | Dynamic], outer: Act) -> Iterator[Act]:
    for inner in found:
        at = inner.offset if outer.at is None else outer.at
        if isinstance(inner, Dynamic):
            yield Act(DYNAMIC, {"text": inner.text}, outer.unit, certain=False, at=at)
        else:
            yield from _of_statement(inner, Act(inner.kind, inner.node, outer.unit, certain=False, at=at))


def _of_text(text: str) -> Iterator[Act]:
    """The statements of a function in SQL."""
    from mosaic_deploy.sql.parse import SyntaxProblem, parse

    try:
        found = parse(text)
    except SyntaxProblem:
        yield Act(DYNAMIC, {"text": text}, 0, certain=False, at=0)
        return
    for one in found:
        yield from _of_statement(one, Act(one.kind, one.node, 0, certain=False, at=0))


def _of_trees(kept: Tree) -> Iterator[Act]:
    """The statements of a function whose body is kept as trees: BEGIN ATOMIC, or RETURN and an expression."""
    if "List" not in kept:
        yield from _act(Act("SelectStmt", kept, 0, certain=False, at=0))
        return
    for item in kept["List"].get("items", []):
        for tree in _items(item) or [item]:
            kind, node = next(iter(tree.items()))
            yield from _act(Act("SelectStmt" if kind == "ReturnStmt" else kind, node, 0, certain=False, at=0))


def _items(node: Any) -> list[Tree]:
    return list((node or {}).get("List", {}).get("items", []))


def _act(act: Act) -> Iterator[Act]:
    yield act
    for kind, node in _within(act):
        yield from _act(replace(act, kind=kind, node=node))
    for kind, node in _run(act):
        if kind in WRITES:
            yield replace(act, kind=kind, node=node)
        elif "funcname" in node:
            yield _call(act, node)


def _call(act: Act, node: Tree) -> Act:
    name = of_items(node["funcname"]).name
    if name in _RUN_TEXT:
        return replace(act, kind=DYNAMIC, node={"text": f"{name}(…)"}, certain=False)
    return replace(act, kind=CALL, node=node)


def _run(act: Act) -> list[tuple[str, Tree]]:
    """Commands and calls inside the statement that run with it, in the order in which they are written."""
    roots: list[Any] = []
    if act.kind in _EVALUATED:
        roots = [act.node]
    elif act.kind == "AlterTableStmt":
        commands = [item.get("AlterTableCmd", {}) for item in act.node.get("cmds", [])]
        roots = [command for command in commands if command.get("subtype") in _EVALUATED_PARTS]
    found = [(kind, node) for kind, node in walk(roots) if kind in WRITES or kind in ("FuncCall", "funccall")]
    return sorted(found, key=lambda one: _location(*one))


def _location(kind: str, node: Tree) -> int:
    return int((node.get("relation", {}) if kind in WRITES else node).get("location", 0))


def _within(act: Act) -> Iterator[tuple[str, Tree]]:
    """Statements that happen as a part of it."""
    trees: list[Tree] = []
    if act.kind == "CreateSchemaStmt":
        trees = act.node.get("schemaElts", [])
    elif act.kind == "PrepareStmt" or (act.kind == "ExplainStmt" and _analyzes(act.node)):
        trees = [act.node.get("query", {})]
    for tree in trees:
        yield from tree.items()


def _analyzes(node: Tree) -> bool:
    named = options(node.get("options", []))
    return "analyze" in named and truth(named["analyze"])


def written(act: Act) -> list[tuple[Name, frozenset[str]]]:
    """The tables whose rows the act writes, with how."""
    if act.kind == "TruncateStmt":
        tables = [item["RangeVar"] for item in act.node.get("relations", [])]
        return [(of_range(table), frozenset({"TRUNCATE"})) for table in tables]
    if act.kind not in WRITES and not (act.kind == "CopyStmt" and act.node.get("is_from")):
        return []
    return [(of_range(act.node["relation"]), _how(act))]


def _how(act: Act) -> frozenset[str]:
    if act.kind == "MergeStmt":
        found = [item["MergeWhenClause"].get("commandType", "") for item in act.node["mergeWhenClauses"]]
        return frozenset(str(one).removeprefix("CMD_") for one in found)
    if act.kind == "InsertStmt" and "onConflictClause" in act.node:
        return frozenset({"INSERT", "UPDATE"})
    return frozenset({"INSERT" if act.kind == "CopyStmt" else act.kind.removesuffix("Stmt").upper()})
