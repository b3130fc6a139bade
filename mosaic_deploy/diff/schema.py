"""The differences between two database schemas."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mosaic_deploy.model.catalog import Catalog, SchemaChange, SchemaObject
from mosaic_deploy.model.effects import name_parts
from mosaic_deploy.model.other_tools.tools import HISTORY_TABLES

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
_PARENTS = frozenset(
    {
        "table",
        "foreign table",
        "view",
        "materialized view",
        "sequence",
        "function",
        "procedure",
        "aggregate",
        "type",
        "domain",
    }
)
"""Kinds whose names can be the parent of other objects; an extension can have the name of a table."""
_OWNED_BY = re.compile(r'\bOWNED BY (.+)\.(?:"(?:[^"]|"")+"|[^".]+)$')
_RANKS = {kind: rank for rank, kind in enumerate(_KIND_ORDER)}


def schema_changes(before: Catalog, after: Catalog) -> tuple[SchemaChange, ...]:
    """Added, dropped and changed objects, grouped by table, dependent kinds after what they depend on.

    A dropped table is one change, without its columns, constraints and other parts. A new table's change includes its
    columns, their sequences, constraints and comments; its indexes, triggers, policies and grants are changes of their own.
    """
    found = [
        SchemaChange(item, before.get(item), after.get(item))
        for item in before.keys() | after.keys()
        if before.get(item) != after.get(item)
    ]
    added, dropped = (_parents(found, action) for action in ("add", "drop"))
    shown = (change for change in found if not _implied_by_table(change, added, dropped))
    return tuple(sorted((_with_table_definition(change, after) for change in shown), key=_sort_key))


def _parents(changes: Sequence[SchemaChange], action: str) -> frozenset[str]:
    """What the added or dropped objects are called as the parent of others."""
    items = [change.object for change in changes if change.action == action and not change.object.parent]
    return frozenset(
        [item.name for item in items if item.kind in _PARENTS]
        + [str(item) for item in items if item.kind == "schema"]
    )


def _implied_by_table(change: SchemaChange, added: frozenset[str], dropped: frozenset[str]) -> bool:
    item = change.object
    was = change.before is None or owning_table(item, change.before) in dropped
    is_now = change.after is None or (
        owning_table(item, change.after) in added and item.kind in _IN_NEW_TABLE
    )
    return was and is_now


def owning_table(item: SchemaObject, definition: str) -> str:
    """The object that it is a part of: its parent, or the table whose column owns a sequence."""
    owner = _OWNED_BY.search(definition) if item.kind == "sequence" else None
    return owner[1] if owner else item.parent


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


_SCHEMA = "schema "
_NAME = re.compile(
    r'((?:"(?:[^"]|"")*"|[^\s"(.]+)(?:\.(?:"(?:[^"]|"")*"|[^\s"(.]+))?)(?:\(.*\)| \(.*\))?', re.DOTALL
)
"""An SQL name; a routine's with its arguments, or a grant's with its columns."""


@dataclass(frozen=True, slots=True)
class Unmanaged:
    """What `patterns` name: `cache_*` is in `public`, `jobs.*` is a schema with all that is in it, and `*` any characters.

    What belongs to such an object counts as well: columns, indexes, sequences of columns, grants, comments.
    """

    patterns: tuple[str, ...] = ()

    def includes(self, item: SchemaObject, definition: str) -> bool:
        return any(map(self.includes_name, _owners(item, definition)))

    def includes_name(self, name: str) -> bool:
        """Whether it includes the relation, routine or type of this SQL name, or the schema, as `schema jobs`."""
        if name.startswith(_SCHEMA):
            schema, *_ = name_parts(name.removeprefix(_SCHEMA))
            whole = tuple(each.removesuffix(".*") for each in self.patterns if each.endswith(".*"))
            return _pattern(whole).fullmatch(schema) is not None
        parts = name_parts(name)
        found = parts if len(parts) == 2 else ("public", *parts)
        return _pattern(self.patterns, in_schemas=True).fullmatch(".".join(found)) is not None

    @property
    def expression(self) -> str:
        """A regular expression, for PostgreSQL, of the unquoted names with their schemas; "" without patterns."""
        found = _expression(self.patterns, in_schemas=True)
        return f"^({found})$" if found else ""

    def without(self, catalog: Catalog) -> Catalog:
        """The objects that it doesn't include."""
        if not self.patterns:
            return catalog
        return {item: text for item, text in catalog.items() if not self.includes(item, text)}


def unmanaged_objects(patterns: Iterable[str]) -> Unmanaged:
    """What these patterns name, and the history tables of other migration tools."""
    return Unmanaged((*patterns, *(table.replace('"', "") for table in sorted(HISTORY_TABLES))))


def _owners(item: SchemaObject, definition: str) -> Iterator[str]:
    """The SQL names of what the object is, or is a part of; nothing for one outside of schemas, such as an extension."""
    if item.kind == "schema":
        yield f"{_SCHEMA}{item.name}"
    elif item.kind == "comment" and not item.parent:
        kind = next((each for each in _PARENTS if item.name.startswith(f"{each} ")), "")
        if kind or item.name.startswith(_SCHEMA):
            yield from _names(item.name.removeprefix(f"{kind} "))
    elif item.parent:
        yield from _names(item.parent)
    elif item.kind in _PARENTS:
        yield from _names(item.name)
        yield from _names(owning_table(item, definition))


def _names(text: str) -> Iterator[str]:
    if text.startswith(_SCHEMA):
        yield text
    elif found := _NAME.fullmatch(text):
        yield found[1]


def _with_schema(pattern: str) -> str:
    return pattern if "." in pattern else f"public.{pattern}"


@lru_cache(maxsize=64)
def _pattern(patterns: tuple[str, ...], *, in_schemas: bool = False) -> re.Pattern[str]:
    """Kept, because it is asked about every object of a schema. Without patterns it matches nothing."""
    return re.compile(_expression(patterns, in_schemas=in_schemas) or "(?!)", re.DOTALL)


def _expression(patterns: Iterable[str], *, in_schemas: bool) -> str:
    full = (_with_schema(each) if in_schemas else each for each in patterns)
    return "|".join(".*".join(map(re.escape, each.split("*"))) for each in full)
