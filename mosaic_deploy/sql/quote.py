"""The name of the index that a statement makes."""

from __future__ import annotations

import json
from collections.abc import Sequence

from mosaic_deploy.sql.parse import Statement


def index_name(statement: Statement) -> str:
    """The name that a CREATE INDEX gives, with its table's schema; empty where PostgreSQL chooses it,
    and for any other statement."""
    name = statement.node.get("idxname") if statement.kind == "IndexStmt" else None
    if not name:
        return ""
    schema = statement.node.get("relation", {}).get("schemaname")
    return f"{identifier(schema)}.{identifier(name)}" if schema else identifier(name)


def literal(value: str) -> str:
    """`value` as a PostgreSQL string literal, right whatever `standard_conforming_strings` says.

    Raises ValueError for a NUL character, which PostgreSQL's text cannot hold.
    """
    if "\0" in value:
        raise ValueError("PostgreSQL text cannot hold a NUL character")
    quoted = value.replace("'", "''")
    if "\\" in quoted:
        escaped = quoted.replace("\\", "\\\\")
        return f"E'{escaped}'"
    return f"'{quoted}'"


def json_literal(value: object) -> str:
    """`value` as a literal of its compact JSON text; non-ASCII stays readable, NULs become `\\u0000`."""
    return literal(json.dumps(value, separators=(",", ":"), ensure_ascii=False))


def identifier(name: str) -> str:
    """`name` as a quoted identifier."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def dollar_quote(body: str, tag: str = "mosaic") -> str:
    """`body` between dollar quotes whose tag does not occur in it."""
    number = 0
    chosen = tag
    while f"${chosen}$" in body or body.endswith(f"${chosen}"):
        number += 1
        chosen = f"{tag}{number}"
    return f"${chosen}${body}${chosen}$"


def recordset(rows: Sequence[object], columns: str) -> str:
    """A FROM item that yields `rows` (JSON objects) with `columns` (`path text, size bigint`)."""
    return f"pg_catalog.json_to_recordset({json_literal(list(rows))}::json) AS r({columns})"
