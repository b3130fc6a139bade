"""Names of objects as statements write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from mosaic_deploy.sql.parse import Tree
from mosaic_deploy.sql.quote import identifier

UNKNOWN_NAME = "…"
"""Stands for a name that is put in as the SQL runs."""
_UNQUOTED_NAME = re.compile(r"[a-z_][a-z0-9_$]*")


class Name(NamedTuple):
    """A name with the schema that the statement wrote before it, None where it wrote none."""

    schema: str | None
    name: str

    def __str__(self) -> str:
        return ".".join(quote_if_needed(part) for part in self if part is not None)


def quote_if_needed(name: str) -> str:
    """`name` as it must be written in SQL: quoted only where it has to be."""
    return name if _UNQUOTED_NAME.fullmatch(name) else identifier(name)


def range_name(node: Tree) -> Name:
    """The name of a RangeVar's fields."""
    return Name(node.get("schemaname"), str(node.get("relname", "")))


def list_name(items: Iterable[Tree]) -> Name:
    """The name of a list of String nodes: `schema.name` or `name`; a database before them is left out."""
    parts = string_values(items)
    return Name(parts[-2] if len(parts) > 1 else None, parts[-1] if parts else "")


def object_name(node: Any) -> Name:
    """The name of what DROP, RENAME and SET SCHEMA call an object: a list, a type, a function or a bare word."""
    if not isinstance(node, dict):
        return Name(None, "")
    if "List" in node:
        return list_name(node["List"].get("items", ()))
    if "TypeName" in node:
        return list_name(node["TypeName"].get("names", ()))
    if "ObjectWithArgs" in node:
        return list_name(node["ObjectWithArgs"].get("objname", ()))
    return Name(None, str(node.get("String", {}).get("sval", "")))


def string_values(items: Iterable[Tree]) -> list[str]:
    """The texts of String nodes."""
    return [str(item["String"].get("sval", "")) for item in items if "String" in item]
