"""The objects that a statement drops, and what PostgreSQL drops with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mosaic_deploy.sql.hazards.effects.scope import Scope
from mosaic_deploy.sql.hazards.live_objects import Dependent, ObjectFacts, ObjectKind
from mosaic_deploy.sql.hazards.syntax.names import Name, list_name, object_name, quote_if_needed, range_name
from mosaic_deploy.sql.hazards.syntax.trees import Effect
from mosaic_deploy.sql.parse import Tree

_RELATIONS = {
    "OBJECT_TABLE": "table",
    "OBJECT_FOREIGN_TABLE": "foreign table",
    "OBJECT_VIEW": "view",
    "OBJECT_MATVIEW": "materialized view",
    "OBJECT_INDEX": "index",
    "OBJECT_SEQUENCE": "sequence",
}
_TYPES = {"OBJECT_TYPE": "type", "OBJECT_DOMAIN": "domain"}
_ROUTINES = {
    "OBJECT_FUNCTION": "function",
    "OBJECT_PROCEDURE": "procedure",
    "OBJECT_ROUTINE": "function",
    "OBJECT_AGGREGATE": "aggregate",
}
_OTHERS = {
    "OBJECT_COLLATION": "collation",
    "OBJECT_CONVERSION": "conversion",
    "OBJECT_ACCESS_METHOD": "access method",
    "OBJECT_FOREIGN_SERVER": "foreign server",
    "OBJECT_FDW": "foreign-data wrapper",
    "OBJECT_EVENT_TRIGGER": "event trigger",
    "OBJECT_PUBLICATION": "publication",
    "OBJECT_STATISTIC_EXT": "statistics",
    "OBJECT_TSCONFIGURATION": "text search configuration",
    "OBJECT_TSDICTIONARY": "text search dictionary",
}
_PARTS = {"OBJECT_TRIGGER": "trigger", "OBJECT_POLICY": "policy", "OBJECT_RULE": "rule"}
_ALTER_PARTS = {"AT_DropColumn": "column", "AT_DropConstraint": "constraint"}
_MAX_NAMES = 4


@dataclass(frozen=True, slots=True)
class DroppedObject:
    """`name` is the object's, or for a part such as a column its relation's. `lookup` is the part of an ObjectRef."""

    kind: str
    name: Name
    lookup: str
    part: str = ""
    if_exists: bool = False
    cascade: bool = False

    @property
    def lookup_kind(self) -> ObjectKind:
        """The kind of object that `name` is resolved as."""
        return _LOOKUP_KINDS.get(self.lookup.partition(":")[0], ObjectKind.RELATION)

    @property
    def holds_data(self) -> bool:
        return self.kind in ("table", "column", "attribute", "foreign table")

    def text(self, name: Name) -> str:
        """`view public.v`, `column public.books.fax`, `policy p on public.t`; `name` is `self.name` with its schema."""
        if not self.part:
            return f"{self.kind} {name}"
        part = quote_if_needed(self.part)
        whole = f"{name}.{part}" if self.kind in ("column", "attribute") else f"{part} on {name}"
        return f"{self.kind} {whole}"


_LOOKUP_KINDS = {
    "type": ObjectKind.TYPE,
    "schema": ObjectKind.SCHEMA,
    "extension": ObjectKind.EXTENSION,
    "function": ObjectKind.FUNCTION,
    "other": ObjectKind.ANY_TABLE,
}


def dropped_objects(effect: Effect) -> Iterator[DroppedObject]:
    """What DROP, and ALTER … DROP, name."""
    if effect.kind == "DropStmt":
        for item in effect.node.get("objects", []):
            yield from _dropped(effect.node, item)
    elif effect.kind == "AlterTableStmt":
        yield from _dropped_parts(effect.node)


def dependents(scope: Scope, dropped: DroppedObject) -> tuple[Dependent, ...] | None:
    """What CASCADE drops with it in the live database; None if that isn't known."""
    if not dropped.cascade:
        return ()
    found = live_facts(scope, dropped)
    return None if found is None else found.dependents


def live_facts(scope: Scope, dropped: DroppedObject) -> ObjectFacts | None:
    """The facts about the live object; None if it isn't live or nothing is known."""
    kind, part = dropped.lookup_kind, _live_part(scope, dropped)
    lookup = f"{dropped.kind}:{part}" if dropped.kind == "policy" else dropped.lookup
    return scope.dropped_facts(dropped.name, kind, lookup, cascade=dropped.cascade)


def live_text(scope: Scope, dropped: DroppedObject) -> str:
    """The object's `text` by the name that it has in the live database, before these files renamed or moved it."""
    origin = scope.origin(dropped.name, dropped.lookup_kind)
    live = replace(dropped, part=_live_part(scope, dropped))
    return live.text(Name(origin.schema or None, origin.name))


def _live_part(scope: Scope, dropped: DroppedObject) -> str:
    renamed = scope.relation(dropped.name).renamed_policies if dropped.kind == "policy" else {}
    return renamed.get(dropped.part, dropped.part)


def tables_of(found: Sequence[Dependent]) -> tuple[str, ...]:
    """The tables that lose rows or values with these objects."""
    return tuple(dict.fromkeys(one.table for one in found if one.table))


def dependents_text(found: Sequence[Dependent]) -> str:
    """`, and with it view v, constraint fk on orders and 3 more`; "" without dependents."""
    if not found:
        return ""
    names = [str(one) for one in found[:_MAX_NAMES]]
    more = f" and {len(found) - _MAX_NAMES} more" if len(found) > _MAX_NAMES else ""
    return f", and with it {', '.join(names)}{more}"


def _dropped(node: Tree, item: Tree) -> Iterator[DroppedObject]:
    kind = str(node.get("removeType"))
    if_exists, cascade = bool(node.get("missing_ok")), node.get("behavior") == "DROP_CASCADE"
    if word := _RELATIONS.get(kind):
        yield DroppedObject(word, object_name(item), "relation", "", if_exists, cascade)
    elif word := _TYPES.get(kind):
        yield DroppedObject(word, object_name(item), "type", "", if_exists, cascade)
    elif word := _ROUTINES.get(kind):
        arguments = item.get("ObjectWithArgs", {})
        count = "" if arguments.get("args_unspecified") else str(len(arguments.get("objargs", [])))
        yield DroppedObject(word, object_name(item), f"function:{count}", "", if_exists, cascade)
    elif word := _OTHERS.get(kind):
        yield DroppedObject(word, object_name(item), "other", "", if_exists, cascade)
    elif word := _PARTS.get(kind):
        parts = item["List"]["items"]
        part = list_name(parts).name
        yield DroppedObject(word, list_name(parts[:-1]), f"{word}:{part}", part, if_exists, cascade)
    elif kind in ("OBJECT_SCHEMA", "OBJECT_EXTENSION"):
        word = kind.removeprefix("OBJECT_").lower()
        yield DroppedObject(word, object_name(item), word, "", if_exists, cascade)


def _dropped_parts(node: Tree) -> Iterator[DroppedObject]:
    for item in node.get("cmds", []):
        command = item.get("AlterTableCmd", {})
        if word := _ALTER_PARTS.get(str(command.get("subtype"))):
            part = str(command.get("name", ""))
            cascade = command.get("behavior") == "DROP_CASCADE"
            lookup = f"{word}:{part}"
            if node.get("objtype") == "OBJECT_TYPE":
                word = "attribute"
            yield DroppedObject(
                word, range_name(node["relation"]), lookup, part, bool(command.get("missing_ok")), cascade
            )
