"""What differs between two states of a database."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.model.catalog import Catalog, Part, PartChange

_ORDER = (
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
_RANKS = {kind: rank for rank, kind in enumerate(_ORDER)}


def schema_changes(before: Catalog, after: Catalog) -> tuple[PartChange, ...]:
    """Parts that are new, gone or other; a table's beside each other, dependent kinds after what they depend on.

    What goes along with its table isn't told again: columns, constraints and all else of a table that is gone.
    A new table's columns and constraints are its definition; its indexes, triggers and policies are told.
    """
    found = [
        PartChange(part, before.get(part), after.get(part))
        for part in before.keys() | after.keys()
        if before.get(part) != after.get(part)
    ]
    new = {change.part.name for change in found if change.action == "add" and not change.part.of}
    gone = {change.part.name for change in found if change.action == "drop" and not change.part.of}
    told = (change for change in found if not _goes_along(change, new, gone))
    return tuple(sorted((_whole(change, after) for change in told), key=_order))


def _goes_along(change: PartChange, new: set[str], gone: set[str]) -> bool:
    part = change.part
    if change.action == "drop":
        return part.of in gone
    return part.of in new and part.kind in ("column", "constraint")


def _whole(change: PartChange, after: Catalog) -> PartChange:
    """A new table with its columns and constraints as its definition, before what else PostgreSQL says of it."""
    part = change.part
    if change.action != "add" or part.kind not in ("table", "foreign table"):
        return change
    inside = ", ".join(_inside(part, after))
    return PartChange(part, None, f"({inside}) {change.after}".rstrip())


def _inside(table: Part, after: Catalog) -> Iterator[str]:
    """Columns in the order in which the catalog has them, then constraints by name."""
    for kind in ("column", "constraint"):
        for part, definition in after.items():
            if part.of == table.name and part.kind == kind:
                yield f"{part.name} {definition}" if kind == "column" else definition


def _order(change: PartChange) -> tuple[int, str, int, str]:
    """Tables and what is of them stand together, where tables stand."""
    part = change.part
    rank = _RANKS.get(part.kind, len(_RANKS))
    return (_RANKS["table"] if part.of else rank, part.of or part.name, rank, part.name)
