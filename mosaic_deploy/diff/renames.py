"""The differences between two schemas of one database, with renamed objects as such instead of as dropped and added."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from mosaic_deploy.diff.schema import schema_changes
from mosaic_deploy.model.catalog import Catalog, SchemaChange, SchemaObject

Renames = Mapping[SchemaObject, SchemaObject]
"""Relations and columns under another name, by their old one."""
_HAVE_OIDS = frozenset({"table", "foreign table", "column", "view", "materialized view", "sequence"})
"""Kinds whose renames are known. Of others, an object with the same definition counts as the same."""


def find_renames(
    before: Iterable[tuple[str, SchemaObject]], after: Iterable[tuple[str, SchemaObject]]
) -> Renames:
    """Which objects have another name, from their identities before and after. A moved column isn't renamed with its table."""
    now = dict(after)
    found = {}
    for identity, item in before:
        other = now.get(identity)
        if other and other.kind == item.kind and other.name != item.name:
            found[item] = other
    return found


def names_changed(changes: Iterable[SchemaChange]) -> bool:
    """Whether relations or columns were added or dropped; some may only have another name."""
    return any(change.object.kind in _HAVE_OIDS and change.action != "change" for change in changes)


def changes_with_renames(before: Catalog, after: Catalog, renames: Renames) -> tuple[SchemaChange, ...]:
    """As `schema_changes`. What else changed about a renamed object is a change of its own, under the new name."""
    known = {old: new for old, new in renames.items() if old in before}
    tables = {old.name: new.name for old, new in known.items() if old.kind != "column"}
    columns = {(old.parent, old.name): new.name for old, new in known.items() if old.kind == "column"}
    moved = {_moved(item, tables, columns): definition for item, definition in before.items()}
    renamed = (
        SchemaChange(old, before[old], after.get(new), new_name=new.name) for old, new in known.items()
    )
    return (*renamed, *_same_definitions(schema_changes(moved, after)))


def _moved(
    item: SchemaObject, tables: Mapping[str, str], columns: Mapping[tuple[str, str], str]
) -> SchemaObject:
    parent = tables.get(item.parent, item.parent)
    if item.kind == "column":
        return SchemaObject("column", columns.get((item.parent, item.name), item.name), parent)
    if item.kind == "comment":
        return SchemaObject("comment", _moved_comment(item, tables, columns), parent)
    name = tables.get(item.name, item.name) if item.kind in _HAVE_OIDS and not item.parent else item.name
    return SchemaObject(item.kind, name, parent)


def _moved_comment(
    item: SchemaObject, tables: Mapping[str, str], columns: Mapping[tuple[str, str], str]
) -> str:
    """The name of a comment: `table orders`, `column orders.fax`, `policy own on orders`."""
    kind, _, name = item.name.partition(" ")
    old = item.parent
    new = tables.get(old, old)
    if kind == "column" and name.startswith(f"{old}."):
        column = name.removeprefix(f"{old}.")
        return f"column {new}.{columns.get((old, column), column)}"
    if name == old:
        return f"{kind} {new}"
    return (
        f"{item.name.removesuffix(f' on {old}')} on {new}" if item.name.endswith(f" on {old}") else item.name
    )


def _same_definitions(changes: Sequence[SchemaChange]) -> Iterator[SchemaChange]:
    """The changes, with one for an object that was dropped and added again with its definition under another name."""
    added = defaultdict(list)
    for change in changes:
        if change.action == "add" and change.after and change.object.kind not in _HAVE_OIDS:
            added[_sameness(change, change.after)].append(change)
    twins: dict[SchemaObject, SchemaChange] = {}
    for change in changes:
        if change.action == "drop" and (found := added.get(_sameness(change, change.before))):
            twins[change.object] = found.pop(0)
    gone = {twin.object for twin in twins.values()}
    for change in changes:
        if change.action == "drop" and (twin := twins.get(change.object)):
            yield replace(change, after=twin.after, new_name=twin.object.name)
        elif change.action != "add" or change.object not in gone:
            yield change


def _sameness(change: SchemaChange, definition: str | None) -> tuple[str, str, str | None]:
    return change.object.kind, change.object.parent, definition
