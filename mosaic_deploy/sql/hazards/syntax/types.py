"""Column types, and which type changes PostgreSQL makes without rewriting the table."""

from __future__ import annotations

from typing import Any, NamedTuple

from mosaic_deploy.sql.hazards.syntax.names import string_values
from mosaic_deploy.sql.parse import SqlSyntaxError, Tree, parse

_STORED_AS = {
    "serial": "int4",
    "serial4": "int4",
    "bigserial": "int8",
    "serial8": "int8",
    "smallserial": "int2",
    "serial2": "int2",
}
SERIALS = frozenset(_STORED_AS)
_SQL_NAMES = {"int2": "smallint", "int4": "integer", "int8": "bigint", "bool": "boolean", "bpchar": "char"}
_WIDENABLE = frozenset({"varchar", "varbit", "timestamp", "timestamptz", "time", "timetz"})
"""Types whose only modifier is a length or precision that can grow or be dropped without a rewrite."""


class ColumnType(NamedTuple):
    """`name` is PostgreSQL's internal one (`int4`, `varchar`), with its schema unless that is pg_catalog."""

    name: str
    mods: tuple[int | str, ...] = ()
    array: bool = False

    def __str__(self) -> str:
        mods = f"({','.join(map(str, self.mods))})" if self.mods else ""
        return f"{_SQL_NAMES.get(self.name, self.name)}{mods}{'[]' if self.array else ''}"


def type_from_node(node: Tree) -> ColumnType:
    """The type that a TypeName node names; a serial as its integer type."""
    name = ".".join(part for part in string_values(node.get("names", [])) if part != "pg_catalog")
    mods = tuple(_modifier(mod) for mod in node.get("typmods", []))
    return ColumnType(_STORED_AS.get(name, name), mods, bool(node.get("arrayBounds")))


def type_from_text(text: str) -> ColumnType | None:
    """The type from `format_type`'s output; None if the parser rejects it."""
    try:
        [statement] = parse(f"SELECT NULL::{text}")
        return type_from_node(statement.node["targetList"][0]["ResTarget"]["val"]["TypeCast"]["typeName"])
    except (SqlSyntaxError, ValueError, KeyError, IndexError):
        return None


def rewrites_table(old: ColumnType, new: ColumnType) -> bool:
    """Whether ALTER COLUMN TYPE from `old` to `new`, without USING, may rewrite the table."""
    if old == new:
        return False
    if old.array or new.array:
        return True
    if new.name == old.name:
        return not _is_widening(old, new)
    if new.name in ("text", "varchar") and old.name in ("text", "varchar"):
        return bool(new.mods)
    return (old.name, new.name) != ("cidr", "inet")


def _is_widening(old: ColumnType, new: ColumnType) -> bool:
    if not new.mods:
        return old.name in _WIDENABLE or old.name == "numeric"
    before, after = _numbers(old), _numbers(new)
    if not before or old.name not in (*_WIDENABLE, "numeric"):
        return False
    return after[0] >= before[0] and after[1:] == before[1:]


def _numbers(found: ColumnType) -> tuple[int, ...]:
    """The numeric modifiers; numeric's scale defaults to 0."""
    numbers = tuple(mod for mod in found.mods if isinstance(mod, int))
    return (*numbers, 0) if found.name == "numeric" and len(numbers) == 1 else numbers


def _modifier(mod: Any) -> int | str:
    """A number, or another modifier as text (`geometry(Point)`)."""
    value = mod.get("A_Const", {}).get("ival") if isinstance(mod, dict) else None
    if value is None:
        fields = mod.get("ColumnRef", {}).get("fields", []) if isinstance(mod, dict) else []
        return ".".join(string_values(fields)) or repr(mod)
    return int(value.get("ival", 0))
