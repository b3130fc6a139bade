"""Rules about renaming and moving existing objects, which running code still uses by their old names."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.live_objects import ObjectKind
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax.names import Name, list_name, object_name, quote_if_needed, range_name
from mosaic_deploy.sql.hazards.syntax.trees import Effect

_WHY = "running code still uses the old name"
_RELATIONS = {
    "OBJECT_TABLE": "table",
    "OBJECT_VIEW": "view",
    "OBJECT_MATVIEW": "materialized view",
    "OBJECT_FOREIGN_TABLE": "foreign table",
}
_ROUTINES = {"OBJECT_FUNCTION": "function", "OBJECT_PROCEDURE": "procedure", "OBJECT_ROUTINE": "function"}
_TYPES = {"OBJECT_TYPE": "type", "OBJECT_DOMAIN": "domain"}


def rename_table(effect: Effect, scope: Scope) -> Iterator[Finding]:
    """A table or view is renamed or moved to another schema."""
    noun = _RELATIONS.get(_object_type(effect))
    if noun is None or "relation" not in effect.node:
        return
    relation = range_name(effect.node["relation"])
    if scope.existed_before(relation):
        yield _finding(effect, noun, relation)


def rename_schema(effect: Effect, scope: Scope) -> Iterator[Finding]:
    if effect.node.get("renameType") != "OBJECT_SCHEMA":
        return
    schema = Name(None, str(effect.node.get("subname", "")))
    if scope.existed_before(schema, ObjectKind.SCHEMA):
        yield _finding(effect, "schema", schema)


def rename_object(effect: Effect, scope: Scope) -> Iterator[Finding]:
    """A function, procedure, type or domain is renamed or moved, or a value of an enum renamed."""
    node = effect.node
    if effect.kind == "AlterEnumStmt":
        name = list_name(node.get("typeName", []))
        if "oldVal" in node and scope.existed_before(name, ObjectKind.TYPE):
            what = f"renames value '{node['oldVal']}' of type {name} to '{node['newVal']}': {_WHY}"
            yield Finding(what, str(name))
        return
    kind = _object_type(effect)
    name = object_name(node.get("object"))
    if kind in _TYPES and scope.existed_before(name, ObjectKind.TYPE):
        yield _finding(effect, _TYPES[kind], name)
    elif kind in _ROUTINES and name.name not in scope.functions:
        yield _finding(effect, _ROUTINES[kind], name)


def rename_column(effect: Effect, scope: Scope) -> Iterator[Finding]:
    node = effect.node
    if node.get("renameType") != "OBJECT_COLUMN" or node.get("relationType") not in _RELATIONS:
        return
    table = range_name(node["relation"])
    column = str(node.get("subname", ""))
    if column in scope.relation(table).added_columns or not scope.existed_before(table):
        return
    name = f"{table}.{quote_if_needed(column)}"
    yield Finding(f"renames column {name} to {quote_if_needed(node['newname'])}: {_WHY}", name)


def _object_type(effect: Effect) -> str:
    return str(effect.node.get("renameType") or effect.node.get("objectType", ""))


def _finding(effect: Effect, noun: str, name: Name) -> Finding:
    if "newschema" in effect.node:
        change = f"moves {noun} {name} to schema {quote_if_needed(str(effect.node['newschema']))}"
    else:
        change = f"renames {noun} {name} to {quote_if_needed(str(effect.node.get('newname', '')))}"
    return Finding(f"{change}: {_WHY}", str(name))
