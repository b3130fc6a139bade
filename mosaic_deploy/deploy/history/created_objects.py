"""What single statements surely create, as their parse trees say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mosaic_deploy.sql.hazards.syntax.names import Name, list_name, range_name
from mosaic_deploy.sql.hazards.syntax.types import ColumnType, type_from_node
from mosaic_deploy.sql.parse import Statement, Tree
from mosaic_deploy.sql.tree import walk


class Kind(StrEnum):
    """Kinds of objects, as messages name them."""

    TABLE = "table"
    FOREIGN_TABLE = "foreign table"
    VIEW = "view"
    MATERIALIZED_VIEW = "materialized view"
    SEQUENCE = "sequence"
    INDEX = "index"
    FUNCTION = "function"
    PROCEDURE = "procedure"
    TYPE = "type"
    DOMAIN = "domain"
    SCHEMA = "schema"
    EXTENSION = "extension"
    CONSTRAINT = "constraint"
    TRIGGER = "trigger"
    POLICY = "policy"
    RULE = "rule"


TABLE_OBJECTS = frozenset({"OBJECT_TABLE", "OBJECT_FOREIGN_TABLE"})
_ALIKE = {Kind.PROCEDURE: Kind.FUNCTION, Kind.DOMAIN: Kind.TYPE}
_CONSTRAINTS = frozenset(
    {"CONSTR_CHECK", "CONSTR_PRIMARY", "CONSTR_UNIQUE", "CONSTR_EXCLUSION", "CONSTR_FOREIGN"}
)
_WITH_INDEX = frozenset({"CONSTR_PRIMARY", "CONSTR_UNIQUE", "CONSTR_EXCLUSION"})
_STANDALONE = {
    "CreateSeqStmt": (Kind.SEQUENCE, "sequence"),
    "CreateFunctionStmt": (Kind.FUNCTION, "funcname"),
    "CreateEnumStmt": (Kind.TYPE, "typeName"),
    "CreateRangeStmt": (Kind.TYPE, "typeName"),
    "CompositeTypeStmt": (Kind.TYPE, "typevar"),
    "CreateDomainStmt": (Kind.DOMAIN, "domainname"),
    "CreateSchemaStmt": (Kind.SCHEMA, "schemaname"),
    "CreateExtensionStmt": (Kind.EXTENSION, "extname"),
}
"""Statements, what they create, and the field with its name."""


def namespace(kind: Kind) -> Kind:
    """The kind whose names it shares: procedures are named like functions, domains like types."""
    return _ALIKE.get(kind, kind)


@dataclass(frozen=True, slots=True)
class NewPart:
    """An index, named constraint, trigger, policy or rule of a table.

    `words` are all names that its definition mentions. `depends`: CASCADE on another object may drop it.
    `if_not_exists`: an index that is only made if nothing has its name.
    """

    kind: Kind
    name: str
    words: frozenset[str]
    depends: bool = True
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class NewColumn:
    """`type` is None if nothing is certain about it. `if_not_exists`: the column may have existed; without `added` it did."""

    name: str
    type: ColumnType | None
    if_not_exists: bool = False
    added: bool = True


def new_standalone(statement: Statement) -> tuple[Kind, Name] | None:
    """The sequence, function, type, schema or extension that the statement creates."""
    node = statement.node
    if statement.kind == "CreateSchemaStmt" and not node.get("schemaname"):
        return None
    if found := _STANDALONE.get(statement.kind):
        kind, field = found
        return Kind.PROCEDURE if node.get("is_procedure") else kind, _created_name(node[field])
    return None


def _created_name(value: Any) -> Name:
    """The name in a list of String nodes, a RangeVar, or a text."""
    if isinstance(value, str):
        return Name(None, value)
    return list_name(value) if isinstance(value, list) else range_name(value)


def new_parts(statement: Statement) -> Iterator[tuple[Tree, NewPart]]:
    """Each part that the statement creates under a name of its own, after the RangeVar of its table."""
    node = statement.node
    match statement.kind:
        case "IndexStmt" if node.get("idxname"):
            part = _part(Kind.INDEX, node["idxname"], node, depends=_calls(node))
            yield node["relation"], part
        case "CreateTrigStmt":
            yield node["relation"], _part(Kind.TRIGGER, node["trigname"], node)
        case "CreatePolicyStmt":
            yield node["table"], _part(Kind.POLICY, node["policy_name"], node)
        case "RuleStmt":
            yield node["relation"], _part(Kind.RULE, node["rulename"], node)
        case "CreateStmt" | "CreateForeignTableStmt":
            base = node.get("base") or node
            for part in _table_constraints(base):
                yield base["relation"], part
        case "AlterTableStmt" if node.get("objtype") in TABLE_OBJECTS and not node.get("missing_ok"):
            for command in commands(node):
                for part in _added_constraints(command):
                    yield node["relation"], part


def new_columns(node: Tree) -> Iterator[NewColumn]:
    """The columns that CREATE TABLE (its node) names."""
    for element in node.get("tableElts", []):
        if definition := element.get("ColumnDef"):
            yield _column(definition, if_not_exists=bool(node.get("if_not_exists")))


def changed_column(command: Tree) -> NewColumn | None:
    """The column that ADD COLUMN creates, or that ALTER COLUMN … TYPE gives a type."""
    definition = command.get("def", {}).get("ColumnDef")
    if command.get("subtype") == "AT_AddColumn":
        return _column(definition, if_not_exists=bool(command.get("missing_ok")))
    if command.get("subtype") == "AT_AlterColumnType":
        return NewColumn(command["name"], _type(definition), added=False)
    return None


def commands(node: Tree) -> Iterator[Tree]:
    """The commands of an ALTER TABLE."""
    for item in node.get("cmds", []):
        yield item.get("AlterTableCmd", {})


def strings(node: Any) -> frozenset[str]:
    """All texts in a parse tree, names among them."""
    found = [node, *(fields for _, fields in walk(node))]
    return frozenset(value for fields in found for value in fields.values() if isinstance(value, str))


def _table_constraints(node: Tree) -> Iterator[NewPart]:
    """A unique constraint of a partition may be attached to its table's, with which it is dropped."""
    if node.get("if_not_exists"):
        return
    unsure = _WITH_INDEX if node.get("partbound") else frozenset()
    for element in node.get("tableElts", []):
        if definition := element.get("ColumnDef"):
            yield from _column_constraints(definition, unsure)
        elif constraint := element.get("Constraint"):
            yield from _constraint(constraint, unsure=unsure)


