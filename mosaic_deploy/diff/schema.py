"""What differs between two states of a database."""

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
)
_RANKS = {kind: rank for rank, kind in enumerate(_KIND_ORDER)}


def schema_changes(before: Catalog, after: Catalog) -> tuple[SchemaChange, ...]:
    """Parts that are new, gone or other; a table's beside each other, dependent kinds after what they depend on.

    What goes along with its table isn't told again: columns, constraints and all else of a table that is gone.
    A new table's columns and constraints are its definition; its indexes, triggers and policies are told.
    """
    found = [
        SchemaChange(part, before.get(part), after.get(part))
        for part in before.keys() | after.keys()
        if before.get(part) != after.get(part)
    ]
    new = {change.object.name for change in found if change.action == "add" and not change.object.parent}
    gone = {change.object.name for change in found if change.action == "drop" and not change.object.parent}
    told = (change for change in found if not _implied_by_table(change, new, gone))
    return tuple(sorted((_with_table_definition(change, after) for change in told), key=_sort_key))


def _implied_by_table(change: SchemaChange, new: set[str], gone: set[str]) -> bool:
    part = change.object
    if change.action == "drop":
        return part.parent in gone
    return part.parent in new and part.kind in ("column", "constraint")


def _with_table_definition(change: SchemaChange, after: Catalog) -> SchemaChange:
    """A new table with its columns and constraints as its definition, before what else PostgreSQL says of it."""
    part = change.object
    if change.action != "add" or part.kind not in ("table", "foreign table"):
        return change
    inside = ", ".join(_table_definition(part, after))
    return SchemaChange(part, None, f"({inside}) {change.after}".rstrip())


def _table_definition(table: SchemaObject, after: Catalog) -> Iterator[str]:
    """Columns in the order in which the catalog has them, then constraints by name."""
    for kind in ("column", "constraint"):
        for part, definition in after.items():
            if part.parent == table.name and part.kind == kind:
                yield f"{part.name} {definition}" if kind == "column" else definition


def _sort_key(change: SchemaChange) -> tuple[int, str, int, str]:
    """Tables and what is of them stand together, where tables stand."""
    part = change.object
    rank = _RANKS.get(part.kind, len(_RANKS))
    return (_RANKS["table"] if part.parent else rank, part.parent or part.name, rank, part.name)
