"""Object names as statements write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from mosaic_deploy.sql.parse import Tree
from mosaic_deploy.sql.quote import identifier

_UNQUOTED_NAME = re.compile(r"[a-z_][a-z0-9_$]*")
_NAME_PARTS = re.compile(r'("(?:[^"]|"")+")|([^".\s]+)')


class Name(NamedTuple):
    """An object name with its schema; None if the statement gives none."""

    schema: str | None
    name: str

    def __str__(self) -> str:
        return ".".join(quote_if_needed(part) for part in self if part is not None)


def quote_if_needed(name: str) -> str:
    """`name` as SQL, quoted only if necessary."""
    return name if _UNQUOTED_NAME.fullmatch(name) else identifier(name)


def text_name(text: str) -> Name:
    """The name in a text that PostgreSQL casts to regclass: `public."Orders_id_seq"`."""
    parts = [
        quoted[1:-1].replace('""', '"') if quoted else bare.lower()
        for quoted, bare in _NAME_PARTS.findall(text)
    ]
    return Name(parts[-2] if len(parts) > 1 else None, parts[-1] if parts else "")


def unquoted(word: str) -> str:
    """The name that `word` means in SQL: `"Orders"` is Orders, `Orders` is orders."""
    return word[1:-1].replace('""', '"') if word.startswith('"') else word.lower()


def range_name(node: Tree) -> Name:
    """The name of a RangeVar's fields."""
    return Name(node.get("schemaname"), str(node.get("relname", "")))


def list_name(items: Iterable[Tree]) -> Name:
    """The name in a list of String nodes: `schema.name` or `name`, without a leading database."""
    parts = string_values(items)
    return Name(parts[-2] if len(parts) > 1 else None, parts[-1] if parts else "")


def object_name(node: Any) -> Name:
    """The name in an object node of DROP, RENAME or SET SCHEMA: a list, a type, a function or a single word."""
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
