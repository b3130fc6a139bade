"""One thing that a statement does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mosaic_deploy.sql.parse import Statement, Tree

DYNAMIC_SQL = "DynamicSql"
"""The kind of an act whose SQL is made as it runs; its node has `text`, what can be seen of it."""
FUNCTION_CALL = "Call"
"""The kind of an act that calls a function; its node is the FuncCall's."""
UNREADABLE_ROUTINE = "UnreadRoutine"
"""The kind of an act that runs a function whose body can't be read."""
WRITE_KINDS = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that a statement does. `unit` is the number of the transaction it happens in, across all files.

    `certain` is false where it may not happen, or be undone: inside a DO block, before ROLLBACK TO. `file_offset` is a place
    in the file in characters, None where the node's own byte locations are the file's. `cause` says what makes it
    happen, to be put before the words of a finding; `deferred` is true where that is still to come.
    """

    kind: str
    node: Tree
    unit: int
    certain: bool = True
    file_offset: int | None = None
    cause: str = ""
    deferred: bool = False
    source: Statement | None = field(default=None, compare=False, repr=False)
    """The statement that it is, or is a part of."""


def alter_commands(effect: Effect, *subtypes: str) -> Iterator[tuple[Tree, Tree]]:
    """(what it defines, the command) of ALTER TABLE's parts of these kinds; views and others have none.

    What it defines is the fields of the ColumnDef or Constraint, empty where there is none.
    """
    if effect.node.get("objtype") not in ("OBJECT_TABLE", "OBJECT_FOREIGN_TABLE"):
        return
    for item in effect.node.get("cmds", []):
        command = item.get("AlterTableCmd", {})
        if command.get("subtype") in subtypes:
            yield next(iter(command.get("def", {}).values()), {}), command


def column_constraints(definition: Tree) -> Iterator[Tree]:
    """The constraints written beside a column."""
    for item in definition.get("constraints", []):
        yield item["Constraint"]


def default_expression(definition: Tree) -> Any:
    """The expression of a column's DEFAULT, None without one."""
    found = (c.get("raw_expr") for c in column_constraints(definition) if c["contype"] == "CONSTR_DEFAULT")
    return next(found, None)


def new_columns(effect: Effect) -> Iterator[Tree]:
    """The columns that CREATE TABLE or ALTER TABLE … ADD COLUMN defines, with a type of their own."""
    if effect.kind == "CreateStmt":
        found = (item.get("ColumnDef", {}) for item in effect.node.get("tableElts", []))
        yield from (definition for definition in found if "typeName" in definition)
    elif effect.kind == "AlterTableStmt":
        yield from (definition for definition, _ in alter_commands(effect, "AT_AddColumn"))


def options_by_name(items: Iterable[Tree]) -> dict[str, Any]:
    """DefElems by name, with their values as nodes (None where only the name is written)."""
    elements = (item.get("DefElem", {}) for item in items)
    return {str(element.get("defname")): element.get("arg") for element in elements}


def walk(root: Any) -> Iterator[tuple[str, Tree]]:
    """Every node below `root` with its kind, without recursion."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield from ((kind, fields) for kind, fields in node.items() if isinstance(fields, dict))
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def option_is_true(value: Any) -> bool:
    """A boolean option's value: true where only its name is written."""
    if value is None:
        return True
    word = value.get("String", {}).get("sval") or value.get("Integer", {}).get("ival", 0)
    return str(word).lower() in ("true", "on", "1", "yes", "t", "y")


def security_invoker_setting(effect: Effect) -> bool | None:
    """What an ALTER VIEW makes of `security_invoker`; None where it leaves it alone."""
    if effect.node.get("objtype") != "OBJECT_VIEW":
        return None
    for item in effect.node.get("cmds", []):
        command = item.get("AlterTableCmd", {})
        named = options_by_name(command.get("def", {}).get("List", {}).get("items", []))
        if "security_invoker" in named:
            return command.get("subtype") == "AT_SetRelOptions" and option_is_true(named["security_invoker"])
    return None
