"""Quoting for SQL: literals, identifiers, dollar quotes, JSON recordsets."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from mosaic_deploy.sql.parse import Statement

_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")


def index_name(statement: Statement) -> str:
    """The quoted index name of a CREATE INDEX, with its table's schema if given.

    "" if PostgreSQL chooses the name, and for any other statement.
    """
    name = statement.node.get("idxname") if statement.kind == "IndexStmt" else None
    if not name:
        return ""
    schema = statement.node.get("relation", {}).get("schemaname")
    return f"{identifier(schema)}.{identifier(name)}" if schema else identifier(name)


def literal(value: str) -> str:
    """`value` as a PostgreSQL string literal, valid with either setting of `standard_conforming_strings`.

    Raises ValueError for a NUL character, which PostgreSQL's text type can't store.
    """
    if "\0" in value:
        raise ValueError("PostgreSQL text can't contain a NUL character")
    quoted = value.replace("'", "''")
    if "\\" in quoted:
        escaped = quoted.replace("\\", "\\\\")
        return f"E'{escaped}'"
    return f"'{quoted}'"


def json_literal(value: object) -> str:
    """`value` as a string literal of compact JSON. Non-ASCII stays readable; NUL becomes `\\u0000`."""
    return literal(json.dumps(value, separators=(",", ":"), ensure_ascii=False))


def identifier(name: str) -> str:
    """`name` as a quoted identifier."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def as_written(table: str) -> str:
    """The table of a measured effect as SQL: `public.orders` as `orders`. A schema's name has a dot only in theory."""
    schema, _, name = table.partition(".")
    return ".".join(
        part if _PLAIN_NAME.fullmatch(part) else identifier(part)
        for part in ((name,) if schema == "public" else (schema, name))
    )


def dollar_quote(body: str, tag: str = "mosaic") -> str:
    """`body` in dollar quotes with a tag that doesn't occur in it."""
    number = 0
    chosen = tag
    while f"${chosen}$" in body or body.endswith(f"${chosen}"):
        number += 1
        chosen = f"{tag}{number}"
    return f"${chosen}${body}${chosen}$"


def recordset(rows: Sequence[object], columns: str) -> str:
    """A FROM item that yields `rows` (JSON objects) with `columns` (`path text, size bigint`)."""
    return f"pg_catalog.json_to_recordset({json_literal(list(rows))}::json) AS r({columns})"
