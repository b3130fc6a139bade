"""The `Effect` type, and functions that read common shapes in parse trees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mosaic_deploy.sql.hazards.syntax.types import SERIALS
from mosaic_deploy.sql.parse import SqlSyntaxError, Statement, Tree, parse

FUNCTION_SETTING = "FunctionSetting"
"""The kind of an effect: a setting that a called function has while it runs. Its node is a VariableSetStmt's."""
DYNAMIC_SQL = "DynamicSql"
"""The kind of an effect that runs SQL which can't be read: composed at run time, or in another language. Its node has the
expression as `text`."""
FUNCTION_CALL = "Call"
"""The kind of an effect that calls a function; its node is the FuncCall's."""
WRITE_KINDS = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that a statement does. `step` is the number of the transaction it happens in, across all files.

    `certain` is false if it may not happen or may be undone: in a DO block, before ROLLBACK TO. `file_offset` is its
    position in the file in characters; None if the node's byte locations refer to the file.
    """

    kind: str
    node: Tree
    step: int
    certain: bool = True
    file_offset: int | None = None
    source: Statement | None = field(default=None, compare=False, repr=False)
    """The statement that it belongs to."""


def alter_commands(effect: Effect, *subtypes: str) -> Iterator[tuple[Tree, Tree]]:
    """(definition, command) for each ALTER TABLE command of these subtypes; nothing for views and other kinds.

    The definition is the fields of the ColumnDef or Constraint, {} if there is none.
    """
    if effect.node.get("objtype") not in ("OBJECT_TABLE", "OBJECT_FOREIGN_TABLE"):
        return
    for item in effect.node.get("cmds", []):
        command = item.get("AlterTableCmd", {})
        if command.get("subtype") in subtypes:
            yield next(iter(command.get("def", {}).values()), {}), command


def column_constraints(definition: Tree) -> Iterator[Tree]:
    """The constraints in a column definition."""
    for item in definition.get("constraints", []):
        yield item["Constraint"]


def default_expression(definition: Tree) -> Any:
    """The expression of a column's DEFAULT; None without one."""
    found = (c.get("raw_expr") for c in column_constraints(definition) if c["contype"] == "CONSTR_DEFAULT")
    return next(found, None)


def expression_from_text(text: str) -> Tree:
    """The parse tree of an SQL expression; {} if the parser rejects it."""
    try:
        [statement] = parse(f"SELECT {text}")
        tree: Tree = statement.node["targetList"][0]["ResTarget"]["val"]
    except (SqlSyntaxError, ValueError, KeyError, IndexError):
        return {}
    return tree


def gives_values(definition: Tree) -> bool:
    """Whether a new column gets a value other than null in existing rows."""
    kinds = {constraint["contype"] for constraint in column_constraints(definition)}
    default = default_expression(definition)
    serial = definition["typeName"]["names"][-1].get("String", {}).get("sval") in SERIALS
    return (
        serial
        or not kinds.isdisjoint({"CONSTR_IDENTITY", "CONSTR_GENERATED"})
        or (default is not None and not default.get("A_Const", {}).get("isnull"))
    )


def new_columns(effect: Effect) -> Iterator[Tree]:
    """The typed column definitions of CREATE TABLE or ALTER TABLE … ADD COLUMN."""
    if effect.kind == "CreateStmt":
        found = (item.get("ColumnDef", {}) for item in effect.node.get("tableElts", []))
        yield from (definition for definition in found if "typeName" in definition)
    elif effect.kind == "AlterTableStmt":
        yield from (definition for definition, _ in alter_commands(effect, "AT_AddColumn"))


def options_by_name(items: Iterable[Tree]) -> dict[str, Any]:
    """DefElems by name, with their values as nodes; None if only the name is written."""
    elements = (item.get("DefElem", {}) for item in items)
    return {str(element.get("defname")): element.get("arg") for element in elements}


def option_is_true(value: Any) -> bool:
    """The value of a boolean option, which is true if only its name is written."""
    if value is None:
        return True
    word = value.get("String", {}).get("sval") or value.get("Integer", {}).get("ival", 0)
    return str(word).lower() in ("true", "on", "1", "yes", "t", "y")


def security_invoker_setting(effect: Effect) -> bool | None:
    """What an ALTER VIEW sets `security_invoker` to; None if it doesn't change it."""
    if effect.node.get("objtype") != "OBJECT_VIEW":
        return None
    for item in effect.node.get("cmds", []):
        command = item.get("AlterTableCmd", {})
        named = options_by_name(command.get("def", {}).get("List", {}).get("items", []))
        if "security_invoker" in named:
            return command.get("subtype") == "AT_SetRelOptions" and option_is_true(named["security_invoker"])
    return None