def _added_constraints(command: Tree) -> Iterator[NewPart]:
    definition = command.get("def", {})
    if command.get("subtype") == "AT_AddConstraint":
        yield from _constraint(definition["Constraint"])
    elif command.get("subtype") == "AT_AddColumn" and not command.get("missing_ok"):
        yield from _column_constraints(definition["ColumnDef"])


def _column_constraints(definition: Tree, unsure: frozenset[str] = frozenset()) -> Iterator[NewPart]:
    for item in definition.get("constraints", []):
        yield from _constraint(item["Constraint"], definition["colname"], unsure=unsure)


def _constraint(node: Tree, column: str = "", *, unsure: frozenset[str] = frozenset()) -> Iterator[NewPart]:
    kind = node.get("contype")
    if kind in _CONSTRAINTS - unsure and node.get("conname"):
        depends = kind == "CONSTR_FOREIGN" or _calls(node)
        words = strings(node) | ({column} if column else set())
        yield NewPart(Kind.CONSTRAINT, node["conname"], words, depends)


def _part(kind: Kind, name: str, node: Tree, *, depends: bool = True) -> NewPart:
    return NewPart(kind, name, strings(node), depends, bool(node.get("if_not_exists")))


def _calls(node: Tree) -> bool:
    return any(kind == "FuncCall" for kind, _ in walk(node))


def _column(definition: Tree, *, if_not_exists: bool) -> NewColumn:
    generated = any(
        each["Constraint"].get("contype") == "CONSTR_GENERATED" for each in definition.get("constraints", [])
    )
    found = None if if_not_exists or generated else _type(definition)
    return NewColumn(definition["colname"], found, if_not_exists)


def _type(definition: Tree) -> ColumnType | None:
    named = definition.get("typeName")
    return type_from_node(named) if named else None
