"""Advice about new columns: types that work today."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.rules.rule import Finding
from mosaic_deploy.sql.hazards.syntax import types
from mosaic_deploy.sql.hazards.syntax.names import of_range, shown, strings
from mosaic_deploy.sql.hazards.syntax.trees import Act, commands, constraints, new_columns
from mosaic_deploy.sql.parse import Tree


def int4_key(act: Act, _: Scope) -> Iterator[Finding]:
    table = of_range(act.node["relation"])
    keys = _table_keys(act)
    for definition in new_columns(act):
        kinds = {c["contype"] for c in constraints(definition)}
        if "CONSTR_FOREIGN" in kinds or types.of_type_name(definition["typeName"]) != ("int4", (), False):
            continue
        if "CONSTR_PRIMARY" in kinds or definition["colname"] in keys:
            column = f"{table}.{shown(definition['colname'])}"
            what = f"the key {column} is a 4-byte integer, which ends at 2,147,483,647"
            yield Finding(what, column, at=definition.get("location"))


def _table_keys(act: Act) -> list[str]:
    """The column of a primary key that the table itself declares, if it has only one."""
    if act.kind != "CreateStmt":
        return []
    found = (item["Constraint"] for item in act.node.get("tableElts", []) if "Constraint" in item)
    keys: list[Tree] = next((c.get("keys", []) for c in found if c["contype"] == "CONSTR_PRIMARY"), [])
    return strings(keys) if len(keys) == 1 else []


def json_column(act: Act, _: Scope) -> Iterator[Finding]:
    yield from _columns_of(act, "json", "json, which is kept as text and can't be indexed or compared")


def timestamp_without_zone(act: Act, _: Scope) -> Iterator[Finding]:
    yield from _columns_of(act, "timestamp", "timestamp without time zone: what instant it means isn't kept")


def _columns_of(act: Act, name: str, what: str) -> Iterator[Finding]:
    """One finding for all columns of the type that the statement makes, at the first of them."""
    found = [(column, node) for column, node in _typed(act) if types.of_type_name(node).name == name]
    if found:
        table = of_range(act.node["relation"])
        names = ", ".join(shown(column) for column, _ in found)
        verb = "is" if len(found) == 1 else "are"
        yield Finding(f"{table}: {names} {verb} {what}", str(table), at=found[0][1].get("location"))


def _typed(act: Act) -> Iterator[tuple[str, Tree]]:
    """Columns that get a type here: new ones, and ones whose type is changed."""
    for definition in new_columns(act):
        yield str(definition["colname"]), definition["typeName"]
    for definition, command in commands(act, "AT_AlterColumnType"):
        yield str(command["name"]), definition["typeName"]
