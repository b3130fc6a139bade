"""The existing tables and columns that a statement refers to, by name.

Only references that must exist when the statement runs: nothing in function bodies, with IF EXISTS, or in common table
expressions. What can't be told apart from something else is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from mosaic_deploy.sql.hazards.syntax.names import Name, list_name, range_name, string_values
from mosaic_deploy.sql.parse import Tree
from mosaic_deploy.sql.tree import walk

_TABLES = frozenset({"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE"})
_PARTS = frozenset({"OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"})
_WALKED = frozenset(
    [
        "SelectStmt",
        "InsertStmt",
        "UpdateStmt",
        "DeleteStmt",
        "MergeStmt",
        "IndexStmt",
        "CreateTrigStmt",
        "ViewStmt",
        "CreateTableAsStmt",
        "CreateStmt",
        "CreatePolicyStmt",
        "AlterPolicyStmt",
        "TruncateStmt",
        "LockStmt",
        "CopyStmt",
        "RefreshMatViewStmt",
        "ExplainStmt",
    ]
)
"""Statements in which every relation but the one they create is a reference."""
_CREATED = {"CreateStmt": "relation", "ViewStmt": "view"}
_SYSTEM_SCHEMAS = frozenset({"pg_catalog", "information_schema"})
_LEFT_OUT = frozenset({"lockedRels", "rel", "intoClause", "partbound", "ofTypename"})
"""Fields that hold aliases, a created table, or other things."""
_COLUMN_COMMANDS = frozenset(
    [
        "AT_DropColumn",
        "AT_AlterColumnType",
        "AT_SetNotNull",
        "AT_DropNotNull",
        "AT_ColumnDefault",
        "AT_SetStatistics",
        "AT_SetStorage",
        "AT_SetCompression",
        "AT_AddIdentity",
        "AT_SetIdentity",
        "AT_DropIdentity",
        "AT_DropExpression",
        "AT_SetExpression",
    ]
)


class TableReference(NamedTuple):
    """`byte` is a location in the parse tree."""

    name: Name
    byte: int | None = None


class ColumnReference(NamedTuple):
    table: Name
    column: str
    byte: int | None = None


def table_references(kind: str, node: Tree) -> Iterator[TableReference]:
    """The tables and views that must exist for the statement, without those of PostgreSQL."""
    for one in _named_tables(kind, node):
        schema, name = one.name
        if schema not in _SYSTEM_SCHEMAS and not (schema is None and name.startswith("pg_")):
            yield one


def _named_tables(kind: str, node: Tree) -> Iterator[TableReference]:
    if kind in _WALKED:
        yield from _walked(node, _CREATED.get(kind, ""))
    elif kind == "AlterTableStmt":
        if node.get("objtype") in _TABLES and not node.get("missing_ok"):
            yield from _walked({**node, "cmds": _needed_commands(node)}, "")
    elif kind in ("RenameStmt", "AlterObjectSchemaStmt"):
        renamed = node.get("renameType") or node.get("objectType")
        of = node.get("relationType") if renamed == "OBJECT_COLUMN" else renamed
        if of in _TABLES and "relation" in node and not node.get("missing_ok"):
            yield _reference(node["relation"])
    elif kind == "DropStmt" and not node.get("missing_ok"):
        yield from _dropped(node)
    elif kind == "GrantStmt" and node.get("objtype") == "OBJECT_TABLE":
        yield from (_reference(item["RangeVar"]) for item in node.get("objects", []) if "RangeVar" in item)
    elif kind == "CommentStmt" and node.get("objtype") in (*_TABLES, "OBJECT_COLUMN"):
        parts = node.get("object", {}).get("List", {}).get("items", [])
        yield TableReference(list_name(parts[:-1] if node["objtype"] == "OBJECT_COLUMN" else parts))


def _dropped(node: Tree) -> Iterator[TableReference]:
    kind = node.get("removeType")
    for item in node.get("objects", []) if kind in (*_TABLES, *_PARTS) else ():
        parts = item.get("List", {}).get("items", [])
        yield TableReference(list_name(parts[:-1] if kind in _PARTS else parts))


def _walked(node: Tree, created: str) -> Iterator[TableReference]:
    found, own = [], {range_name(node[created]).name} if created in node else set()
    for kind, fields in walk(
        {key: value for key, value in node.items() if key != created}, without=_LEFT_OUT
    ):
        if kind == "CommonTableExpr":
            own.add(str(fields.get("ctename")))
        elif "relname" in fields:
            found.append(_reference(fields))
    yield from (one for one in found if one.name.schema is not None or one.name.name not in own)


def _reference(fields: Tree) -> TableReference:
    return TableReference(range_name(fields), fields.get("location"))


def column_references(kind: str, node: Tree) -> Iterator[ColumnReference]:
    """The columns that must exist for the statement."""
    if kind == "AlterTableStmt" and node.get("objtype") in _TABLES:
        yield from _altered_columns(node)
    elif kind == "IndexStmt":
        table = range_name(node["relation"])
        elements = [
            item["IndexElem"]
            for field in ("indexParams", "indexIncludingParams")
            for item in node.get(field, [])
        ]
        yield from (ColumnReference(table, one["name"]) for one in elements if "name" in one)
        yield from _expression_columns(table, "", [elements, node.get("whereClause")])
    elif kind == "RenameStmt" and node.get("renameType") == "OBJECT_COLUMN":
        if node.get("relationType") in _TABLES and not node.get("missing_ok"):
            yield ColumnReference(range_name(node["relation"]), str(node.get("subname", "")))
    elif kind == "CommentStmt" and node.get("objtype") == "OBJECT_COLUMN":
        parts = node.get("object", {}).get("List", {}).get("items", [])
        yield ColumnReference(list_name(parts[:-1]), list_name(parts).name)
    elif kind == "CreateStmt":
        for part, fields in walk(node.get("tableElts", []), without=_LEFT_OUT):
            if part == "Constraint":
                yield from _foreign_columns(fields)
    else:
        yield from _data_columns(kind, node)


def _data_columns(kind: str, node: Tree) -> Iterator[ColumnReference]:
    if kind == "InsertStmt":
        table = range_name(node["relation"])
        for item in node.get("cols", []):
            target = item["ResTarget"]
            yield ColumnReference(table, str(target.get("name")), target.get("location"))
        yield from _query_columns(node.get("selectStmt", {}), node)
    elif kind == "UpdateStmt":
        table = range_name(node["relation"])
        for item in node.get("targetList", []):
            target = item["ResTarget"]
            yield ColumnReference(table, str(target.get("name")), target.get("location"))
        if "fromClause" not in node and "withClause" not in node:
            values = [item["ResTarget"].get("val") for item in node.get("targetList", [])]
            yield from _expression_columns(table, _alias(node["relation"]), [values, node.get("whereClause")])
    elif kind == "DeleteStmt" and "usingClause" not in node and "withClause" not in node:
        table = range_name(node["relation"])
        yield from _expression_columns(table, _alias(node["relation"]), node.get("whereClause"))
    elif kind == "CreatePolicyStmt":
        conditions = [node.get("qual"), node.get("with_check")]
        yield from _expression_columns(range_name(node["table"]), "", conditions)
    elif kind == "SelectStmt":
        yield from _query_columns({"SelectStmt": node}, {})
    elif kind in ("ViewStmt", "CreateTableAsStmt"):
        yield from _query_columns(node.get("query", {}), {})


def _query_columns(query: Tree, outer: Tree) -> Iterator[ColumnReference]:
    """The columns of a query of one table."""
    select = query.get("SelectStmt", {})
    tables = select.get("fromClause", [])
    if len(tables) != 1 or "RangeVar" not in tables[0] or "withClause" in select or "withClause" in outer:
        return
    table = tables[0]["RangeVar"]
    if table.get("alias", {}).get("colnames"):
        return
    targets = [item.get("ResTarget", {}) for item in select.get("targetList", [])]
    named = {target.get("name") for target in targets}
    fields = ["targetList", "whereClause"]
    if all("name" in target or "ColumnRef" in target.get("val", {}) for target in targets):
        # Otherwise they may use the name that PostgreSQL gives to an expression: `ORDER BY count`.
        fields += ["groupClause", "sortClause"]
    parts = [select.get(field) for field in fields]
    for one in _expression_columns(range_name(table), _alias(table), parts):
        if one.column not in named:
            yield one


def _needed_commands(node: Tree) -> list[Tree]:
    """The commands of ALTER TABLE without ADD COLUMN IF NOT EXISTS, of which nothing is read if the column is there."""
    commands = [item for item in node.get("cmds", []) if "AlterTableCmd" in item]
    return [
        item
        for item in commands
        if not (
            item["AlterTableCmd"].get("missing_ok") and item["AlterTableCmd"].get("subtype") == "AT_AddColumn"
        )
    ]


def _altered_columns(node: Tree) -> Iterator[ColumnReference]:
    table = range_name(node["relation"])
    for command in (item["AlterTableCmd"] for item in _needed_commands(node)):
        definition = command.get("def", {}).get("Constraint", {})
        if command.get("subtype") in _COLUMN_COMMANDS and not command.get("missing_ok") and "name" in command:
            yield ColumnReference(table, str(command["name"]))
        if command.get("subtype") == "AT_AddConstraint":
            own = definition.get("fk_attrs", []) or definition.get("keys", [])
            yield from (
                ColumnReference(table, name, definition.get("location")) for name in string_values(own)
            )
            yield from _expression_columns(table, "", definition.get("raw_expr"))
            yield from _foreign_columns(definition)
        if command.get("subtype") == "AT_AddColumn":
            for item in command.get("def", {}).get("ColumnDef", {}).get("constraints", []):
                yield from _foreign_columns(item.get("Constraint", {}))


def _foreign_columns(constraint: Tree) -> Iterator[ColumnReference]:
    if "pktable" in constraint:
        table = range_name(constraint["pktable"])
        for name in string_values(constraint.get("pk_attrs", [])):
            yield ColumnReference(table, name, constraint.get("location"))


def _expression_columns(table: Name, alias: str, root: Any) -> Iterator[ColumnReference]:
    """The columns in expressions about one table. A subquery has names of its own, so it is left out."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            for key, value in node.items():
                if key == "ColumnRef":
                    yield from _column(table, alias, value)
                elif key not in ("SubLink", "SelectStmt"):
                    waiting.append(value)


def _column(table: Name, alias: str, fields: Tree) -> Iterator[ColumnReference]:
    parts = string_values(fields.get("fields", []))
    whole = len(parts) == len(fields.get("fields", []))
    own = alias or table.name
    if whole and ((len(parts) == 1 and parts[0] != own) or (len(parts) == 2 and parts[0] == own)):
        yield ColumnReference(table, parts[-1], fields.get("location"))


def _alias(relation: Tree) -> str:
    return str(relation.get("alias", {}).get("aliasname", ""))
