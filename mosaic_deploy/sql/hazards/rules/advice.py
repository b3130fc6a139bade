"""Rules about column types that work today and cause trouble later."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax import types
from mosaic_deploy.sql.hazards.syntax.names import quote_if_needed, range_name, string_values
from mosaic_deploy.sql.hazards.syntax.trees import Effect, alter_commands, column_constraints, new_columns
from mosaic_deploy.sql.parse import Tree


def int4_key(effect: Effect, _: Scope) -> Iterator[Finding]:
    table = range_name(effect.node["relation"])
    keys = _single_primary_key(effect)
    for definition in new_columns(effect):
        kinds = {c["contype"] for c in column_constraints(definition)}
        if "CONSTR_FOREIGN" in kinds or types.type_from_node(definition["typeName"]) != ("int4", (), False):
            continue
        if "CONSTR_PRIMARY" in kinds or definition["colname"] in keys:
            column = f"{table}.{quote_if_needed(definition['colname'])}"
            what = f"primary key {column} is a 4-byte integer, which ends at 2,147,483,647"
            yield Finding(what, column, byte_location=definition.get("location"))


def _single_primary_key(effect: Effect) -> list[str]:
    """The column of a single-column primary key declared as a table constraint."""
    if effect.kind != "CreateStmt":
        return []
    found = (item["Constraint"] for item in effect.node.get("tableElts", []) if "Constraint" in item)
    keys: list[Tree] = next((c.get("keys", []) for c in found if c["contype"] == "CONSTR_PRIMARY"), [])
    return string_values(keys) if len(keys) == 1 else []


def json_column(effect: Effect, _: Scope) -> Iterator[Finding]:
    yield from _columns_of_type(
        effect, "json", "json, which is stored as text and can't be indexed or compared"
    )


def timestamp_without_zone(effect: Effect, _: Scope) -> Iterator[Finding]:
    yield from _columns_of_type(
        effect, "timestamp", "timestamp without time zone, which doesn't identify an instant"
    )


def _columns_of_type(effect: Effect, name: str, what: str) -> Iterator[Finding]:
    """One finding for all columns of type `name` in the statement, located at the first."""
    found = [
        (column, node) for column, node in _typed_columns(effect) if types.type_from_node(node).name == name
    ]
    if found:
        table = range_name(effect.node["relation"])
        names = ", ".join(quote_if_needed(column) for column, _ in found)
        subject = f"column {names} of {table} is" if len(found) == 1 else f"columns {names} of {table} are"
        yield Finding(f"{subject} {what}", str(table), byte_location=found[0][1].get("location"))


def _typed_columns(effect: Effect) -> Iterator[tuple[str, Tree]]:
    """New columns, and columns whose type changes, each with its TypeName."""
    for definition in new_columns(effect):
        yield str(definition["colname"]), definition["typeName"]
    for definition, command in alter_commands(effect, "AT_AlterColumnType"):
        yield str(command["name"]), definition["typeName"]
