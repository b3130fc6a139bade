"""The differences between two database schemas."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.model.catalog import Catalog, SchemaChange, SchemaObject

_KIND_ORDER = (
    "schema",
    "extension",
    "type",
    "domain",
    "sequence",
    "table",
    "foreign table",
    "column",
    "constraint",
    "index",
    "view",
    "materialized view",
    "function",
    "procedure",
    "aggregate",
    "trigger",
    "policy",
    "rule",
    "statistics",
    "event trigger",
    "publication",
    "grant",
    "default privileges",
    "comment",
)
_IN_NEW_TABLE = frozenset({"column", "constraint", "sequence", "comment"})
"""Kinds that a new table's change includes."""
_RANKS = {kind: rank for rank, kind in enumerate(_KIND_ORDER)}


def schema_changes(before: Catalog, after: Catalog) -> tuple[SchemaChange, ...]:
    """Added, dropped and changed objects, grouped by table, dependent kinds after what they depend on.

    A dropped table is one change, without its columns, constraints and other parts. A new table's change includes its
    columns, constraints and comments; its indexes, triggers, policies and grants are changes of their own.
    """
    found = [
        SchemaChange(item, before.get(item), after.get(item))
        for item in before.keys() | after.keys()
        if before.get(item) != after.get(item)
    ]
    added = {change.object.name for change in found if change.action == "add" and not change.object.parent}
    dropped = {change.object.name for change in found if change.action == "drop" and not change.object.parent}
    shown = (change for change in found if not _implied_by_table(change, added, dropped))
    return tuple(sorted((_with_table_definition(change, after) for change in shown), key=_sort_key))


def _implied_by_table(change: SchemaChange, added: set[str], dropped: set[str]) -> bool:
    item = change.object
    if change.action == "drop":
        return item.parent in dropped
    return item.parent in added and item.kind in _IN_NEW_TABLE


def _with_table_definition(change: SchemaChange, after: Catalog) -> SchemaChange:
    """For a new table, the change with columns and constraints in front of its definition."""
    table = change.object
    if change.action != "add" or table.kind not in ("table", "foreign table"):
        return change
    inside = ", ".join(_table_definition(table, after))
    return SchemaChange(table, None, f"({inside}) {change.after}".rstrip())


def _table_definition(table: SchemaObject, after: Catalog) -> Iterator[str]:
    """The columns, then the constraints, each in catalog order."""
    for kind in ("column", "constraint"):
        for item, definition in after.items():
            if item.parent == table.name and item.kind == kind:
                yield f"{item.name} {definition}" if kind == "column" else definition


def _sort_key(change: SchemaChange) -> tuple[int, str, int, str]:
    """Puts a table's parts directly after the table."""
    item = change.object
    rank = _RANKS.get(item.kind, len(_RANKS))
    return (_RANKS["table"] if item.parent else rank, item.parent or item.name, rank, item.name)
